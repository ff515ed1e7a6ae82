"""Lesson 1: send.py and receive.py."""

import pytest

from support.list_of_lessons import MESSAGES


@pytest.fixture
def hello(run):
    """What a learner sees in the two terminals."""
    return MESSAGES, " [x] Received 'Hello World!'"


def test_consumer_first(run, hello):
    receiver = run("receive.py")
    receiver.wait_until_ready()
    sender = run("send.py")
    assert sender.wait() == 0
    assert sender.stdout == [" [x] Sent 'Hello World!'"]
    receiver.wait_for("Received")
    assert tuple(receiver.stdout) == hello
    assert receiver.stderr == sender.stderr == []


def test_producer_first(run, hello):
    assert run("send.py").wait() == 0
    receiver = run("receive.py")
    receiver.wait_for("Received")
    assert tuple(receiver.stdout) == hello


def test_each_message_is_received_once(run):
    receiver = run("receive.py")
    receiver.wait_until_ready()
    for _ in range(3):
        assert run("send.py").wait() == 0
    receiver.wait_for("Received", count=3)
    receiver.press_ctrl_c()
    assert receiver.wait() == 0
    assert receiver.stdout.count(" [x] Received 'Hello World!'") == 3
    # Acknowledged on delivery: nothing is left for the next one.
    second = run("receive.py")
    second.wait_until_ready()
    second.press_ctrl_c()
    second.wait()
    assert len(second.stdout) == 1


@pytest.mark.parametrize("script", ["send.py", "receive.py"])
def test_queue_on_the_wire(run, broker, vhost, script):
    run(script).wait_for(" [")
    queue = broker.api("GET", "queues", vhost, "hello")
    assert (queue["durable"], queue["auto_delete"], queue["exclusive"]) == (True, False, False)
    assert queue["arguments"] == {"x-queue-type": "quorum"}


def test_message_on_the_wire(run, channel):
    run("send.py").wait()
    method, _, body = channel.basic_get("hello", auto_ack=True)
    assert (method.exchange, method.routing_key, body) == ("", "hello", b"Hello World!")
