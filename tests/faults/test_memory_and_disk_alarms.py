"""The broker is short of memory or disk space, and blocks everybody who publishes."""

import signal
import urllib.error

import pika
import pytest

from brokers.tools import wait_until
from support.accidents import (
    REPLY_QUEUE,
    ask,
    patient_copy,
    short_of_memory,
    take,
    until_blocked,
)
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
    """The alarm blocks those who publish, and nobody else."""
    url = own_broker.add_vhost("alarm")
    for words in [("send.py",), ("new_task.py", "sent before")]:
        assert start(*words, url=url).wait() == 0
    idle = [start(*lesson.consumer, url=url) for lesson in LESSONS if lesson.exchange]
    for consumer in idle:
        consumer.wait_until_ready()
    with short_of_memory(own_broker):
        wait_until(lambda: alarmed(own_broker), "the memory alarm", 30)
        producers = [start(*words, url=url) for words in PRODUCERS]
        receiver, worker = start("receive.py", url=url), start("worker.py", url=url)
        receiver.wait_for("Received 'Hello World!'")
        worker.wait_for("Received 'sent before'")
        worker.wait_for("Done")
        for producer in producers:
            assert_ends_with_a_sentence(producer, "Blocked connection timeout expired", seconds=30)
        for consumer in [receiver, worker, *idle]:
            assert_still_runs(consumer)
    wait_until(lambda: not alarmed(own_broker), "the end of the alarm", 30)
    for consumer in [receiver, worker, *idle]:
        assert_gets_messages(start, url, consumer)
        assert consumer.stderr == []


def test_the_url_says_how_long_a_producer_waits(start, own_broker):
    """0 is the shortest time, and an hour is longer than what producers have by themselves."""
    url = own_broker.add_vhost("alarm-url")
    at_once, by_itself, patient = (
        f"{url}?blocked_connection_timeout=0",
        url,
        f"{url}?blocked_connection_timeout=3600",
    )
    with short_of_memory(own_broker):
        wait_until(lambda: alarmed(own_broker), "the memory alarm", 30)
        senders = [start("send.py", url=each) for each in (by_itself, patient)]
        until_blocked(own_broker, "alarm-url", 2)
        assert_ends_with_a_sentence(start("send.py", url=at_once), "Blocked", seconds=9)
        assert_ends_with_a_sentence(senders[0], "Blocked", seconds=30)
        assert senders[1].process.poll() is None
    assert senders[1].wait(30) == 0


def test_a_server_waits_with_its_answer(start, own_broker):
    """It never drops its connection for it: then the request would come back, and that counts.

    The heartbeat is short. The producer beside it tells when its own limit is over.
    """
    url = own_broker.add_vhost("alarm-rpc")
    server = start("rpc_server.py", url=f"{url}?heartbeat=1")
    server.wait_until_ready()
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        replies = channel.queue_declare(**REPLY_QUEUE).method.queue
        server.process.send_signal(signal.SIGSTOP)
        ask(channel, b"10", reply_to=replies)
        with short_of_memory(own_broker):
            wait_until(lambda: alarmed(own_broker), "the memory alarm", 30)
            server.process.send_signal(signal.SIGCONT)
            server.wait_for("fib(10)")
            sender = start("send.py", url=url)
            until_blocked(own_broker, "alarm-rpc", 2)
            assert_ends_with_a_sentence(sender, "Blocked", seconds=30)
        method, _, body = take(channel, replies)
        assert (body, method.redelivered) == (b"55", False)
    assert server.stdout == [" [x] Awaiting RPC requests", " [.] fib(10)"]
    assert server.stderr == []


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
