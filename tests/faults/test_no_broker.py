"""No broker at the address, or none that answers."""

import socket
import time

from brokers.tools import free_port
from support.expectations import (
    CONNECTION_FAILED,
    SECRET,
    assert_ends_with_a_sentence,
    assert_still_runs,
    assert_tries_again,
    for_each,
)
from support.list_of_lessons import CONSUMERS, PRODUCERS, SCRIPTS


@for_each(PRODUCERS)
def test_no_broker_ends_a_producer_at_once(start, words):
    producer = start(*words, url=f"amqp://guest:{SECRET}@127.0.0.1:{free_port()}")
    assert_ends_with_a_sentence(producer, "127.0.0.1: [Errno 111] Connection refused", seconds=5)


def test_no_broker_makes_consumers_try_again_every_few_seconds(start):
    times = {words: [] for words in CONSUMERS}
    consumers = [
        start(
            *words,
            url=f"amqp://guest:{SECRET}@127.0.0.1:{free_port()}",
            on_line=lambda *_, words=words: times[words].append(time.monotonic()),
        )
        for words in CONSUMERS
    ]
    for words, consumer in zip(CONSUMERS, consumers):
        said = consumer.wait_for(CONNECTION_FAILED, count=4, stream="stderr", seconds=40)
        assert "127.0.0.1: [Errno 111] Connection refused" in said
        assert_still_runs(consumer)
        assert consumer.stdout == []
        pauses = [after - before for before, after in zip(times[words], times[words][1:])]
        assert 2 < min(pauses) <= max(pauses) < 8, pauses


@for_each(SCRIPTS)
def test_a_host_that_does_not_exist(start, words):
    script = start(*words, url=f"amqp://guest:{SECRET}@no-such-host.invalid")
    check = assert_ends_with_a_sentence if words in PRODUCERS else assert_tries_again
    check(script, "no-such-host.invalid: [Errno -2] Name or service not known")


def test_a_port_that_accepts_and_never_answers(start):
    """pika gives such a broker fifteen seconds. All scripts wait for them at the same time."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        port = silent.getsockname()[1]
        address = f"amqp://guest:{SECRET}@127.0.0.1:{port}"
        producers = [start(*words, url=address) for words in PRODUCERS]
        consumers = [start(*words, url=address) for words in CONSUMERS]
        for producer in producers:
            assert_ends_with_a_sentence(producer, "Timeout during AMQP handshake", seconds=30)
        for consumer in consumers:
            consumer.wait_for("Timeout during AMQP handshake", stream="stderr", seconds=30)
            assert_still_runs(consumer)
