"""background_publisher.py: its class in threads, idle, and when things go wrong.

What it has in common with all producers is tested with them.
"""

import contextlib
import itertools
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest
from background_publisher import Publisher

from brokers.tools import wait_until
from support.accidents import short_of_memory, until_a_silent_connection_is_dropped
from support.list_of_lessons import path_of

QUEUE = "task_queue"


@pytest.fixture
def publisher_for(vhost):
    """Make publishers, which are closed before the virtual host goes: publisher_for(url, ...)."""
    with contextlib.ExitStack() as ends:

        def publisher_for(*urls):
            publisher = Publisher([pika.URLParameters(url) for url in urls])
            ends.callback(publisher.close)
            return publisher

        yield publisher_for


def bodies(url):
    """Take all messages of the queue, and return their bodies as text, in order."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        taken = iter(lambda: channel.basic_get(QUEUE, auto_ack=True), (None, None, None))
        return [body.decode() for _, _, body in taken]


class Sender(threading.Thread):
    """Publishes number after number until it is told to stop; notes what happened to each."""

    def __init__(self, publisher, name):
        super().__init__(daemon=True, name=name)
        self.publisher, self.stop = publisher, threading.Event()
        self.sent, self.unknown = [], []
        self.start()

    def run(self):
        for number in itertools.count():
            body = f"{self.name}{number}"
            try:
                self.publisher.publish("", QUEUE, body, timeout=60)
                self.sent.append(body)
            except pika.exceptions.AMQPConnectionError:
                self.unknown.append(body)
                time.sleep(0.01)  # as somebody would who tries again
            if self.stop.is_set():
                return

    def goes_on(self):
        """Wait until it has sent some more."""
        before = len(self.sent)
        wait_until(lambda: len(self.sent) > before + 5, "more that is sent", 30)

    def end(self):
        self.stop.set()
        self.join(60)
        assert not self.is_alive()


def test_a_hundred_threads(publisher_for, broker, vhost, url):
    publisher = publisher_for(url)
    wanted = [f"{thread}-{number}" for thread in range(100) for number in range(10)]

    def publish(thread):
        for number in range(10):
            publisher.publish("", QUEUE, f"{thread}-{number}")

    with ThreadPoolExecutor(100) as threads:
        list(threads.map(publish, range(100)))
        assert broker.connections(vhost) == 1
    assert sorted(bodies(url)) == sorted(wanted)


def test_idle_for_longer_than_the_broker_waits(publisher_for, broker, vhost, url):
    """A connection beside it, with the same heartbeat and nobody who answers it, is dropped."""
    short = f"{url}?heartbeat=2"
    publisher = publisher_for(short)
    publisher.publish("", QUEUE, "before")
    connection = publisher.connection
    until_a_silent_connection_is_dropped(broker, vhost, short)
    publisher.publish("", QUEUE, "after")
    assert publisher.connection is connection
    assert bodies(url) == ["before", "after"]


def test_an_operator_closes_the_connection_of_an_idle_program(publisher_for, broker, vhost, url):
    publisher = publisher_for(url)
    publisher.publish("", QUEUE, "before")
    broker.close_connections(vhost, "the operator's wish")
    wait_until(lambda: not publisher.connection.is_open, "the loss", 10)
    publisher.publish("", QUEUE, "after")
    assert bodies(url) == ["before", "after"]


@pytest.mark.xdist_group("own_broker")
def test_the_broker_goes_and_comes_back_while_threads_publish(publisher_for, own_broker):
    """What is sent is there, and nothing is there twice."""
    url = own_broker.add_vhost("publisher")
    publisher = publisher_for(url)
    senders = [Sender(publisher, name) for name in ("a", "b")]
    senders[0].goes_on()
    own_broker.restart()  # first of all: RabbitMQ 3.10 can forget a virtual host that is very new
    senders[0].goes_on()
    own_broker.kill()
    own_broker.start()
    for sender in senders:
        sender.goes_on()
        sender.end()
    sent, unknown = (senders[0].sent + senders[1].sent, senders[0].unknown + senders[1].unknown)
    there = bodies(url)
    assert len(there) == len(set(there))
    assert set(sent) <= set(there) <= set(sent + unknown)
    assert unknown, "nothing went wrong"


@pytest.mark.xdist_group("own_broker")
def test_the_broker_blocks_those_who_publish(publisher_for, own_broker):
    url = own_broker.add_vhost("publisher-blocked")
    publisher = publisher_for(f"{url}?blocked_connection_timeout=2")
    publisher.publish("", QUEUE, "before")
    with short_of_memory(own_broker):
        wait_until(lambda: not sends(publisher, "meanwhile"), "the alarm", 30)
    wait_until(lambda: sends(publisher, "after"), "the end of the alarm", 30)
    there = bodies(url)
    assert (there[0], there[-1]) == ("before", "after")


def sends(publisher, body):
    """Publish, and tell whether that went well."""
    try:
        publisher.publish("", QUEUE, body)
    except pika.exceptions.AMQPConnectionError:
        return False
    return True


def test_what_is_too_late_is_never_sent(publisher_for, url):
    """The first broker accepts, and never answers; pika gives it three seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        publisher = publisher_for(f"amqp://127.0.0.1:{port}?stack_timeout=3", url)
        began = time.monotonic()
        for body in ("first", "second"):
            with pytest.raises(pika.exceptions.AMQPConnectionError, match="No confirm in 0.5 s"):
                publisher.publish("", QUEUE, body, timeout=0.5)
        assert time.monotonic() - began < 2.5
        publisher.publish("", QUEUE, "third")
    assert bodies(url) == ["third"]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (("nowhere", "key", "body"), pika.exceptions.ChannelClosedByBroker),
        (("", "nowhere", "body"), pika.exceptions.UnroutableError),
        (("", "k" * 256, "body"), pika.exceptions.ShortStringTooLong),
        (("", QUEUE, 5), AttributeError),
    ],
)
def test_what_is_refused_concerns_nobody_else(publisher_for, broker, vhost, url, message, error):
    publisher = publisher_for(url)
    publisher.publish("", QUEUE, "before")
    with pytest.raises(error):
        publisher.publish(*message)
    publisher.publish("", QUEUE, "after")
    assert bodies(url) == ["before", "after"]
    assert broker.connections(vhost) == 1


