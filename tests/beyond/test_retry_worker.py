"""retry_worker.py, with new_task.py as its producer."""

import re
import sys
import time

import amqp
import pika
import pytest

from brokers.tools import ROOT
from course.markdown_page import blocks
from helpers.accidents import alarm, changed_copy, until_a_silent_connection_is_dropped
from helpers.expectations import (
    assert_ends_with_a_sentence,
    assert_still_runs,
)
from helpers.messages import assert_has_acknowledged_all, take
from helpers.scripts import MESSAGES, path_of

DEAD = "dead_tasks"
FAILED = " [x] Failed, try "


@pytest.fixture
def retry_worker(run, tmp_path):
    """Start a copy of retry_worker.py with other delays, in seconds, and a bug in its work."""

    def retry_worker(delays=(1, 1, 1), bug="pass", **options):
        source = path_of("retry_worker.py").read_text()
        queues = {f"after_{place}": delay for place, delay in enumerate(delays)}
        changed, count = re.subn(r"^DELAYS = .*$", f"DELAYS = {queues}", source, flags=re.M)
        assert count == 1
        work = "def work(connection, body):\n"
        assert changed.count(work) == 1
        changed = changed.replace(work, f"{work}    {bug}\n")
        (tmp_path / "retry_worker.py").write_text(changed)
        worker = run("retry_worker.py", cwd=tmp_path, **options)
        worker.wait_for(MESSAGES)
        return worker

    return retry_worker


def send(run, *words, **options):
    assert run("new_task.py", *words, **options).wait() == 0


def test_a_task_that_does_not_fail(run, channel, retry_worker):
    worker = retry_worker()
    send(run, "easy.")
    worker.wait_for("Done")
    assert worker.stdout[1:] == [" [x] Received 'easy.'", " [x] Done"]
    assert_has_acknowledged_all(worker, channel)


def test_a_task_that_always_fails(run, retry_worker, channel):
    """It is tried four times, with pauses in between; then it is dead, with the reason."""
    times = []
    worker = retry_worker(
        [1, 2, 1], on_line=lambda _, line: line.startswith(FAILED) and times.append(time.time())
    )
    began = time.time()
    send(run, "fail")
    worker.wait_for(f"{FAILED}4")
    assert all(at - began >= after for at, after in zip(times, [0, 1, 1 + 2, 1 + 2 + 1])), times
    _, properties, body = take(channel, DEAD)
    assert body == b"fail"
    assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
    assert properties.headers["tries"] == 4
    assert properties.headers["why"] == "ValueError('this task always fails')"
    assert_still_runs(worker)


def dead(worker, channel):
    """Wait until a task is dead, and take it."""
    worker.wait_for(f"{FAILED}4")
    return take(channel, DEAD)[1:]


def test_a_long_reason(retry_worker, channel):
    """A header may not be longer than a frame of 128 KiB."""
    worker = retry_worker(bug="raise ValueError('x' * 200_000)")
    channel.basic_publish("", "task_queue", b"task")
    properties, _ = dead(worker, channel)
    assert properties.headers["why"].startswith("ValueError('xxx")


def test_what_a_task_has_goes_with_it(retry_worker, channel, vhost):
    """... but for what would make RabbitMQ do something with it."""
    worker = retry_worker(bug="raise ValueError")
    channel.queue_declare("copies", exclusive=True)
    properties = pika.BasicProperties(
        content_type="application/json",
        correlation_id="7",
        message_id="8",
        reply_to="somewhere",
        user_id=vhost,  # the user has its name
        expiration="60000",
        headers={"mine": {"a": [1, "b"]}, "x-mine": 2, "CC": ["copies"], "BCC": ["copies"]},
    )
    channel.basic_publish("", "task_queue", b"task", properties)
    properties, body = dead(worker, channel)
    assert body == b"task"
    assert properties.content_type == "application/json"
    assert (properties.correlation_id, properties.message_id) == ("7", "8")
    assert properties.reply_to == "somewhere"
    assert (properties.user_id, properties.expiration) == (None, None)
    assert properties.headers["mine"] == {"a": [1, "b"]}
    assert properties.headers["x-mine"] == 2
    assert not {"CC", "BCC"} & set(properties.headers)
    assert channel.queue_declare("copies", passive=True).method.message_count == 1  # the first


def test_headers_that_pika_can_read_but_not_write(retry_worker, broker, vhost, channel):
    """A fraction, for instance: another client, Celery's, sends one. The task is kept without."""
    worker = retry_worker(bug="raise ValueError")
    with amqp.Connection(f"127.0.0.1:{broker.amqp_port}", virtual_host=vhost) as connection:
        message = amqp.Message("task", application_headers={"fraction": 1.5, "in": [0.5]})
        connection.channel().basic_publish(message, routing_key="task_queue")
    properties, body = dead(worker, channel)
    assert (body, properties.headers["tries"]) == (b"task", 4)
    assert_still_runs(worker)


@pytest.mark.parametrize("tries", ["two", None, -9, [1], 2**62])
def test_the_header_tries_of_somebody_else(retry_worker, channel, tries):
    worker = retry_worker([30, 30, 30], bug="raise ValueError")
    channel.basic_publish("", "task_queue", b"x", pika.BasicProperties(headers={"tries": tries}))
    line = worker.wait_for(FAILED)
    assert line.startswith(f"{FAILED}{2**62 + 1 if tries == 2**62 else 1}: ")
    assert_still_runs(worker)


