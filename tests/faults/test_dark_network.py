"""The network swallows everything, and closes nothing: a cable, a firewall, a machine that hangs.

pika notices when it has heard nothing for two heartbeats and ten seconds at most. The heartbeat is
in the URL here, and so is the time for a connection attempt, both in seconds.
"""

import pika
import pytest

from helpers.expectations import (
    NO_CONNECTION,
    assert_ends_with_a_sentence,
    assert_gets_messages,
    assert_leaves_with_ctrl_c,
    assert_still_runs,
)
from helpers.network import Network
from helpers.scripts import RECEIVER, SOME_CONSUMERS, SOME_PRODUCERS, WORKERS

QUICK = "?heartbeat=1&stack_timeout=3"


def test_consumers_notice_it_and_come_back(run_each, start, broker):
    """Each worker is in the middle of a task; one more receiver leaves before it notices."""
    with Network(broker.amqp_port) as network:
        consumers = run_each([*SOME_CONSUMERS, RECEIVER], QUICK, through=network)
        for consumer in consumers:
            consumer.wait_until_ready()
            if consumer.words in WORKERS:
                task = start("new_task.py", "long" + "." * 60, url=consumer.url)
                assert task.wait() == 0
                consumer.wait_for("Received 'long")
        network.go_dark()
        assert_leaves_with_ctrl_c(consumers.pop())
        for consumer in consumers:  # and once more, because the next try meets the same
            consumer.wait_for(NO_CONNECTION, count=2, stream="stderr", seconds=60)
            assert_still_runs(consumer)
        network.come_back()
        for consumer in consumers:
            consumer.wait_until_ready(count=2, seconds=30)
            if consumer.words not in WORKERS:  # they have to wait for the long task again
                assert_gets_messages(start, consumer.url, consumer)
            assert_still_runs(consumer)


def test_producers_notice_it(run_each, broker):
    """They wait for the answer to their first command."""
    with Network(broker.amqp_port, dark_after=pika.spec.Channel.OpenOk) as network:
        for producer in run_each(SOME_PRODUCERS, QUICK, through=network):
            assert_ends_with_a_sentence(producer, "missed heartbeats", seconds=40)


@pytest.mark.parametrize(
    ("names", "proof"),
    [
        (["send.py", "new_task.py"], pika.spec.Basic.Ack),
        (["emit_log.py", "emit_log_direct.py", "emit_log_topic.py"], pika.spec.Channel.CloseOk),
    ],
    ids=["confirmed", "channel closed"],
)
def test_sent_is_said_before_anything_is_closed(run_each, broker, names, proof):
    with Network(broker.amqp_port, dark_after=proof) as network:
        for producer in run_each([(name,) for name in names], QUICK, through=network):
            producer.wait_for(" [x] Sent")
            assert producer.process.poll() is None, "it has closed its connection, which is dark"
            producer.kill()
