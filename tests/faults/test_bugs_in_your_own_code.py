"""Bugs in your copy of a script: each ends it with a traceback, and none is tried again."""

import sys

import pytest

from brokers.tools import wait_until
from helpers.accidents import callback_of, copy_with_a_bug
from helpers.expectations import assert_shows_the_bug
from helpers.messages import take
from helpers.scripts import ONE_OF_EACH, RECEIVER, SOME_CONSUMERS, SOME_PRODUCERS, pair_of

BUGS = ["OSError", "ConnectionRefusedError", "TimeoutError", "ValueError"]


def each(scripts, *others):
    """Every exception in `scripts`, and an OSError in the others, as parameters."""
    pairs = [(words, bug) for words in scripts for bug in BUGS]
    pairs += [(words, BUGS[0]) for words in others]
    ids = [f"{words[0]}, {bug}" for words, bug in pairs]
    return pytest.mark.parametrize(("words", "bug"), pairs, ids=ids)


@each([RECEIVER], *SOME_CONSUMERS[1:])
def test_a_bug_in_the_callback(run, tmp_path, words, bug):
    copy_with_a_bug(tmp_path, words[0], callback_of(words[0]), bug)
    consumer = run(*words, cwd=tmp_path)
    consumer.wait_until_ready()
    run(*pair_of(words[0]).producer)
    assert_shows_the_bug(consumer, bug)
    assert len(consumer.stdout) == 1, consumer


@each(ONE_OF_EACH, *SOME_PRODUCERS[1:])
def test_a_bug_in_main(run, tmp_path, words, bug):
    copy_with_a_bug(tmp_path, words[0], "main", bug)
    assert_shows_the_bug(run(*words, cwd=tmp_path), bug)


def test_a_task_with_a_bug_is_in_the_queue_again(run, channel, tmp_path):
    copy_with_a_bug(tmp_path, "worker.py", callback_of("worker.py"), "OSError")
    worker = run("worker.py", cwd=tmp_path)
    worker.wait_until_ready()
    assert run("new_task.py", "unlucky").wait() == 0
    assert_shows_the_bug(worker, "OSError")
    method, _, body = take(channel, "task_queue")
    assert (body, method.redelivered) == (b"unlucky", True)


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
    what = "the test's own connection alone"
    wait_until(lambda: len(broker.connections(vhost)) == 1, what, 15)
