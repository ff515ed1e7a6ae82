"""Lesson 6: rpc_client.py, rpc_server.py, and the class that people copy."""

import subprocess
import sys

from brokers.tools import ROOT

FIBS = {0: 0, 1: 1, 2: 1, 6: 8, 30: 832040, 90: 2880067194370816120}


def test_several_clients_and_servers(run):
    servers = []
    for _ in range(2):  # one after the other: RabbitMQ 3.10 may fail (541) if both declare at once
        servers.append(run("rpc_server.py"))
        servers[-1].wait_until_ready()
    clients = {n: run("rpc_client.py", str(n)) for n in FIBS}
    for n, client in clients.items():
        assert client.wait() == 0, client
        assert client.stdout == [f" [x] Requesting fib({n})", f" [.] Got {FIBS[n]}"]
    served = [line for server in servers for line in server.stdout[1:]]
    assert sorted(served) == sorted(f" [.] fib({n})" for n in FIBS)
    assert all(len(server.stdout) > 1 for server in servers), "one has done all the work"


def test_the_client_may_come_first(run):
    client = run("rpc_client.py")
    client.wait_for("Requesting")
    run("rpc_server.py")
    assert client.wait() == 0, client
    assert client.stdout[1:] == [" [.] Got 832040"]


def test_the_class_that_people_copy(run):
    """Several calls on one connection, and close()."""
    run("rpc_server.py").wait_until_ready()
    code = """
import rpc_client
client = rpc_client.FibonacciRpcClient()
print(client.call(6), client.call(7), type(client.call(8)).__name__)
connection = client.connection
print(client.call(30, timeout=5), connection.is_open)
client.close()
print(connection.is_open)
"""
    program = run("-c", code, command=(sys.executable,))
    assert program.wait() == 0, program
    assert program.stdout == ["8 13 int", "832040 True", "False"]


def test_importing_does_nothing():
    done = subprocess.run(
        [sys.executable, "-c", "import rpc_client"],
        cwd=ROOT,
        env={"AMQP_URL": "amqp://127.0.0.1:1"},
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
