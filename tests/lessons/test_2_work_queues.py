"""Lesson 2: new_task.py and worker.py. The course's sessions show more of it."""

import ast
import time

from brokers.tools import wait_until


def send(run, *tasks):
    """Send each task with new_task.py, one after the other."""
    for task in tasks:
        sender = run("new_task.py", *task.split())
        assert sender.wait() == 0, sender
        assert sender.stdout == [f" [x] Sent {task!r}"]


def received(worker):
    """The tasks that a worker has begun, in order."""
    return [
        ast.literal_eval(line[len(" [x] Received ") :])
        for line in worker.stdout
        if "Received" in line
    ]


def test_without_arguments(run):
    sender = run("new_task.py")
    assert sender.wait() == 0
    assert sender.stdout == [" [x] Sent 'Hello World!'"]


def test_each_dot_is_a_second_of_work(run):
    worker = run("worker.py")
    worker.wait_until_ready()
    began = time.monotonic()
    send(run, "two seconds..")
    worker.wait_for("Done")
    assert time.monotonic() - began > 2


def test_idle_workers_take_turns(run):
    workers = [run("worker.py"), run("worker.py")]
    for worker in workers:
        worker.wait_until_ready()
    for number in range(4):
        send(run, f"task {number}")
        done = number + 1
        wait_until(lambda n=done: sum(w.stdout.count(" [x] Done") for w in workers) == n, "it")
    assert sorted(map(received, workers)) == [["task 0", "task 2"], ["task 1", "task 3"]]


def test_a_busy_worker_is_given_nothing(run):
    """What waits is not dealt out in advance: the free worker gets all of it."""
    send(run, "heavy" + "." * 60)
    busy = run("worker.py")
    busy.wait_for("Received 'heavy")
    send(run, "light 1", "light 2", "light 3")
    free = run("worker.py")
    free.wait_for("Done", count=3)
    assert received(free) == ["light 1", "light 2", "light 3"]
    assert len(received(busy)) == 1
