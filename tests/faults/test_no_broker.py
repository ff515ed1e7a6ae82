"""No broker at the address, or one that never answers."""

import socket
import time

from brokers.tools import free_port
from helpers.expectations import (
    NO_CONNECTION,
    SECRET,
    assert_ends_with_a_sentence,
    assert_has_no_connection,
    assert_still_runs,
)
from helpers.scripts import ONE_OF_EACH, SOME_CONSUMERS, SOME_PRODUCERS, for_each

REFUSED = "127.0.0.1: [Errno 111] Connection refused"


def nowhere():
    """An AMQP URL at which nobody listens."""
    return f"amqp://guest:{SECRET}@127.0.0.1:{free_port()}"


@for_each(SOME_PRODUCERS)
def test_a_producer_ends_at_once(start, words):
    """pika's own time for an address is fifteen seconds."""
    assert_ends_with_a_sentence(start(*words, url=nowhere()), REFUSED, seconds=10)


def test_consumers_try_again_every_few_seconds(start):
    began = time.monotonic()
    consumers = [start(*words, url=nowhere()) for words in SOME_CONSUMERS]
    for consumer in consumers:
        said = consumer.wait_for(NO_CONNECTION, count=4, stream="stderr", seconds=40)
        assert REFUSED in said
        assert_still_runs(consumer)
        assert consumer.stdout == []
        assert time.monotonic() - began > 3 * 3, "it does not pause"


@for_each(ONE_OF_EACH)
def test_what_answers_is_no_broker(start, broker, words):
    """... but its management page."""
    script = start(*words, url=f"amqp://127.0.0.1:{broker.management_port}")
    assert_has_no_connection(script, "Transport indicated EOF")


def test_a_port_that_accepts_and_never_answers(start):
    """pika gives such a broker fifteen seconds. All scripts wait for them at the same time."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"amqp://guest:{SECRET}@127.0.0.1:{silent.getsockname()[1]}"
        producers = [start(*words, url=url) for words in SOME_PRODUCERS]
        consumer = start(*ONE_OF_EACH[1], url=url)
        for producer in producers:
            assert_ends_with_a_sentence(producer, "Timeout during AMQP handshake", seconds=30)
        consumer.wait_for("Timeout during AMQP handshake", stream="stderr", seconds=30)
        assert_still_runs(consumer)
