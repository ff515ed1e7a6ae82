"""graceful_worker.py and SIGTERM, which Docker, Kubernetes and systemd send to stop a program."""

import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from brokers.tools import free_port, wait_until
from helpers.expectations import NO_CONNECTION, SOON
from helpers.messages import take

NAME = "graceful_worker.py"
# As process 1 of a container: the kernel keeps signals from it that it does not handle.
ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive", "--preserve-env"]
UNSHARE = [*ROOT, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


@pytest.fixture
def working(run):
    """Start a worker, and give it a task of so many dots."""

    def working(dots, **options):
        worker = run(NAME, **options)
        worker.wait_until_ready()
        assert run("new_task.py", "task" + "." * dots).wait() == 0
        worker.wait_for("Received")
        return worker

    return working


def terminate(worker):
    worker.send_signal(signal.SIGTERM)


def test_a_task_is_finished_and_no_other_is_begun(run, working, channel):
    worker = working(3)
    assert run("new_task.py", "next").wait() == 0
    terminate(worker)
    assert worker.wait() == 0, worker
    assert worker.stdout[1:] == [" [x] Received 'task...'", " [x] Done"]
    assert worker.stderr == []
    method, _, body = take(channel, "task_queue")  # and "task..." is not there any more
    assert (body, method.redelivered) == (b"next", False)


def test_idle(run):
    worker = run(NAME)
    worker.wait_until_ready()
    terminate(worker)
    assert worker.wait(SOON) == 0, worker
    assert worker.stderr == []


def test_idle_after_a_task(working):
    worker = working(0)
    worker.wait_for("Done")
    terminate(worker)
    assert worker.wait(SOON) == 0, worker


def test_in_the_pause_between_two_tries(start):
    worker = start(NAME, url=f"amqp://127.0.0.1:{free_port()}")
    worker.wait_for(NO_CONNECTION, stream="stderr")
    terminate(worker)
    assert worker.wait(SOON) == 0, worker


def test_while_it_connects(start):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        worker = start(NAME, url=f"amqp://127.0.0.1:{silent.getsockname()[1]}")
        silent.settimeout(15)
        with silent.accept()[0] as connection:
            assert connection.recv(4) == b"AMQP"
            terminate(worker)
            assert worker.wait(SOON) == 0, worker


def test_a_second_one_does_not_wait_for_the_task(working, channel):
    worker = working(60)

    def ended():
        if worker.process.poll() is None:
            terminate(worker)  # again and again: two that come at one moment count as one
        return worker.process.poll() is not None

    wait_until(ended, "the worker's end", 10, interval=0.5)
    assert worker.wait() == 0, worker
    method, _, _ = take(channel, "task_queue")
    assert method.redelivered


def test_the_connection_is_lost_while_it_finishes(working, broker, vhost):
    """The task is not done, and no other is begun."""
    worker = working(60)
    terminate(worker)
    broker.close_connections(vhost, "the operator's wish")
    assert worker.wait() == 0, worker
    assert len(worker.stdout) == 2


@pytest.fixture
def as_process_1():
    """The command that runs a script as process 1, and a function that sends a signal to that."""
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    if tried.returncode and not os.environ.get("CI"):
        pytest.skip(f"this user may not make a PID namespace: {tried.stderr.strip()}")

    def send(script, number):
        parent = script.process.pid
        while children := pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text():
            parent = int(children)
        subprocess.run([*ROOT, "kill", f"-{number.name}", str(parent)], check=True)

    return [*UNSHARE, sys.executable], send


def test_as_process_1_of_a_container(working, as_process_1):
    command, send = as_process_1
    worker = working(3, command=command)
    send(worker, signal.SIGTERM)
    assert worker.wait() == 0, worker
    assert worker.stdout[1:] == [" [x] Received 'task...'", " [x] Done"]


def test_worker_py_as_process_1_ignores_sigterm_and_obeys_sigint(run, as_process_1):
    """That is why the page says `init: true` or `stop_signal: SIGINT`."""
    command, send = as_process_1
    worker = run("worker.py", command=command)
    worker.wait_until_ready()
    send(worker, signal.SIGTERM)
    assert run("new_task.py", "later").wait() == 0
    worker.wait_for("Received 'later'")
    send(worker, signal.SIGINT)
    assert worker.wait() == 0, worker
