"""CTRL+C, at any moment."""

import socket
import time

from brokers.tools import free_port
from helpers.expectations import NO_CONNECTION, SOON, assert_leaves_with_ctrl_c
from helpers.messages import take
from helpers.scripts import RECEIVER, SOME_CONSUMERS, WORKERS, for_each


@for_each(SOME_CONSUMERS)
def test_while_it_waits_for_messages(run, words):
    consumer = run(*words)
    consumer.wait_until_ready()
    assert_leaves_with_ctrl_c(consumer)
    assert consumer.stderr == []


@for_each([RECEIVER, ("graceful_worker.py",)])
def test_in_the_pause_between_two_tries(start, words):
    """After this line it pauses for three seconds."""
    consumer = start(*words, url=f"amqp://127.0.0.1:{free_port()}")
    consumer.wait_for(NO_CONNECTION, stream="stderr")
    assert_leaves_with_ctrl_c(consumer)


def test_while_it_connects(start):
    """... to a port that accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        consumer = start(*RECEIVER, url=f"amqp://127.0.0.1:{silent.getsockname()[1]}")
        silent.settimeout(15)
        with silent.accept()[0] as connection:
            assert connection.recv(4) == b"AMQP"
            assert_leaves_with_ctrl_c(consumer)


@for_each(WORKERS)
def test_in_the_middle_of_a_task(run, channel, words):
    """The task is a long one, so that the worker cannot have waited for its end."""
    worker = run(*words)
    worker.wait_until_ready()
    assert run("new_task.py", "long" + "." * 60).wait() == 0
    worker.wait_for("Received")
    assert_leaves_with_ctrl_c(worker)
    assert "Done" not in repr(worker)
    method, _, body = take(channel, "task_queue")
    assert (body, method.redelivered) == (b"long" + b"." * 60, True)


def test_a_client_that_waits_for_its_answer(run):
    """At whatever it is then: publishing, or waiting; the times are seconds."""
    for moment in range(8):
        client = run("rpc_client.py")
        client.wait_for("Requesting")
        time.sleep(moment / 2000)
        client.press_ctrl_c()
        assert client.wait(SOON) == 1
        assert client.stderr == [" [!] Interrupted"]
