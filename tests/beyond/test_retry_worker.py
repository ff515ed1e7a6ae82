"""retry_worker.py, with new_task.py as its producer."""

import ast
import re
import sys
import textwrap
import time

import pika
import pytest

from brokers.tools import ROOT, wait_until
from support.accidents import take, until_a_silent_connection_is_dropped
from support.expectations import (
    SECRET,
    assert_ends_with_a_sentence,
    assert_leaves_with_ctrl_c,
    assert_shows_the_bug,
    assert_still_runs,
    assert_tries_again,
)
from support.list_of_lessons import MESSAGES, path_of
from support.markdown_page import blocks

DEAD = "dead_tasks_of_task_queue"
FAILED = " [x] Failed, try "


@pytest.fixture
def retry_worker(run, tmp_path):
    """Start a copy of retry_worker.py with other delays, in seconds, and a bug in its work."""

    def retry_worker(delays="[1, 1, 1]", bug="pass", **options):
        source = path_of("retry_worker.py").read_text()
        changed, count = re.subn(r"^DELAYS = \[.*?\]", f"DELAYS = {delays}", source, flags=re.M)
        assert count == 1
        # Equal delays have queues of their own: their names are numbered.
        changed = changed.replace(
            '[f"task_queue_after_{delay}_s" for delay in DELAYS]',
            '[f"after_{n}" for n, _ in enumerate(DELAYS)]',
        )
        changed = changed.replace("def work(body):\n", f"def work(body):\n    {bug}\n")
        (tmp_path / "retry_worker.py").write_text(changed)
        worker = run("retry_worker.py", cwd=tmp_path, **options)
        worker.wait_for(MESSAGES)
        return worker

    return retry_worker


def send(run, *words, **options):
    assert run("new_task.py", *words, **options).wait() == 0


def test_a_task_that_does_not_fail(run, broker, vhost, retry_worker):
    worker = retry_worker()
    send(run, "easy.")
    worker.wait_for("Done")
    # The acknowledgement comes a moment after the line.
    wait_until(lambda: broker.messages(vhost, "task_queue") == (0, 0), "the end of the task", 15)
    assert worker.stdout[1:] == [" [x] Received 'easy.'", " [x] Done"]
    assert_leaves_with_ctrl_c(worker)


def test_a_task_that_always_fails(run, retry_worker, channel):
    """It is tried four times, with pauses in between; then it is dead, with the reason."""
    times = []
    worker = retry_worker(
        "[1, 2, 1]", on_line=lambda _, line: line.startswith(FAILED) and times.append(time.time())
    )
    send(run, "fail")
    worker.wait_for(f"{FAILED}4")
    pauses = [after - before for before, after in zip(times, times[1:])]
    assert all(delay <= pause < delay + 2 for delay, pause in zip([0.9, 1.9, 0.9], pauses)), pauses
    _, properties, body = wait_until(
        lambda: (found := channel.basic_get(DEAD))[0] and found, "the dead task", 10
    )
    assert body == b"fail"
    assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
    assert properties.headers["tries"] == 4
    assert ast.literal_eval(properties.headers["why"][len("ValueError(") : -1])
    assert_still_runs(worker)


def test_a_long_reason_and_the_id_of_a_message(retry_worker, channel):
    """A header may not be longer than a frame of 128 KiB. What tells duplicates apart is kept."""
    worker = retry_worker("[1, 1, 1]", bug="raise ValueError('x' * 200_000)")
    properties = pika.BasicProperties(message_id="5", delivery_mode=pika.DeliveryMode.Persistent)
    channel.basic_publish("", "task_queue", b"task", properties)
    worker.wait_for(f"{FAILED}4")
    _, properties, body = take(channel, DEAD)
    assert (properties.message_id, body) == ("5", b"task")
    assert properties.headers["why"].startswith("ValueError('xxx")


def test_a_long_task_in_a_thread(run, broker, vhost, url, tmp_path):
    """The snippet of the page. The task lasts until the broker has dropped a silent connection."""
    (snippet,) = [
        block.text
        for block in blocks(ROOT / "docs" / "retry.md")
        if block.text.startswith("# instead of work(body)")
    ]
    source = path_of("retry_worker.py").read_text()
    call = "        work(body)\n"
    assert source.count(call) == 1
    source = source.replace(call, textwrap.indent(snippet, " " * 8))
    long = "def work(body):\n    while not os.path.exists('over'):\n        time.sleep(0.1)\n"
    source = source.replace("def work(body):\n", long)
    executor = "from concurrent.futures import ThreadPoolExecutor\nthreads = ThreadPoolExecutor()\n"
    (tmp_path / "retry_worker.py").write_text(f"{executor}{source}")
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


def test_others_do_not_wait_for_it(run, retry_worker):
    worker = retry_worker("[30, 1, 1]")
    send(run, "fail")
    worker.wait_for(f"{FAILED}1")
    send(run, "another")
    worker.wait_for("Done")
    assert sum("Received 'fail'" in line for line in worker.stdout) == 1


def test_lost_connections_and_killed_workers_are_no_failures(run, broker, vhost, retry_worker):
    """The task takes twelve seconds; on a busy machine, rabbitmqctl takes some."""
    worker = retry_worker()
    send(run, "fail later" + "." * 12)
    worker.wait_for("Received")
    broker.close_connections(vhost, "the operator's wish")
    worker.wait_for("Received", count=2)
    worker.kill()
    second = retry_worker()
    second.wait_for(FAILED, seconds=30)
    assert second.stdout[-1].startswith(f"{FAILED}1")


@pytest.mark.xdist_group("second_own_broker")
def test_a_broker_that_is_restarted_while_a_task_waits(start, own_broker, retry_worker):
    url = own_broker.add_vhost("retry")
    worker = retry_worker("[6, 1, 1]", url=url)
    send(start, "fail", url=url)
    worker.wait_for(f"{FAILED}1")
    own_broker.restart()
    worker.wait_for(f"{FAILED}2", seconds=40)


def test_it_takes_the_task_that_worker_py_has_left(run, retry_worker):
    worker = run("worker.py")
    worker.wait_until_ready()
    send(run, "easy..")
    worker.wait_for("Received")
    worker.kill()
    retry_worker().wait_for("Done")


def test_refusals_and_bugs(run, start, broker, user, url, tmp_path):
    assert_tries_again(start("retry_worker.py", url=broker.url("/", "guest", SECRET)))
    assert_ends_with_a_sentence(start("retry_worker.py", url=user(configure="^$")), "task_queue")
    source = path_of("retry_worker.py").read_text()
    bug = "def on_task(channel, method, properties, body):\n"
    broken = source.replace(bug, f"{bug}    raise OSError('a bug')\n")
    (tmp_path / "retry_worker.py").write_text(broken)
    worker = run("retry_worker.py", cwd=tmp_path)
    worker.wait_for(MESSAGES)
    send(run, "task")
    assert_shows_the_bug(worker, "OSError")


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


def test_short_enough():
    assert len(path_of("retry_worker.py").read_text().splitlines()) <= 75
    ending = path_of("worker.py").read_text().partition("# The lesson ends here.")[2]
    assert path_of("retry_worker.py").read_text().endswith(ending)
