"""How a broker is chosen and started, and when pytest starts one."""

import random
import subprocess
import sys

import pika
import pytest

from brokers import docker_or_local
from brokers.broker import RunningBroker, numbers
from brokers.docker_or_local import broker_class
from brokers.tools import ROOT, BrokerError, free_port, wait_until


def test_a_broker_whose_start_is_interrupted_is_ended():
    class Interrupted(broker_class()):
        def answers(self):  # it has been started, and is waited for
            raise KeyboardInterrupt

    broker = Interrupted()
    with pytest.raises(KeyboardInterrupt), broker:
        pass
    assert not broker.runs()


@pytest.mark.parametrize("version", ["4.4.0", "4.4.0-rc.1", "4.4.0+dev.3"])
def test_versions(version):
    assert numbers(version) == (4, 4, 0)


def test_it_says_only_what_it_has_looked_for(monkeypatch):
    monkeypatch.setenv("BROKER", "local")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(docker_or_local, "command", lambda name: None)
    with pytest.raises(BrokerError, match="^RabbitMQ is not installed on this machine. Install"):
        broker_class()


def test_another_kind(monkeypatch):
    monkeypatch.setenv("BROKER", "podman")
    with pytest.raises(BrokerError, match="it can be docker or local"):
        broker_class()


def test_two_processes_get_different_ports():
    """Even if chance gives both the same."""
    seed = "import random; random.seed(1); from brokers.tools import free_port"
    state = random.getstate()
    random.seed(1)
    taken = free_port()
    random.setstate(state)
    command = [sys.executable, "-c", f"{seed}; print(free_port())"]
    assert int(subprocess.check_output(command, cwd=ROOT / "tests")) != taken


def test_a_broker_that_runs_already(broker):
    """In it, only virtual hosts for tests are made and deleted."""
    management = f"http://127.0.0.1:{broker.management_port}/"
    with RunningBroker(f"amqp://127.0.0.1:{broker.amqp_port}", management) as running:
        url = running.add_vhost("test-running")
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().queue_declare("queue", durable=True)
            wait_until(lambda: running.connections("test-running"), "the connection", 20)
        running.delete_vhost("test-running")
        assert not running.in_alarm()
        for change in (running.add_vhost, running.delete_vhost):
            with pytest.raises(ValueError, match="it is not ours"):
                change("other")
    assert "test-running" not in [vhost["name"] for vhost in broker.api("GET", "vhosts")]
    assert broker.answers()


def test_a_running_broker_without_its_management_plugin():
    with pytest.raises(BrokerError, match=r"management plugin at 127.0.0.1:9 .* refused"):
        RunningBroker("amqp://127.0.0.1:5672", "http://127.0.0.1:9").start()
    assert RunningBroker("amqp://user:word@host").management.geturl() == "http://host:15672"


@pytest.mark.parametrize(
    "options",
    [
        ["--help"],
        ["--collect-only", "-n0", "tests/commands"],
        ["-m", "cluster", "-n0", "-k", "none", "tests/commands"],
    ],
    ids=" ".join,
)
def test_pytest_starts_a_broker_only_for_tests(options):
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode in (0, 5), said  # 5: no tests collected
    assert "Starting RabbitMQ" not in said
    assert "INTERNALERROR" not in said