def test_properties_and_binary_bodies(publisher_for, url, channel):
    properties = pika.BasicProperties(message_id="5", headers={"a": 1})
    publisher_for(url).publish("", QUEUE, b"\xff", properties)
    _, taken, body = channel.basic_get(QUEUE, auto_ack=True)
    assert (taken.message_id, taken.headers["a"], body) == ("5", 1, b"\xff")


def test_close(publisher_for, broker, vhost, url):
    publisher = publisher_for(url)
    publisher.publish("", QUEUE, "before")
    publisher.close()
    wait_until(lambda: broker.connections(vhost) == 0, "the end of the connection", 10)
    publisher.publish("", QUEUE, "after")  # it connects again
    publisher_for(url).close()  # it has never connected
    assert bodies(url) == ["before", "after"]


@pytest.mark.parametrize("end", ["", "atexit.register(publisher.close)", "raise OSError('a bug')"])
def test_the_program_ends(run, url, end):
    """... while a thread publishes; the interpreter waits for that thread. All "sent" is there."""
    code = f"""
import atexit, os, threading, pika
from background_publisher import Publisher
publisher = Publisher([pika.URLParameters(os.environ["AMQP_URL"])])
def publish():
    for number in range(100):
        publisher.publish("", "task_queue", str(number))
        print(number, flush=True)
thread = threading.Thread(target=publish)
thread.start()
{end}
"""
    beyond = path_of("background_publisher.py").parent
    program = run("-c", code, command=(sys.executable,), cwd=beyond)
    assert program.wait() == (1 if "raise" in end else 0)
    assert len(program.stdout) == 100
    assert bodies(url)[: len(program.stdout)] == program.stdout
