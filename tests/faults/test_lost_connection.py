"""The connection drops, or the queue is deleted: what every script makes of it."""

from brokers.tools import wait_until
from helpers.accidents import alarm, until_blocked
from helpers.expectations import (
    NO_CONNECTION,
    assert_ends_with_a_sentence,
    assert_gets_messages,
    assert_still_runs,
)
from helpers.scripts import PAIRS, RECEIVER, SOME_CONSUMERS, SOME_PRODUCERS, for_each

WITH_A_NAMED_QUEUE = [pair.consumer for pair in PAIRS if pair.named_queue]


@for_each(SOME_CONSUMERS)
def test_a_consumer_s_connection_closed_by_an_operator(run, url, broker, vhost, words):
    """Twice; it comes back each time, with one connection."""
    consumer = run(*words)
    for time in (1, 2):
        consumer.wait_until_ready(count=time)
        broker.close_connections(vhost, "the operator's wish")
        consumer.wait_for("CONNECTION_FORCED - the operator's wish", count=time, stream="stderr")
    consumer.wait_until_ready(count=3)
    wait_until(lambda: len(broker.connections(vhost)) == 1, "one connection", 15)
    assert_still_runs(consumer)
    assert len(consumer.stderr) == 2, consumer
    assert_gets_messages(run, url, consumer)


def test_a_client_s_connection_closed_by_an_operator(run, broker, vhost):
    client = run("rpc_client.py")
    client.wait_for("Requesting")
    broker.close_connections(vhost, "the operator's wish")
    assert_ends_with_a_sentence(client, "CONNECTION_FORCED - the operator's wish")


@for_each(WITH_A_NAMED_QUEUE)
def test_the_queue_is_deleted(run, channel, words):
    consumer = run(*words)
    consumer.wait_until_ready()
    queue = {pair.consumer: pair.named_queue for pair in PAIRS}[words]
    channel.queue_delete(queue)
    assert_ends_with_a_sentence(consumer, "Was the queue deleted?")


def test_the_broker_is_restarted_and_then_killed(start, run_each, own_broker):
    """One consumer is started while it is down. One task waits all the time, and one until the
    retry_worker.py that has failed with it is to get it again.

    When the broker is killed, producers have sent their message, and wait for the confirm. A
    broker that is killed within some three seconds after a quorum queue was first declared starts
    again with that queue empty, whatever it has confirmed (seen with RabbitMQ 3.10 and 4.3: its
    registration reaches the disk later than its messages). Here it has been restarted since.
    """
    kept = own_broker.add_vhost("kept")
    assert start("new_task.py", "kept", url=kept).wait() == 0
    consumers = run_each(SOME_CONSUMERS, of=own_broker)
    for consumer in consumers:
        consumer.wait_until_ready()
    (retries,) = [consumer for consumer in consumers if consumer.words[0] == "retry_worker.py"]
    assert start("new_task.py", "fail", url=retries.url).wait() == 0
    retries.wait_for("Failed, try 1")
    own_broker.stop()
    for consumer in consumers:
        consumer.wait_for(NO_CONNECTION, stream="stderr", seconds=30)
        assert_still_runs(consumer)
    late = start(*RECEIVER, url=own_broker.url())
    late.wait_for(NO_CONNECTION, stream="stderr")
    own_broker.start()
    late.wait_until_ready(seconds=30)
    for consumer in consumers:
        consumer.wait_until_ready(count=2, seconds=30)
        assert_gets_messages(start, consumer.url, consumer)
    retries.wait_for("Failed, try 2")

    with alarm(own_broker):
        producers = run_each(SOME_PRODUCERS, of=own_broker)
        until_blocked(own_broker, producers)
        own_broker.kill()
    for producer in producers:
        assert_ends_with_a_sentence(producer)
    own_broker.start()
    for consumer in consumers:
        consumer.wait_until_ready(count=3, seconds=30)
        assert_gets_messages(start, consumer.url, consumer)
        assert_still_runs(consumer)
    start("worker.py", url=kept).wait_for("Received 'kept'")
