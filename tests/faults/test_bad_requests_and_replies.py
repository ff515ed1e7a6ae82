"""Requests and replies that are not as they should be."""

import signal
import sys
import time

import pika
import pytest

from brokers.tools import wait_until
from helpers.accidents import changed_copy
from helpers.expectations import assert_ends_with_a_sentence
from helpers.messages import REPLY_QUEUE, ask, is_empty, take

NOT_ALLOWED = [
    b"",
    b"thirty",
    b"-1",
    b"1000",
    b"1.5",
    b"1_0",
    b"1e2",
    b"30 ",
    b"\xff\xfe",
    "٣".encode(),  # the digit three, in Arabic
    "²".encode(),  # Python's isdigit() is true, and int() fails
    b"30\0",
    b"\x1b]0;evil\a",
    b"9" * 5000,  # int() refuses to convert as much
    b"9" * 2**20,
    b"9" * 9 + b"." * 2**20,
]
NO_NUMBERS = [
    b"",
    b"a number",
    b"\xff\xfe",
    b"\x1b]0;evil\a\x9b1A\r\n [x] Sent",
    "²".encode(),
    b"1.5",
    b"error: too large",
]
REFUSED = ["thirty", "-1", "1000", "", "\udcff", "9" * 5000]  # requests of rpc_client.py
NOBODY = [
    {},
    {"reply_to": "a queue that is gone", "correlation_id": "1"},
    {"reply_to": "amq.rabbitmq.reply-to.bogus"},
    {"reply_to": "amq.rabbitmq.reply-to."},
    {"reply_to": b"\xff\xfe"},
    {"reply_to": b"a\0b"},
    {"reply_to": "r" * 255, "correlation_id": "c" * 255},
    {"reply_to": "rpc_queue"},
]


@pytest.fixture
def servers(run):
    """Two servers: a request that ends one of them would be given to the other next."""
    servers = []
    for _ in range(2):  # one after the other: RabbitMQ 3.10 may fail (541) if both declare at once
        servers.append(run("rpc_server.py"))
        servers[-1].wait_until_ready()
    yield servers
    for server in servers:
        assert server.process.poll() is None, server
        assert server.stdout.count(" [x] Awaiting RPC requests") == 1, server  # no reconnection
        assert server.stderr == []


@pytest.fixture
def answered(channel, servers):
    """Send a request with a usable reply_to, and return the reply."""
    replies = channel.queue_declare(**REPLY_QUEUE).method.queue

    def answered(body, correlation_id):
        ask(channel, body, reply_to=replies, correlation_id=correlation_id)
        _, properties, answer = take(channel, replies)
        assert properties.correlation_id == correlation_id
        return answer

    return answered


def test_a_request_that_is_not_allowed_gets_an_error(answered):
    """The error is no number, and no port takes its beginning for one."""
    for number, body in enumerate(NOT_ALLOWED):
        answer = answered(body, f"bad {number}")
        assert answer.strip()[:1].isalpha(), body[:20]
        with pytest.raises(ValueError, match="invalid literal"):
            int(answer)
        assert answered(b"10", f"good {number}") == b"55"


def test_the_largest_request_is_answered(answered):
    a, b = 0, 1
    for _ in range(999):
        a, b = b, a + b
    assert int(answered(b"999", "the largest")) == a


@pytest.mark.parametrize("body", [b"5", b"thirty"])
def test_a_request_whose_sender_cannot_be_answered(channel, answered, body):
    for number, properties in enumerate(NOBODY):
        ask(channel, body, **properties)
        # One for each server.
        assert answered(b"10", f"good {number}") == b"55", properties
        assert answered(b"10", f"good {number} again") == b"55", properties
    wait_until(lambda: is_empty(channel, "rpc_queue"), "the end of the requests", 15)


def test_a_correlation_id_that_is_not_utf_8(answered):
    assert answered(b"10", b"\xff\xfe") == b"55"


def test_a_client_that_has_left(servers, channel, url, answered):
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        leaver = connection.channel()
        gone = leaver.queue_declare(**REPLY_QUEUE).method.queue
    ask(channel, b"30", reply_to=gone)
    assert answered(b"10", "1") == b"55"


def test_direct_reply_to(servers, channel):
    """Clients of other languages may use this pseudo-queue for the replies."""
    answers = []
    channel.basic_consume(
        "amq.rabbitmq.reply-to", lambda *delivery: answers.append(delivery[-1]), auto_ack=True
    )
    for body in (b"10", b"thirty"):
        ask(channel, body, reply_to="amq.rabbitmq.reply-to")
    wait_until(
        lambda: channel.connection.process_data_events(0.1) or len(answers) == 2, "two answers", 15
    )
    assert b"55" in answers
    assert any(answer.startswith(b"error") for answer in answers)


def test_requests_are_answered_in_order(run, channel):
    replies = channel.queue_declare(**REPLY_QUEUE).method.queue
    run("rpc_server.py").wait_until_ready()
    for number in range(20):
        ask(channel, b"1", reply_to=replies, correlation_id=str(number))
    answers = [take(channel, replies)[1].correlation_id for _ in range(20)]
    assert answers == [str(number) for number in range(20)]


# Replies


CALLS = """
import sys, rpc_client
client = rpc_client.FibonacciRpcClient()
print("Requesting", flush=True)
for n in sys.argv[2:]:
    try:
        print(client.call(n, timeout=float(sys.argv[1])), flush=True)
    except (TimeoutError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", flush=True)
client.close()
"""


@pytest.fixture
def calling(run):
    """Start a program that calls several times: calling(timeout, n, n)."""

    def calling(timeout, *requests):
        client = run("-c", CALLS, str(timeout), *requests, command=(sys.executable,))
        client.wait_for("Requesting")
        return client

    return calling


