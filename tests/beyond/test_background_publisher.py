"""background_publisher.py: its class in threads, idle, and when things go wrong.

What it has in common with all producers is tested with them.
"""

import contextlib
import itertools
import os
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest
from background_publisher import NotSent, PerhapsSent, Publisher, declare

from brokers.tools import wait_until
from helpers.accidents import alarm, until_a_silent_connection_is_dropped
from helpers.network import Network
from helpers.scripts import BEYOND

QUEUE = {"exchange": "", "routing_key": "task_queue"}


@pytest.fixture
def publisher_for(vhost, monkeypatch):
    """Make publishers, which are closed before the virtual host goes: publisher_for(url)."""
    with contextlib.ExitStack() as ends:

        def publisher_for(url, declare=declare):
            monkeypatch.setenv("AMQP_URL", url)
            publisher = Publisher(declare)
            ends.callback(publisher.close, timeout=3)
            return publisher

        yield publisher_for


def bodies(url):
    """Take all messages of the queue, and return their bodies as text, in order."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        taken = iter(lambda: channel.basic_get("task_queue", auto_ack=True), (None, None, None))
        return [body.decode() for _, _, body in taken]


class Sender(threading.Thread):
    """Publishes number after number until it is told to stop; notes what happened to each."""

    def __init__(self, publisher, name):
        super().__init__(daemon=True, name=name)
        self.publisher, self.stop = publisher, threading.Event()
        self.sent, self.perhaps = [], []
        self.start()

    def run(self):
        for number in itertools.count():
            body = f"{self.name}{number}"
            try:
                self.publisher.publish(**QUEUE, body=body, timeout=60)
                self.sent.append(body)
            except PerhapsSent:
                self.perhaps.append(body)
            except NotSent:
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
            publisher.publish(**QUEUE, body=f"{thread}-{number}")

    with ThreadPoolExecutor(100) as threads:
        list(threads.map(publish, range(100)))
        wait_until(lambda: len(broker.connections(vhost)) == 1, "one connection", 15)
    assert sorted(bodies(url)) == sorted(wanted)


def test_idle_for_longer_than_the_broker_waits(publisher_for, broker, vhost, url):
    """A connection beside it, with the same heartbeat and nobody who answers it, is dropped."""
    short = f"{url}?heartbeat=2"
    publisher = publisher_for(short)
    publisher.publish(**QUEUE, body="before")
    connection = publisher.connection
    until_a_silent_connection_is_dropped(broker, vhost, short)
    publisher.publish(**QUEUE, body="after")
    assert publisher.connection is connection
    assert bodies(url) == ["before", "after"]


def test_an_operator_closes_the_connection_of_an_idle_program(publisher_for, broker, vhost, url):
    publisher = publisher_for(url)
    publisher.publish(**QUEUE, body="before")
    broker.close_connections(vhost, "the operator's wish")
    wait_until(lambda: not publisher.connection.is_open, "the loss", 10)
    publisher.publish(**QUEUE, body="after")
    assert bodies(url) == ["before", "after"]


def test_the_broker_goes_and_comes_back_while_threads_publish(publisher_for, own_broker):
    """What is sent is there, what is not sent is not, and nothing is there twice."""
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
    sent = {body for sender in senders for body in sender.sent}
    perhaps = {body for sender in senders for body in sender.perhaps}
    there = bodies(url)
    assert len(there) == len(set(there))
    assert sent <= set(there) <= sent | perhaps
    assert perhaps, "nothing went wrong"


def test_the_broker_blocks_those_who_publish(publisher_for, own_broker):
    url = own_broker.add_vhost("publisher-blocked")
    publisher = publisher_for(f"{url}?blocked_connection_timeout=2")
    publisher.publish(**QUEUE, body="before")
    with alarm(own_broker):
        wait_until(lambda: not sends(publisher, "meanwhile"), "the alarm", 30)
    wait_until(lambda: sends(publisher, "after"), "the end of the alarm", 30)
    there = bodies(url)
    assert (there[0], there[-1]) == ("before", "after")


def sends(publisher, body):
    """Publish, and tell whether that went well."""
    try:
        publisher.publish(**QUEUE, body=body)
    except PerhapsSent:
        return False
    return True


@pytest.fixture
def silent():
    """The port of somebody who accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield server.getsockname()[1]


def test_what_is_too_late_is_never_sent(publisher_for, url, silent):
    """The first broker accepts, and never answers; pika gives it three seconds."""
    publisher = publisher_for(f"amqp://127.0.0.1:{silent}?stack_timeout=3,{url}")
    began = time.monotonic()
    for body in ("first", "second"):
        with pytest.raises(NotSent, match="There was no time for it in 0.5 seconds"):
            publisher.publish(**QUEUE, body=body, timeout=0.5)
    assert time.monotonic() - began < 2.5
    publisher.publish(**QUEUE, body="third")
    assert bodies(url) == ["third"]


