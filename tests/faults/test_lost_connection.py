"""The connection drops, or the queue is deleted: what every script makes of it."""

import pytest

from brokers.tools import wait_until
from support.accidents import until_blocked
from support.expectations import (
    CONNECTION_FAILED,
    assert_ends_with_a_sentence,
    assert_gets_messages,
    assert_still_runs,
)
from support.list_of_lessons import CONSUMERS, LESSONS, PRODUCERS


def test_connections_closed_by_the_operator(run, url, broker, vhost):
    """Three times; each consumer comes back each time, with one connection."""
    consumers = [run(*words) for words in CONSUMERS]
    for closed in range(4):
        for consumer in consumers:
            consumer.wait_until_ready(count=closed + 1, seconds=30)
        if closed == 3:
            break
        broker.close_connections(vhost, "the operator's wish")
        for consumer in consumers:
            consumer.wait_for("the operator's wish", count=closed + 1, stream="stderr", seconds=30)
    wait_until(lambda: broker.connections(vhost) == len(CONSUMERS), "a connection each", 20)
    for consumer in consumers:
        assert_still_runs(consumer)
        assert len(consumer.stderr) == 3, consumer
        assert_gets_messages(run, url, consumer)


def test_a_client_s_connection_closed_by_the_operator(run, broker, vhost):
    client = run("rpc_client.py")
    client.wait_for("Requesting")
    broker.close_connections(vhost, "the operator's wish")
    assert_ends_with_a_sentence(client, "the operator's wish")


WITH_A_NAMED_QUEUE = [lesson for lesson in LESSONS if not lesson.exchange]


@pytest.mark.parametrize("lesson", WITH_A_NAMED_QUEUE, ids=str)
def test_the_queue_deleted_under_a_consumer(run, channel, lesson):
    consumer = run(*lesson.consumer)
    consumer.wait_until_ready()
    channel.queue_delete(lesson.declares)
    assert_ends_with_a_sentence(consumer, "Was the queue deleted?")


@pytest.mark.xdist_group("own_broker")
def test_the_broker_is_stopped_and_started_and_then_killed_under_everybody(start, own_broker):
    """The producers are caught when they have sent their message, and wait for the confirm.

    Meanwhile two tasks wait for a worker. The stop comes before the kill: what is killed within
    some three seconds after a quorum queue was first declared starts again with that queue empty,
    whatever it has confirmed (seen with RabbitMQ 3.10 and 4.3: its registration reaches the disk a
    little later than its messages).
    """
    url, late, kept = map(own_broker.add_vhost, ["everybody", "late", "kept"])
    assert start("new_task.py", "before the stop", url=kept).wait() == 0
    consumers = [start(*words, url=url) for words in CONSUMERS]
    for consumer in consumers:
        consumer.wait_until_ready()
    own_broker.stop()
    for consumer in consumers:
        consumer.wait_for(CONNECTION_FAILED, stream="stderr", seconds=30)
        assert_still_runs(consumer)
    own_broker.start()
    for consumer in consumers:
        consumer.wait_until_ready(count=2, seconds=30)
        assert_gets_messages(start, url, consumer)
        assert_still_runs(consumer)
    assert start("new_task.py", "before the kill", url=kept).wait() == 0
    said = [len(consumer.stderr) for consumer in consumers]
    own_broker.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
    producers = [start(*words, url=url) for words in PRODUCERS]
    until_blocked(own_broker, "everybody", len(producers))
    own_broker.kill()
    for producer in producers:
        assert_ends_with_a_sentence(producer)
    for consumer, before in zip(consumers, said):
        consumer.wait_for(CONNECTION_FAILED, count=before + 1, stream="stderr", seconds=30)
        assert_still_runs(consumer)
    late_consumers = [start(*words, url=late) for words in CONSUMERS]
    for consumer in late_consumers:
        consumer.wait_for(CONNECTION_FAILED, stream="stderr", seconds=30)
    own_broker.start()
    for consumer, late_consumer in zip(consumers, late_consumers):
        consumer.wait_until_ready(count=3, seconds=30)
        assert_gets_messages(start, url, consumer)
        late_consumer.wait_until_ready(seconds=30)
        assert_gets_messages(start, late, late_consumer)
        assert_still_runs(consumer)
        assert_still_runs(late_consumer)
    worker = start("worker.py", url=kept)
    worker.wait_for("Done", count=2)
    received = [line for line in worker.stdout if "Received" in line]
    assert received == [" [x] Received 'before the stop'", " [x] Received 'before the kill'"]
