"""Messages that a test sends and takes itself, as a client in another language would."""

import pika

from brokers.tools import wait_until

REPLY_QUEUE = {"queue": "", "exclusive": True}


def take(channel, queue):
    """Wait for a message in a queue, and take it, so that no script gets it.

    :returns: its method, properties and body
    """
    found = []

    def taken():
        found[:] = channel.basic_get(queue, auto_ack=True)
        return found[0]

    wait_until(taken, f"a message in {queue}", 20)
    return found


def publish(channel, pair, body, properties=None):
    """Send a body to the consumer of a pair."""
    channel.basic_publish(pair.exchange, pair.routing_key, body, properties)


def ask(channel, body, **properties):
    """Send a request to the server of lesson 6."""
    channel.basic_publish("", "rpc_queue", body, pika.BasicProperties(**properties))


def is_empty(channel, queue):
    """Tell whether no message of a queue waits for a consumer."""
    return channel.queue_declare(queue, passive=True).method.message_count == 0


def assert_has_acknowledged_all(worker, channel):
    """Check that a worker, which has no task any more, leaves nothing but the one that it gets now.

    When it has that one, its acknowledgements of all others have been sent.
    """
    last = b"the last" + b"." * 60
    channel.basic_publish("", "task_queue", last)
    worker.wait_for("Received 'the last")
    worker.kill()
    assert take(channel, "task_queue")[-1] == last
    assert is_empty(channel, "task_queue"), worker
