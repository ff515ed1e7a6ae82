"""The broker is short of memory or disk space, and blocks everybody who publishes."""

import time
import urllib.error

import pytest

from brokers.tools import wait_until
from support.accidents import patient_copy, short_of_memory, until_blocked
from support.expectations import (
    assert_ends_with_a_sentence,
    assert_gets_messages,
    assert_still_runs,
)
from support.list_of_lessons import LESSONS, PRODUCERS

pytestmark = pytest.mark.xdist_group("second_own_broker")


def alarmed(broker):
    """Tell whether a memory or disk alarm is in effect."""
    try:
        broker.api("GET", "health", "checks", "alarms")
    except urllib.error.HTTPError:
        return True
    return False


def test_the_broker_is_short_of_memory(start, own_broker):
    """The alarm blocks those who publish, and nobody else. A server is blocked by its answer."""
    url = own_broker.add_vhost("alarm")
    for words in [("send.py",), ("new_task.py", "sent before")]:
        assert start(*words, url=url).wait() == 0
    early_client = start("rpc_client.py", url=url)
    early_client.wait_for("Requesting")
    idle = [start(*lesson.consumer, url=url) for lesson in LESSONS if lesson.exchange]
    for consumer in idle:
        consumer.wait_until_ready()
    with short_of_memory(own_broker):
        wait_until(lambda: alarmed(own_broker), "the memory alarm", 30)
        began = time.monotonic()
        producers = [start(*words, url=url) for words in PRODUCERS]
        receiver, worker = start("receive.py", url=url), start("worker.py", url=url)
        receiver.wait_for("Received 'Hello World!'")
        worker.wait_for("Received 'sent before'")
        worker.wait_for("Done")
        for producer in producers:
            assert_ends_with_a_sentence(producer, seconds=20)
        assert time.monotonic() - began < 15
        server = start("rpc_server.py", url=url)
        server.wait_until_ready()
        consumers = [receiver, worker, *idle, server]
        for consumer in consumers:
            assert_still_runs(consumer)
            assert consumer.stderr == []
    wait_until(lambda: not alarmed(own_broker), "the end of the alarm", 30)
    for consumer in consumers:
        assert_gets_messages(start, url, consumer)
        assert consumer.stderr == []


def test_producers_closed_while_the_broker_is_short_of_disk_space(start, own_broker, tmp_path):
    """They have sent the message, and the broker has not confirmed it: it is not "Sent"."""
    for name, *_ in PRODUCERS:
        patient_copy(tmp_path, name)
    url = own_broker.add_vhost("blocked")
    own_broker.rabbitmqctl("set_disk_free_limit", "1000000GB")
    try:
        wait_until(lambda: alarmed(own_broker), "the disk alarm", 30)
        producers = [start(*words, url=url, cwd=tmp_path) for words in PRODUCERS]
        until_blocked(own_broker, "blocked", len(producers))
        own_broker.close_connections("blocked", "operator's wish")
        for producer in producers:
            assert_ends_with_a_sentence(producer, "operator's wish")
    finally:
        own_broker.rabbitmqctl("set_disk_free_limit", "50MB")