def test_only_the_one_that_was_begun_is_perhaps_sent(publisher_for, broker, url):
    """No confirm comes for the first; the second waits behind it, and is certainly not sent."""
    with Network(broker.amqp_port, dark_after=pika.spec.Queue.DeclareOk) as network:
        dark = url.replace(f":{broker.amqp_port}/", f":{network.port}/")
        publisher = publisher_for(f"{dark}?heartbeat=1")
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(publisher.publish, **QUEUE, body="first", timeout=2)
            wait_until(lambda: publisher.channel, "the channel", 15)
            connection = publisher.connection
            second = threads.submit(publisher.publish, **QUEUE, body="second", timeout=1)
            assert isinstance(second.exception(15), NotSent)
            assert isinstance(first.exception(15), PerhapsSent)
            assert "No confirm in 2 seconds" in str(first.exception())
        network.come_back()
        wait_until(lambda: not connection.is_open, "pika to notice", 30)
        publisher.publish(**QUEUE, body="third")
    assert [body for body in bodies(url) if body != "first"] == ["third"]


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ({"exchange": "nowhere", "routing_key": "", "body": ""}, "ChannelClosedByBroker: .*404"),
        ({"exchange": "", "routing_key": "nowhere", "body": ""}, "UnroutableError"),
        ({"exchange": "", "routing_key": "k" * 256, "body": ""}, "ShortStringTooLong"),
        ({**QUEUE, "body": 5}, "AttributeError|TypeError"),  # the second is pika 1.3's
        ({**QUEUE, "body": {"json": "as it is"}}, "AttributeError|TypeError|KeyError"),
        ({**QUEUE, "body": "", "colour": "red"}, "TypeError"),
    ],
)
def test_what_is_refused_concerns_nobody_else(publisher_for, broker, vhost, url, message, cause):
    publisher = publisher_for(url)
    publisher.publish(**QUEUE, body="before")
    with pytest.raises(NotSent, match=cause) as caught:
        publisher.publish(**message)
    assert type(caught.value.__cause__).__name__ in str(caught.value)
    publisher.publish(**QUEUE, body="after")
    assert bodies(url) == ["before", "after"]
    wait_until(lambda: len(broker.connections(vhost)) == 1, "one connection", 15)


def test_no_connection_is_documented_whatever_pika_raises(publisher_for, silent):
    for url, cause in (
        (f"amqp://127.0.0.1:{silent}?stack_timeout=1", "Timeout"),
        ("amqp://no-such-host.invalid", "Name or service not known"),
        ('"amqp://localhost"', "AMQP_URL should be like"),
    ):
        with pytest.raises(NotSent, match=cause):
            publisher_for(url).publish(**QUEUE, body="")


def test_what_is_declared_is_the_caller_s(publisher_for, broker, vhost, url, channel):
    """An error in it is told, and leaves no channel behind."""
    errors = [OSError("a bug"), pika.exceptions.ChannelClosedByBroker(406, "refused"), None]

    def declare(channel):
        channel.exchange_declare(exchange="mine", exchange_type="fanout")
        if error := errors.pop(0):
            raise error

    publisher = publisher_for(url, declare)
    for cause in ("OSError: a bug", "ChannelClosedByBroker"):
        with pytest.raises(NotSent, match=cause):
            publisher.publish(exchange="mine", routing_key="", body="")
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "mine")
    publisher.publish(exchange="mine", routing_key="", body="taken")
    assert channel.basic_get(queue, auto_ack=True)[-1] == b"taken"
    assert errors == []
    wait_until(
        lambda: sum(each["vhost"] == vhost for each in broker.api("GET", "channels")) == 2,
        "one channel of the publisher's, and the test's own",
        20,
    )


def test_a_queue_that_was_deleted_is_declared_again(publisher_for, url, channel):
    publisher = publisher_for(url)
    publisher.publish(**QUEUE, body="before")
    channel.queue_delete("task_queue")
    with pytest.raises(NotSent, match="unroutable"):
        publisher.publish(**QUEUE, body="lost")
    publisher.publish(**QUEUE, body="after")
    assert bodies(url) == ["after"]


def test_properties_and_binary_bodies(publisher_for, url, channel):
    properties = pika.BasicProperties(message_id="5", headers={"a": 1})
    publisher_for(url).publish(**QUEUE, body=b"\xff", properties=properties)
    _, taken, body = channel.basic_get("task_queue", auto_ack=True)
    assert (taken.message_id, taken.headers["a"], body) == ("5", 1, b"\xff")


def test_close(publisher_for, broker, vhost, url):
    publisher = publisher_for(url)
    publisher.publish(**QUEUE, body="before")
    publisher.close()
    wait_until(lambda: not broker.connections(vhost), "the end of the connection", 10)
    publisher.publish(**QUEUE, body="after")  # it connects again
    publisher_for(url).close()  # it has never connected
    assert bodies(url) == ["before", "after"]