@pytest.fixture
def request_of(channel):
    """Wait for the request of a client, and return a function that replies to it."""

    def request_of():
        _, request, _ = take(channel, "rpc_queue")

        def reply(body, **properties):
            properties = {"correlation_id": request.correlation_id, **properties}
            channel.basic_publish("", request.reply_to, body, pika.BasicProperties(**properties))

        return reply

    return request_of


def test_replies_to_somebody_else_are_ignored(run, request_of):
    client = run("rpc_client.py")
    client.wait_for("Requesting")
    reply = request_of()
    reply(b"1", correlation_id=None)
    reply(b"2", correlation_id="somebody else")
    reply(b"3", correlation_id=b"\xff\xfe")
    reply(b"error: 4", correlation_id="somebody else")
    reply(b"832040")
    assert client.wait() == 0, client
    assert client.stdout[1:] == [" [.] Got 832040"]


def test_a_stream_of_replies_to_somebody_else_is_not_endless(calling, request_of):
    """There is always one to look at. The client must look at the clock, too.

    A slow stream: a fast one has pauses, whenever the broker makes us wait for the client.
    """
    client = calling(3, "30")
    reply = request_of()

    def client_has_ended():
        reply(b"1", correlation_id="somebody else")
        return client.process.poll() is not None

    wait_until(client_has_ended, "the client's end", 20, interval=0.01)
    assert client.wait() == 0, client
    assert client.stdout[1].startswith("TimeoutError: No answer in 3.0 seconds")


def test_replies_that_are_no_numbers(calling, request_of):
    client = calling(30, *map(str, range(len(NO_NUMBERS))))
    for number, body in enumerate(NO_NUMBERS, 1):
        request_of()(body)
        assert client.wait_for("The server answered", count=number).isprintable()
    assert client.wait() == 0, client


def test_the_server_refuses_the_client(run):
    server = run("rpc_server.py")
    server.wait_until_ready()
    for client in [run("rpc_client.py", n) for n in REFUSED]:
        assert assert_ends_with_a_sentence(client, "The request failed: ").isprintable()
    assert run("rpc_client.py", "10").wait() == 0
    server.wait_for("fib(10)")


def test_an_answer_that_came_in_time_to_a_client_that_could_not_look(calling, request_of):
    """It is stopped, as a laptop that is closed, and goes on after its deadline of 3 seconds."""
    client = calling(3, "30")
    reply = request_of()
    deadline = time.monotonic() + 3
    client.send_signal(signal.SIGSTOP)
    reply(b"832040")
    wait_until(lambda: time.monotonic() > deadline, "the deadline")
    client.send_signal(signal.SIGCONT)
    assert client.wait() == 0, client
    assert client.stdout[1:] == ["832040"]


def test_a_late_reply_to_an_earlier_call(calling, request_of):
    """Each call has an id of its own: the client waits on for the answer to its second."""
    client = calling(1, "1", "2")
    late = request_of()
    client.wait_for("TimeoutError")
    reply = request_of()
    late(b"1111")
    reply(b"2222")
    assert client.wait() == 0, client
    assert client.stdout[2:] == ["2222"]


def test_a_request_that_rabbitmq_refuses_is_told_at_once(start, user):
    """... though there would be an hour to wait; the connection can be closed in good order."""
    code = """
import pika, rpc_client
client = rpc_client.FibonacciRpcClient()
try:
    client.call(30, timeout=3600)
except pika.exceptions.AMQPChannelError:
    print(client.connection.is_open)
    client.close()
    print(client.connection.is_open)
"""
    client = start("-c", code, command=(sys.executable,), url=user(write="^$"))
    assert client.wait() == 0, client
    assert client.stdout == ["True", "False"]


def test_close_of_a_connection_that_is_lost(run, broker, vhost):
    """The first error is the one that counts; close() adds none."""
    code = """
import pika, rpc_client
client = rpc_client.FibonacciRpcClient()
print("Requesting", flush=True)
try:
    client.call(30, timeout=3600)
finally:
    client.close()
"""
    client = run("-c", code, command=(sys.executable,))
    client.wait_for("Requesting")
    broker.close_connections(vhost, "the operator's wish")
    assert client.wait() == 1
    assert "the operator's wish" in client.stderr[-1]
    assert "During handling" not in repr(client)


def test_no_server(run, channel):
    """One request is left in the queue, and expires. One is taken, and never answered."""
    clients = [run("rpc_client.py"), run("rpc_client.py")]
    for client in clients:
        client.wait_for("Requesting")
    _, request, _ = take(channel, "rpc_queue")
    assert 0 < int(request.expiration) <= 10_000
    for client in clients:
        assert_ends_with_a_sentence(client, "No answer in 10 seconds. Does rpc_server.py run?")
    wait_until(lambda: is_empty(channel, "rpc_queue"), "the end of the request", 15)


def test_another_server_takes_over(run, tmp_path):
    """The first, which is slow, is killed when it has got the request, and has not answered."""
    changed_copy(
        tmp_path,
        "rpc_server.py",
        {"def fib(n):\n": "def fib(n):\n    while True:\n        time.sleep(1)\n"},
    )
    changed_copy(tmp_path, "rpc_client.py", {"timeout=10": "timeout=60"})
    first = run("rpc_server.py", cwd=tmp_path)
    first.wait_until_ready()
    client = run("rpc_client.py", cwd=tmp_path)
    first.wait_for("fib(30)")
    second = run("rpc_server.py")
    second.wait_until_ready()
    first.kill()
    assert client.wait(50) == 0, client
    assert client.stdout[1:] == [" [.] Got 832040"]
    assert second.stdout[1:] == [" [.] fib(30)"]