def test_a_task_that_was_dead_before(retry_worker, channel):
    """By its header, RabbitMQ 3.10 would take it for one that goes in circles, and keep it."""
    worker = retry_worker([1], bug="raise ValueError")
    death = {"queue": "task_queue", "reason": "delivery_limit", "count": 1, "exchange": ""}
    properties = pika.BasicProperties(headers={"x-death": [{**death, "routing-keys": []}]})
    channel.basic_publish("", "task_queue", b"x", properties)
    worker.wait_for(f"{FAILED}2")


def long_worker(folder):
    """Make a copy of retry_worker.py with the `work` of the page, which lasts until a file "over"
    appears."""
    (snippet,) = [
        block.text
        for block in blocks(ROOT / "docs" / "failed-tasks.md")
        if block.text.startswith("# try_long_work.py")
    ]
    lasting = """
import os


def compute(body):
    while not os.path.exists("over"):
        time.sleep(0.1)
    if b"fail" in body:
        raise ValueError("this task always fails")
"""
    (folder / "try_long_work.py").write_text(snippet + lasting)
    imported = "from try_long_work import work\n\n\ndef short_work("
    changed_copy(folder, "retry_worker.py", {"def work(": imported})


@pytest.mark.xdist_group("second_own_broker")
def test_an_alarm(start, own_broker, tmp_path):
    """The worker holds the task, says so once, and keeps its connection; the heartbeat is short."""
    url = own_broker.add_vhost("retry-alarm")
    long_worker(tmp_path)
    worker = start("retry_worker.py", cwd=tmp_path, url=f"{url}?heartbeat=1")
    worker.wait_for(MESSAGES)
    send(start, "fail", url=url)
    worker.wait_for("Received")
    with alarm(own_broker):
        (tmp_path / "over").touch()
        worker.wait_for("RabbitMQ does not take the task yet", stream="stderr")
        sender = start("send.py", url=url)  # whose own limit is ten seconds
        assert_ends_with_a_sentence(sender, "Blocked", seconds=30)
    worker.wait_for(f"{FAILED}2", seconds=30)
    assert worker.stdout.count(MESSAGES) == 1
    assert len(worker.stderr) == 1


def test_a_long_task_in_a_thread(run, broker, vhost, url, tmp_path):
    """The task lasts until the broker has dropped a silent connection."""
    long_worker(tmp_path)
    short = f"{url}?heartbeat=2"
    worker = run("retry_worker.py", cwd=tmp_path, url=short)
    worker.wait_for(MESSAGES)
    send(run, "fail")
    worker.wait_for("Received")
    until_a_silent_connection_is_dropped(broker, vhost, short)
    (tmp_path / "over").touch()
    worker.wait_for(f"{FAILED}2")
    assert worker.stdout[2].startswith(f"{FAILED}1")
    assert worker.stderr == []


def test_the_connection_is_lost_during_a_long_task(run, broker, vhost, tmp_path):
    """That is no failure of the task: the worker connects again, and gets it again."""
    long_worker(tmp_path)
    worker = run("retry_worker.py", cwd=tmp_path)
    worker.wait_for(MESSAGES)
    send(run, "fail")
    worker.wait_for("Received")
    broker.close_connections(vhost, "the operator's wish")
    worker.wait_for("Received", count=2, seconds=30)
    (tmp_path / "over").touch()
    worker.wait_for(FAILED)
    assert worker.stdout[-1].startswith(f"{FAILED}1")
    assert len(worker.stderr) == 1


def test_others_do_not_wait_for_it(run, retry_worker):
    worker = retry_worker([30, 1, 1])
    send(run, "fail")
    worker.wait_for(f"{FAILED}1")
    send(run, "another")
    worker.wait_for("Done")
    assert sum("Received 'fail'" in line for line in worker.stdout) == 1


def test_lost_connections_and_killed_workers_are_no_failures(run, broker, vhost, retry_worker):
    worker = retry_worker()
    send(run, "fail later...")
    worker.wait_for("Received")
    broker.close_connections(vhost, "the operator's wish")
    worker.wait_for("Received", count=2)
    worker.kill()
    second = retry_worker()
    second.wait_for(FAILED, seconds=30)
    assert second.stdout[-1].startswith(f"{FAILED}1")


def test_it_takes_the_task_that_worker_py_has_left(run, retry_worker):
    worker = run("worker.py")
    worker.wait_until_ready()
    send(run, "easy..")
    worker.wait_for("Received")
    worker.kill()
    retry_worker().wait_for("Done")


def test_a_reader_that_leaves_gives_the_task_back(run, channel):
    """The pipe takes the lines "Waiting" and "Received"; "Done" finds nobody who reads it."""
    reader = 'for n in 1 2; do IFS= read -r line; echo "$line"; done'
    pipeline = f"{sys.executable} {path_of('retry_worker.py')} | {{ {reader}; }}"
    shell = run("-c", pipeline, command=("/bin/bash",))
    shell.wait_for(MESSAGES)
    send(run, "task.")
    assert shell.wait() == 0, shell  # the reader's status
    method, properties, body = take(channel, "task_queue")
    assert (body, method.redelivered) == (b"task.", True)
    assert not properties.headers or "tries" not in properties.headers