HANDLER = """
import logging, sys, time
from background_publisher import NotSent, Publisher, declare
publisher = Publisher(declare)
class Handler(logging.Handler):
    def emit(self, record):
        try:
            publisher.publish(exchange="", routing_key="task_queue", body=self.format(record))
            print("sent", record.name, flush=True)
        except NotSent as error:
            print(f"{record.name}: {error}", flush=True)
logging.basicConfig(level=sys.argv[1], handlers=[Handler()])
began = time.monotonic()
logging.getLogger("mine").error("a line")
print("took", time.monotonic() - began, flush=True)
"""


@pytest.mark.parametrize("level", ["DEBUG", "WARNING"])
@pytest.mark.parametrize("nobody", [True, False], ids=["nobody listens", "a broker"])
def test_a_log_handler_that_publishes(start, url, level, nobody):
    """pika logs, too, in the publisher's thread. If that came to the handler, the thread would wait
    for the handler's lock, which the thread that waits for the publisher holds."""
    url = "amqp://127.0.0.1:1" if nobody else url
    program = start("-c", HANDLER, level, command=(sys.executable,), cwd=BEYOND, url=url)
    assert program.wait() == 0, program
    line, took = program.stdout
    assert "Connection refused" in line if nobody else line == "sent mine"
    assert float(took.split()[1]) < 5


def test_a_call_in_the_publisher_s_own_thread(publisher_for, url):
    """... refuses at once, and close() does not wait either."""
    errors = []

    def declares_and_publishes(channel):
        declare(channel)
        publisher.close()
        try:
            publisher.publish(**QUEUE, body="inner")
        except NotSent as error:
            errors.append(str(error))

    publisher = publisher_for(url, declares_and_publishes)
    publisher.publish(**QUEUE, body="outer", timeout=5)
    assert errors == ["The publisher's own thread cannot wait for itself."]


def test_after_a_fork(publisher_for, url):
    """gunicorn --preload, uWSGI without --lazy-apps: an error at once that says what to do."""
    publisher = publisher_for(url)
    publisher.publish(**QUEUE, body="parent")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        began = time.monotonic()
        with contextlib.suppress(BaseException):
            publisher.publish(**QUEUE, body="child")
            os.write(write, b"no error")
        try:
            publisher.publish(**QUEUE, body="child")
        except NotSent as error:
            os.write(write, f"{error}".encode())
        publisher.close()
        os.write(write, b", in time" if time.monotonic() - began < 5 else b", too late")
        os._exit(0)
    os.close(write)
    with open(read) as said:
        text = said.read()
    os.waitpid(child, 0)
    assert text.startswith("The publisher's thread is gone. After a fork, make a new Publisher.")
    assert text.endswith("in time")
    publisher.publish(**QUEUE, body="parent again")
    assert bodies(url) == ["parent", "parent again"]


@pytest.mark.parametrize("end", ["", "atexit.register(publisher.close)", "raise OSError('a bug')"])
def test_the_program_ends(run, url, end):
    """... while a thread publishes; the interpreter waits for that thread. All "sent" is there."""
    code = f"""
import atexit, threading
from background_publisher import Publisher, declare
publisher = Publisher(declare)
def publish():
    for number in range(100):
        publisher.publish(exchange="", routing_key="task_queue", body=str(number))
        print(number, flush=True)
thread = threading.Thread(target=publish)
thread.start()
{end}
"""
    program = run("-c", code, command=(sys.executable,), cwd=BEYOND)
    assert program.wait() == (1 if "raise" in end else 0)
    assert len(program.stdout) == 100
    assert bodies(url)[: len(program.stdout)] == program.stdout


def test_the_program_ends_though_the_network_is_dark(start, broker, url):
    """close() gives up after its 20 seconds, and the daemon thread holds up nobody."""
    code = """
import atexit, threading, time
from background_publisher import Publisher, declare
publisher = Publisher(declare)
atexit.register(publisher.close)
publisher.publish(exchange="", routing_key="task_queue", body="")
print("published", flush=True)
"""
    with Network(broker.amqp_port, dark_after=pika.spec.Basic.Ack) as network:
        dark = url.replace(f":{broker.amqp_port}/", f":{network.port}/")
        program = start("-c", code, command=(sys.executable,), cwd=BEYOND, url=dark)
        program.wait_for("published")
        assert program.wait(25) == 0


def test_a_machine_without_shared_memory(start, url, tmp_path):
    """AWS Lambda has no /dev/shm that can be written: multiprocessing.pool would need it."""
    code = """
import _multiprocessing
def no_shared_memory(*arguments):
    raise OSError(30, "Read-only file system")
_multiprocessing.SemLock = no_shared_memory
from background_publisher import Publisher, declare
publisher = Publisher(declare)
publisher.publish(exchange="", routing_key="task_queue", body="")
publisher.close()
"""
    program = start("-c", code, command=(sys.executable,), cwd=BEYOND, url=url)
    assert program.wait() == 0, program
