"""Lesson 2: new_task.py and worker.py."""

import ast
import itertools
import re
import time

import pytest

from brokers.tools import ROOT, wait_until
from support.expectations import assert_shows_the_bug
from support.list_of_lessons import MESSAGES

LONG_TASKS = (ROOT / "docs" / "long-tasks.md").read_text(encoding="utf-8")
WORKER = (ROOT / "worker.py").read_text()


def send(run, *tasks, **options):
    """Send each task with new_task.py, one after the other."""
    for task in tasks:
        sender = run("new_task.py", *task.split(), **options)
        assert sender.wait() == 0, sender
        assert sender.stdout == [f" [x] Sent {task!r}"]


def received(worker):
    """The tasks that a worker has begun, in order."""
    return [
        ast.literal_eval(line[len(" [x] Received ") :])
        for line in worker.stdout
        if "Received" in line
    ]


def test_what_the_terminals_show(run):
    worker = run("worker.py")
    worker.wait_until_ready()
    send(run, "First message.")
    worker.wait_for("Done")
    assert worker.stdout == [
        MESSAGES,
        " [x] Received 'First message.'",
        " [x] Done",
    ]
    assert worker.stderr == []


def test_without_arguments(run):
    sender = run("new_task.py")
    assert sender.wait() == 0
    assert sender.stdout == [" [x] Sent 'Hello World!'"]


def test_each_dot_is_a_second_of_work(run):
    times = {}
    worker = run("worker.py", on_line=lambda _, line: times.setdefault(line, time.monotonic()))
    worker.wait_until_ready()
    send(run, "Two seconds..")
    worker.wait_for("Done")
    assert 1.9 < times[" [x] Done"] - times[" [x] Received 'Two seconds..'"] < 4


def test_round_robin(run):
    workers = [run("worker.py"), run("worker.py")]
    for worker in workers:
        worker.wait_until_ready()
    for number in range(4):
        send(run, f"task {number}")
        wait_until(
            lambda n=number: sum(w.stdout.count(" [x] Done") for w in workers) > n, "the task"
        )
    assert sorted(map(received, workers)) == [["task 0", "task 2"], ["task 1", "task 3"]]


def test_two_workers_share_what_is_waiting(run):
    send(run, "one.", "two.", "three.", "four.")
    workers = [run("worker.py"), run("worker.py")]
    wait_until(lambda: sum(w.stdout.count(" [x] Done") for w in workers) == 4, "four tasks", 20)
    assert sorted(itertools.chain(*map(received, workers))) == ["four.", "one.", "three.", "two."]
    assert all(map(received, workers))


def test_fair_dispatch(run):
    busy, free = run("worker.py"), run("worker.py")
    for worker in (busy, free):
        worker.wait_until_ready()
    send(run, "heavy..........")
    wait_until(lambda: received(busy) or received(free), "the heavy task")
    if received(free):
        busy, free = free, busy
    send(run, "light 1", "light 2", "light 3")
    free.wait_for("Done", count=3)
    assert received(busy) == ["heavy.........."]
    assert " [x] Done" not in busy.stdout


def test_a_killed_worker_s_task_is_done_by_another(run):
    first = run("worker.py")
    first.wait_until_ready()
    send(run, "important..")
    first.wait_for("Received 'important..'")
    second = run("worker.py")
    second.wait_until_ready()
    first.kill()
    second.wait_for("Done")
    assert received(second) == ["important.."]
    assert " [x] Done" not in first.stdout


def test_rabbitmqctl_counts_ready_and_unacknowledged(run, broker, vhost):
    def shows(ready, unacked):
        what = f"{ready} ready and {unacked} unacknowledged tasks"
        counts = (ready, unacked)
        wait_until(lambda: broker.messages(vhost, "task_queue") == counts, what, 40, interval=0.5)

    send(run, "one" + "." * 60, "two")
    shows(2, 0)
    worker = run("worker.py")
    worker.wait_for("Received 'one")
    shows(1, 1)
    worker.kill()
    shows(2, 0)


@pytest.fixture
def computing(run, tmp_path):
    """Start a worker.py with the `work` of the course that computes in a thread."""

    def computing(computation="", **options):
        (snippet,) = re.findall(r"# instead of work in worker.py\n(.*?)```", LONG_TASKS, re.DOTALL)
        snippet = snippet.replace("def compute(body):\n", f"def compute(body):\n{computation}")
        original = re.search(r"def work.*?\n\n\n", WORKER, re.DOTALL).group()
        (tmp_path / "worker.py").write_text(WORKER.replace(original, f"{snippet}\n\n"))
        worker = run("worker.py", cwd=tmp_path, **options)
        worker.wait_until_ready()
        return worker

    return computing


def test_a_thread_computes_while_heartbeats_are_answered(run, url, computing):
    """The broker gives up a client that is silent for two heartbeats; the task is longer."""
    worker = computing(url=f"{url}?heartbeat=2")
    send(run, "compute.......", "next")
    worker.wait_for("Done", count=2)
    assert received(worker) == ["compute.......", "next"]
    assert worker.stderr == []


def test_a_thread_that_fails_ends_the_worker_and_gives_the_task_back(run, computing):
    worker = computing("    raise OSError('a bug')\n")
    send(run, "unlucky")
    assert_shows_the_bug(worker, "OSError")
    second = run("worker.py")
    second.wait_for("Done")
    assert received(second) == ["unlucky"]


def test_queue_on_the_wire(run, broker, vhost):
    run("worker.py").wait_until_ready()
    queue = broker.api("GET", "queues", vhost, "task_queue")
    assert (queue["durable"], queue["auto_delete"], queue["exclusive"]) == (True, False, False)
    assert queue["arguments"] == {"x-queue-type": "quorum"}


def test_task_on_the_wire(run, channel):
    send(run, "Hello there...")
    method, properties, body = channel.basic_get("task_queue")
    assert (method.exchange, method.routing_key, body) == ("", "task_queue", b"Hello there...")
    assert properties.delivery_mode == 2


def test_prefetch_and_acknowledgement_on_the_wire(run, broker, vhost):
    run("worker.py").wait_until_ready()

    def consumers():
        return broker.api("GET", "consumers", vhost)

    (consumer,) = wait_until(consumers, "the worker among the consumers", 20)
    assert (consumer["prefetch_count"], consumer["ack_required"]) == (1, True)
