"""Lesson 6: rpc_client.py and rpc_server.py."""

import itertools
import subprocess
import sys

import pika
import pytest

from brokers.tools import ROOT, wait_until
from support.accidents import REPLY_QUEUE, ask, take


def test_what_the_terminals_show(run):
    server = run("rpc_server.py")
    server.wait_until_ready()  # RabbitMQ 3.10 can lose a request while two declare the queue
    client = run("rpc_client.py")
    assert client.wait() == 0, client
    assert client.stdout == [" [x] Requesting fib(30)", " [.] Got 832040"]
    assert server.stdout == [" [x] Awaiting RPC requests", " [.] fib(30)"]
    assert client.stderr == server.stderr == []


@pytest.mark.parametrize(("n", "fib"), [(0, 0), (1, 1), (2, 1), (6, 8), (90, 2880067194370816120)])
def test_numbers(run, n, fib):
    run("rpc_server.py").wait_until_ready()
    client = run("rpc_client.py", str(n))
    assert client.wait() == 0, client
    assert client.stdout == [f" [x] Requesting fib({n})", f" [.] Got {fib}"]


def test_the_client_may_come_first(run):
    client = run("rpc_client.py")
    client.wait_for("Requesting")
    run("rpc_server.py")
    assert client.wait() == 0, client


def test_several_clients_and_servers(run):
    servers = [run("rpc_server.py"), run("rpc_server.py")]
    for server in servers:
        server.wait_until_ready()
    fibs = {5: 5, 10: 55, 15: 610, 20: 6765, 25: 75025, 30: 832040}
    clients = {n: run("rpc_client.py", str(n)) for n in fibs}
    for n, client in clients.items():
        assert client.wait() == 0, client
        assert client.stdout[1] == f" [.] Got {fibs[n]}"
    served = [server.stdout[1:] for server in servers]
    assert all(served)
    assert sorted(itertools.chain(*served)) == sorted(f" [.] fib({n})" for n in fibs)


def test_the_server_on_the_wire(run, channel, broker, vhost):
    run("rpc_server.py").wait_until_ready()
    queue = broker.api("GET", "queues", vhost, "rpc_queue")
    assert (queue["durable"], queue["auto_delete"], queue["exclusive"]) == (True, False, False)
    assert queue["arguments"] == {"x-queue-type": "quorum"}
    (consumer,) = wait_until(lambda: broker.api("GET", "consumers", vhost), "the consumer", 20)
    assert (consumer["prefetch_count"], consumer["ack_required"]) == (1, True)
    replies = channel.queue_declare(**REPLY_QUEUE).method.queue
    ask(channel, "30", reply_to=replies, correlation_id="a client of another language")
    method, properties, body = take(channel, replies)
    assert (method.exchange, body) == ("", b"832040")
    assert properties.correlation_id == "a client of another language"


def test_the_client_on_the_wire(run, channel, broker, vhost):
    client = run("rpc_client.py", "12")
    client.wait_for("Requesting")
    method, request, body = take(channel, "rpc_queue")
    assert (method.exchange, method.routing_key, body) == ("", "rpc_queue", b"12")
    assert request.correlation_id
    queue = broker.api("GET", "queues", vhost, request.reply_to)
    assert queue["name"].startswith("amq.gen-")
    assert (queue["durable"], queue["exclusive"]) == (False, True)
    reply = pika.BasicProperties(correlation_id=request.correlation_id)
    channel.basic_publish("", request.reply_to, "144", reply)
    assert client.wait() == 0, client
    assert client.stdout == [" [x] Requesting fib(12)", " [.] Got 144"]


def test_the_class_that_people_copy(run, url):
    """Several calls on one connection, and close()."""
    run("rpc_server.py").wait_until_ready()
    code = """
import rpc_client
client = rpc_client.FibonacciRpcClient()
print(client.call(6), client.call(7), type(client.call(8)).__name__)
connection = client.channel.connection
print(client.call(30, timeout=0.5), connection.is_open)
client.close()
print(connection.is_open)
"""
    user = run("-c", code, command=(sys.executable,))
    assert user.wait() == 0, user
    assert user.stdout == ["8 13 int", "832040 True", "False"]


def test_each_call_has_a_correlation_id_of_its_own(run, channel):
    code = """
import rpc_client
client = rpc_client.FibonacciRpcClient()
print("connected", flush=True)
print(client.call(1), client.call(2), client.call(3))
client.close()
"""
    client = run("-c", code, command=(sys.executable,))
    client.wait_for("connected")
    ids = set()
    for number in range(3):
        _, request, _ = take(channel, "rpc_queue")
        ids.add(request.correlation_id)
        for late in ids:  # the replies to earlier calls are ignored
            reply = pika.BasicProperties(correlation_id=late)
            answer = f"{number}" if late == request.correlation_id else "999"
            channel.basic_publish("", request.reply_to, answer, reply)
    assert client.wait() == 0, client
    assert client.stdout[1:] == ["0 1 2"]
    assert len(ids) == 3


def test_the_client_acknowledges_replies_on_delivery(run, broker, vhost):
    run("rpc_client.py").wait_for("Requesting")
    (consumer,) = wait_until(lambda: broker.api("GET", "consumers", vhost), "the client", 9)
    assert not consumer["ack_required"]


def test_importing_does_nothing():
    nowhere = {"AMQP_URL": "amqp://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", "import rpc_client"], cwd=ROOT, env=nowhere, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
