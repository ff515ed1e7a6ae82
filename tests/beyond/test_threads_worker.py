"""threads_worker.py. Faults that all workers meet are tested in faults/."""

import time

from helpers.accidents import changed_copy
from helpers.expectations import SOON, assert_shows_the_bug, assert_still_runs
from helpers.messages import assert_has_acknowledged_all, publish, take
from helpers.scripts import pair_of

TASKS = 4  # at the same time
PAIR = pair_of("threads_worker.py")


def ready(run, **options):
    worker = run("threads_worker.py", **options)
    worker.wait_until_ready()
    return worker


def test_as_many_tasks_at_once_as_there_are_threads(run, channel):
    """One of three seconds, five of a minute: when one is done, the next is begun."""
    worker = ready(run)
    for number in range(TASKS + 2):
        publish(channel, PAIR, f"{number}{'.' * (60 if number else 3)}")
    worker.wait_for("Received", count=TASKS)
    worker.wait_for("Done '0...'")
    worker.wait_for("Received '4")
    assert sum("Received" in line for line in worker.stdout) == TASKS + 1
    worker.kill()
    left = sorted(take(channel, "task_queue")[-1][:1] for _ in range(TASKS + 1))
    assert left == [b"1", b"2", b"3", b"4", b"5"]


def test_tasks_that_are_done_do_not_come_back(run, channel):
    worker = ready(run)
    for number in range(20):
        publish(channel, PAIR, f"{number}")
    worker.wait_for("Done", count=20)
    assert_has_acknowledged_all(worker, channel)


def test_a_task_that_raises_ends_the_worker_though_another_goes_on(run, channel, tmp_path):
    """... within a second, with its traceback; both tasks are in the queue again."""
    bug = '    if body == b"bug":\n        raise OSError("a bug")\n'
    work = "def work(body):\n"
    changed_copy(tmp_path, "threads_worker.py", {work: work + bug})
    worker = ready(run, cwd=tmp_path)
    publish(channel, PAIR, "a minute" + "." * 60)
    worker.wait_for("Received 'a minute")
    publish(channel, PAIR, "bug")
    worker.wait_for("Received 'bug'")
    began = time.monotonic()
    assert_shows_the_bug(worker, "OSError")
    assert time.monotonic() - began < SOON
    assert sorted(take(channel, "task_queue")[-1][:3] for _ in range(2)) == [b"a m", b"bug"]


def test_late_acknowledgements_of_a_lost_connection_do_no_harm(run, broker, vhost):
    """The tasks are done twice, which the page says, and acknowledged once."""
    worker = ready(run)
    for number in range(TASKS):
        assert run("new_task.py", f"{number}........").wait() == 0
    worker.wait_for("Received", count=TASKS)
    broker.close_connections(vhost, "the operator's wish")
    worker.wait_for("Received", count=2 * TASKS)
    worker.wait_for("Done", count=TASKS)
    assert_still_runs(worker)
    assert len(worker.stderr) == 1, worker
