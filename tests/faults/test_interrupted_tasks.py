"""Tasks longer than a heartbeat or than their connection."""

from brokers.tools import wait_until
from support.accidents import is_empty
from support.list_of_lessons import CONSUMERS


def test_a_task_longer_than_the_heartbeat_is_done_once(run, url, broker, vhost, channel):
    """The broker gives up a connection that is silent for two heartbeats. The idle may not be."""
    consumers = [run(*words, url=f"{url}?heartbeat=2") for words in CONSUMERS]
    for consumer in consumers:
        consumer.wait_until_ready()
    assert run("new_task.py", "long.......").wait() == 0
    worker = consumers[CONSUMERS.index(("worker.py",))]
    worker.wait_for("Done")
    wait_until(lambda: broker.messages(vhost, "task_queue")[1] == 0, "the acknowledgement", 15)
    assert is_empty(channel, "task_queue")
    assert worker.stdout[1:] == [" [x] Received 'long.......'", " [x] Done"]
    assert [consumer.stderr for consumer in consumers] == [[]] * len(CONSUMERS)


def test_the_connection_closed_in_the_middle_of_a_task(run, broker, vhost):
    """The broker gives the task to the next who asks, which is the same worker once more."""
    worker = run("worker.py")
    worker.wait_until_ready()
    assert run("new_task.py", "important" + "." * 16).wait() == 0
    worker.wait_for("Received")
    broker.close_connections(vhost, "the operator's wish")  # takes seconds on a busy machine
    worker.wait_for("Received", count=2)
    worker.wait_for("Done", seconds=40)
    wait_until(lambda: broker.messages(vhost, "task_queue")[1] == 0, "the acknowledgement", 15)
    assert worker.stdout.count(" [x] Done") == 1
    assert len(worker.stderr) == 1
    assert "the operator's wish" in worker.stderr[0]
