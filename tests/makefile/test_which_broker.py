"""Brokers that cannot be had, and what pytest starts."""

import subprocess
import sys

import pytest

from brokers import docker_or_local
from brokers.broker import numbers
from brokers.docker_or_local import broker_class
from brokers.tools import ROOT, BrokerError


def test_a_broker_whose_start_is_interrupted_is_ended():
    class Interrupted(broker_class()):
        def start(self):
            super().start()
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


def test_every_node_runs_the_same_image():
    files = [ROOT / "docker-compose.yml", ROOT / "tests" / "brokers" / "docker-compose.cluster.yml"]
    images = [
        line.strip()
        for file in files
        for line in file.read_text().splitlines()
        if line.strip().startswith("image:")
    ]
    assert len(images) == 2
    assert len(set(images)) == 1


@pytest.mark.parametrize(
    "options",
    [["--help"], ["--markers"], ["--collect-only", "-n0"], ["-m", "cluster", "-n2", "-k", "none"]],
    ids=" ".join,
)
def test_pytest_starts_a_broker_only_for_tests(options):
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode in (0, 5), said  # 5: no tests collected
    assert "Starting RabbitMQ" not in said
    assert "INTERNALERROR" not in said
