"""The network swallows everything, and closes nothing: a cable, a firewall, a machine that hangs.

pika notices when it has heard nothing for two heartbeats and ten seconds at most. The heartbeat is
in the URL here, and so is the time for a connection attempt, both in seconds.
"""

import contextlib

import pika
import pytest

from support.expectations import (
    CONNECTION_FAILED,
    assert_ends_with_a_sentence,
    assert_gets_messages,
    assert_leaves_with_ctrl_c,
    assert_still_runs,
)
from support.list_of_lessons import CONSUMERS, PRODUCERS
from support.network import Network

QUICK = "?heartbeat=1&stack_timeout=3"


@pytest.fixture
def network(broker):
    """Make networks: network(...) leads to the broker, with the options of `Network`."""
    with contextlib.ExitStack() as ends:
        yield lambda **options: ends.enter_context(Network(broker.amqp_port, **options))


def through(network, url, broker):
    """Return the URL of the broker behind a network."""
    return url.replace(f":{broker.amqp_port}/", f":{network.port}/") + QUICK


def test_consumers_notice_it_and_come_back(network, run, broker, url):
    """The worker is in the middle of a task; one more receiver leaves before it notices."""
    network = network()
    consumers = [run(*words, url=through(network, url, broker)) for words in CONSUMERS]
    leaver = run("receive.py", url=through(network, url, broker))
    for consumer in [*consumers, leaver]:
        consumer.wait_until_ready()
    assert run("new_task.py", "long" + "." * 60).wait() == 0
    consumers[CONSUMERS.index(("worker.py",))].wait_for("Received 'long")
    network.go_dark()
    assert_leaves_with_ctrl_c(leaver)
    for consumer in consumers:  # and once more, because the next try meets the same
        consumer.wait_for(CONNECTION_FAILED, count=2, stream="stderr", seconds=60)
        assert_still_runs(consumer)
    network.come_back()
    for consumer in consumers:
        consumer.wait_until_ready(count=2, seconds=30)
        if consumer.words != ("worker.py",):  # it may have to wait for the long task again
            assert_gets_messages(run, url, consumer)
        assert_still_runs(consumer)


def test_producers_notice_it(network, run, broker, url):
    """They wait for the answer to their first command."""
    network = network(dark_after=pika.spec.Channel.OpenOk)
    producers = [run(*words, url=through(network, url, broker)) for words in PRODUCERS]
    for producer in producers:
        assert_ends_with_a_sentence(producer, seconds=40)


@pytest.mark.parametrize(
    ("names", "proof"),
    [
        (["send.py", "new_task.py"], pika.spec.Basic.Ack),
        (["emit_log.py", "emit_log_direct.py", "emit_log_topic.py"], pika.spec.Channel.CloseOk),
    ],
    ids=["confirmed", "channel closed"],
)
def test_sent_is_said_before_anything_is_closed(network, run, broker, url, names, proof):
    network = network(dark_after=proof)
    for producer in [run(name, url=through(network, url, broker)) for name in names]:
        producer.wait_for(" [x] Sent")
        assert producer.process.poll() is None, "it has closed its connection, which is dark"
        producer.kill()
