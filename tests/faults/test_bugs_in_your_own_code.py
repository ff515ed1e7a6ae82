"""Bugs in your copy of a script: each ends it with a traceback, and none is tried again."""

import sys

import pytest

from brokers.tools import wait_until
from support.accidents import copy_with_a_bug
from support.expectations import assert_shows_the_bug, for_each
from support.list_of_lessons import LESSONS, ONE_OF_EACH, SCRIPTS

BUGS = [
    "OSError",
    "ValueError",
    "FileNotFoundError",
    "ConnectionError",
    "ConnectionRefusedError",
    "BrokenPipeError",
    "TimeoutError",
    "KeyError",
    "RuntimeError",
    "socket.gaierror",
]


def bugs_for(words):
    """All of them for one script of a kind; the others have the same ending, word for word."""
    return BUGS if words in ONE_OF_EACH else BUGS[:2]


@pytest.mark.parametrize("lesson", LESSONS, ids=str)
def test_a_bug_in_the_callback(run, tmp_path, lesson):
    for bug in bugs_for(lesson.consumer):
        copy_with_a_bug(tmp_path, lesson.consumer[0], "callback|work|on_request", bug)
        consumer = run(*lesson.consumer, cwd=tmp_path)
        consumer.wait_until_ready()
        producer = run(*lesson.producer)
        assert_shows_the_bug(consumer, bug)
        assert len(consumer.stdout) == 1, consumer
        producer.kill()


def test_a_task_with_a_bug_is_in_the_queue_again(run, channel, tmp_path):
    copy_with_a_bug(tmp_path, "worker.py", "work", "OSError")
    worker = run("worker.py", cwd=tmp_path)
    worker.wait_until_ready()
    assert run("new_task.py", "unlucky").wait() == 0
    assert_shows_the_bug(worker, "OSError")
    wait_until(lambda: channel.basic_get("task_queue")[2] == b"unlucky", "the task", 15)


@for_each(SCRIPTS)
def test_a_bug_in_main(run, tmp_path, words):
    for bug in bugs_for(words):
        copy_with_a_bug(tmp_path, words[0], "main", bug)
        assert_shows_the_bug(run(*words, cwd=tmp_path), bug)


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
    wait_until(lambda: broker.connections(vhost) == 1, "the test's own connection alone", 10)
