"""CTRL+C, at any moment."""

import signal
import socket
import time

import pytest

from brokers.tools import free_port
from support.accidents import take
from support.expectations import CONNECTION_FAILED, SOON, assert_leaves_with_ctrl_c, for_each
from support.list_of_lessons import CONSUMERS


@for_each(CONSUMERS)
def test_ctrl_c(run, words):
    consumer = run(*words)
    consumer.wait_until_ready()
    assert_leaves_with_ctrl_c(consumer)
    assert consumer.stderr == []


@for_each(CONSUMERS)
def test_sigterm(run, words):
    consumer = run(*words)
    consumer.wait_until_ready()
    consumer.process.terminate()
    assert consumer.wait(SOON) in (0, -signal.SIGTERM)
    assert "Traceback" not in repr(consumer)


@for_each(CONSUMERS)
def test_ctrl_c_without_a_broker(start, words):
    """After this line it pauses for three seconds: it is asleep when it is interrupted."""
    consumer = start(*words, url=f"amqp://127.0.0.1:{free_port()}")
    consumer.wait_for(CONNECTION_FAILED, stream="stderr")
    assert_leaves_with_ctrl_c(consumer)


@for_each(CONSUMERS)
def test_ctrl_c_while_connecting(start, words):
    """... to a port that accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        consumer = start(*words, url=f"amqp://127.0.0.1:{silent.getsockname()[1]}")
        silent.settimeout(15)
        with silent.accept()[0] as connection:
            assert connection.recv(4) == b"AMQP"
            assert_leaves_with_ctrl_c(consumer)


def test_ctrl_c_of_a_client(run):
    """At whatever it is: publishing, subscribing to its reply queue, waiting for the answer."""
    for moment in range(12):
        client = run("rpc_client.py")
        client.wait_for("Requesting")
        time.sleep(moment / 4000)  # seconds; what it does next takes about three milliseconds
        client.press_ctrl_c()
        assert client.wait(SOON) == 1
        assert client.stderr == [" [!] Interrupted"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_leaving_in_the_middle_of_a_task(run, channel, number):
    """The task is a long one, so that the worker cannot have waited for its end."""
    worker = run("worker.py")
    worker.wait_until_ready()
    assert run("new_task.py", "long" + "." * 60).wait() == 0
    worker.wait_for("Received")
    worker.process.send_signal(number)
    assert worker.wait(SOON) == (0 if number == signal.SIGINT else -signal.SIGTERM)
    assert "Traceback" not in repr(worker)
    assert " [x] Done" not in worker.stdout
    method, _, body = take(channel, "task_queue")
    assert body == b"long" + b"." * 60
    assert method.redelivered
