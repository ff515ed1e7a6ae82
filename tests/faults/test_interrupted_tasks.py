"""Tasks longer than a heartbeat or than their connection."""

from helpers.scripts import SOME_CONSUMERS, WORKERS, for_each


def test_longer_than_the_heartbeat(run_each, start):
    """The broker gives up a connection that is silent for two heartbeats; these are not."""
    consumers = run_each(SOME_CONSUMERS, "?heartbeat=2")
    for consumer in consumers:
        consumer.wait_until_ready()
    workers = [consumer for consumer in consumers if consumer.words in WORKERS]
    for worker in workers:
        assert start("new_task.py", "long.......", url=worker.url).wait() == 0
    for worker in workers:
        worker.wait_for("Done")
        assert len(worker.stdout) == 3, worker
    for consumer in consumers:
        assert consumer.stderr == []


@for_each(WORKERS)
def test_the_connection_is_closed_in_the_middle(run, broker, vhost, words):
    """The broker gives the task to the next who asks: the same worker, with a new connection.

    The thread of threads_worker.py, which cannot be interrupted, finishes the task all the same.
    """
    worker = run(*words)
    worker.wait_until_ready()
    assert run("new_task.py", "important..").wait() == 0
    worker.wait_for("Received")
    broker.close_connections(vhost, "the operator's wish")
    worker.wait_for("Received", count=2)
    worker.wait_for("Done")
    assert len(worker.stderr) == 1
    assert "the operator's wish" in worker.stderr[0]
