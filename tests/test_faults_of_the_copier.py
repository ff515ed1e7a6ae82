"""Bugs of whoever has copied a script: each is a traceback and ends it, and none is tried again."""

import re
import sys

import pytest
from broker import wait_until
from faults import CONSUMERS, LESSONS, PRODUCERS, READY, connections, for_each
from terminal import ROOT

BUGS = [
    "OSError",
    "FileNotFoundError",
    "ConnectionError",
    "ConnectionRefusedError",
    "BrokenPipeError",
    "TimeoutError",
    "ValueError",
    "KeyError",
    "RuntimeError",
    "socket.gaierror",
]


def with_a_bug(folder, script, function, bug):
    """Copy a script into a folder, with a function that raises an exception first of all."""
    source = (ROOT / script).read_text()
    mended, count = re.subn(
        rf"^(def (?:{function})\(.*\):\n)", rf"\1    raise {bug}('a bug')\n", source, flags=re.M
    )
    assert count == 1
    (folder / script).write_text(f"import socket\n{mended}")


def is_shown(terminal, bug):
    """Check that a script ends with the traceback of a bug, and says nothing else."""
    assert terminal.wait(20) == 1, terminal
    assert terminal.stderr[0].startswith("Traceback"), terminal
    assert re.fullmatch(rf"{bug}: '?a bug'?", terminal.stderr[-1]), terminal
    assert " [!] " not in "".join(terminal.stderr), terminal


@pytest.mark.parametrize("lesson", LESSONS, ids=[lesson[0][0] for lesson in LESSONS])
def test_a_bug_in_the_callback(run, url, tmp_path, lesson):
    script, producer, _ = lesson
    producer = ("rpc_client.py", "1") if producer == ("rpc_client.py",) else producer
    for bug in BUGS:
        with_a_bug(tmp_path, script[0], "callback|work|on_request", bug)
        consumer = run(*script, cwd=tmp_path)
        consumer.wait_for(READY)
        sender = run(*producer)
        is_shown(consumer, bug)
        assert len(consumer.stdout) == 1, consumer
        sender.kill()


def test_a_task_with_a_bug_is_in_the_queue_again(run, channel, tmp_path):
    with_a_bug(tmp_path, "worker.py", "work", "OSError")
    worker = run("worker.py", cwd=tmp_path)
    worker.wait_for(READY)
    assert run("new_task.py", "unlucky").wait() == 0
    is_shown(worker, "OSError")
    wait_until(lambda: channel.basic_get("task_queue")[2] == b"unlucky", "the task", 15)


@for_each(PRODUCERS + CONSUMERS)
def test_a_bug_in_main(run, tmp_path, script):
    """A producer takes a name that does not resolve, whoever has looked it up, for the broker's."""
    for bug in BUGS if script in CONSUMERS else BUGS[:-1]:
        with_a_bug(tmp_path, script[0], "main", bug)
        is_shown(run(*script, cwd=tmp_path), bug)


def test_a_client_that_cannot_declare_its_queues_leaves_no_connection(run, channel, broker, vhost):
    channel.queue_declare("rpc_queue", durable=True, arguments={"x-queue-type": "classic"})
    code = """
import signal
import pika
import rpc_client
try:
    rpc_client.FibonacciRpcClient()
except pika.exceptions.AMQPChannelError:
    print("refused", flush=True)
signal.pause()  # until the test kills it
"""
    client = run("-c", code, command=(sys.executable,))
    client.wait_for("refused")
    wait_until(lambda: connections(broker, vhost) == 1, "the test's own connection alone", 10)
