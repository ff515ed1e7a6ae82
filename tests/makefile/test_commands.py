"""The commands of the Makefile, in a copy of the project."""

import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

from brokers.tools import ROOT, free_port, listens
from support.copy_of_the_project import copy_the_project, settings


class Copy:
    """A copy of the project, and the ports at which its broker is to be.

    :param Path folder: where to copy it to
    """

    def __init__(self, folder, **options):
        copy_the_project(folder, **options)
        self.folder = folder
        self.ports = settings()
        hidden = [*self.ports, "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "AMQP_URL"]
        self.env = {name: os.environ[name] for name in os.environ if name not in hidden}
        self.env["COMPOSE_PROJECT_NAME"] = self.ports["COMPOSE_PROJECT_NAME"]

    def begin(self, *words, **env):
        """Start `make`, and return the process."""
        return subprocess.Popen(
            ["make", *words],
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def make(self, *words, **env):
        """Run `make`, and return what it prints."""
        return self.begin(*words, **env).communicate(timeout=100)[0]

    def clean(self):
        """End what runs, and delete what is there."""
        clean = self.begin("clean")
        said = clean.communicate(timeout=100)[0]
        assert clean.returncode == 0, said
        assert not (self.folder / ".broker").exists()
        assert not (self.folder / ".venv").exists()


@pytest.fixture
def copy(tmp_path):
    copy = Copy(tmp_path / "lessons")
    yield copy
    copy.clean()


def test_without_a_broker(copy):
    assert "No broker runs here. To start one: make broker" in copy.make("queues", **copy.ports)
    for words in (["kill", "NODE=1"], ["restart", "NODE=1"], ["cost"]):
        assert "No cluster runs here. To start one: make cluster" in copy.make(*words)
    assert "No broker and no cluster runs here." in copy.make("stop", **copy.ports)
    assert not (copy.folder / ".cluster").exists()
    assert not (copy.folder / ".broker").exists()


def test_a_broker_is_found_again(copy, tmp_path):
    """Two are started at once; later commands are not told the ports, and meet a proxy.

    A copy of the folder, with all that is remembered in it, is no concern of this broker.
    """
    for both in [copy.begin("broker", **copy.ports) for _ in range(2)]:
        said = both.communicate(timeout=100)[0]
        assert both.returncode == 0, said
        assert re.search(rf"RabbitMQ \d.* is at .*:{copy.ports['AMQP_PORT']}/", said)
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    assert copy.make("queues", **nowhere).split()[0] == "name"
    assert "The broker runs already." in copy.make("broker")
    assert "The broker runs already." in copy.make("broker", AMQP_PORT=str(free_port()))
    # A terminal that has followed the page about the cluster names three other nodes.
    nodes = "amqp://localhost:1, amqp://localhost:2,amqp://localhost:3"
    said = copy.make("broker", AMQP_URL=nodes)
    assert f"export AMQP_URL=amqp://guest:guest@127.0.0.1:{copy.ports['AMQP_PORT']}/" in said
    assert "Traceback" not in said
    assert "The broker runs. To stop it: make stop" in copy.make("cluster")
    said = subprocess.check_output(
        [copy.folder / ".venv" / "bin" / "rabbitmqctl", "-q", "list_vhosts"],
        cwd=copy.folder,
        env=copy.env,
        text=True,
    )
    assert said.split() == ["name", "/"]
    assert not (copy.folder / ".cluster").exists()
    twin = Copy(tmp_path / "twin")
    shutil.copytree(copy.folder / ".broker", twin.folder / ".broker")
    assert "No broker and no cluster runs here." in twin.make("stop", **twin.ports)
    twin.clean()
    assert copy.make("stop") == "The broker is stopped. It keeps its queues for the next time.\n"
    assert not listens(int(copy.ports["AMQP_PORT"]))
    assert "No broker and no cluster runs here." in copy.make("stop", **copy.ports)


@pytest.mark.cluster
@pytest.mark.xdist_group("cluster")
@pytest.mark.timeout(300)
def test_a_cluster_is_found_again(copy):
    assert "The cluster is ready" in copy.make("cluster", **copy.ports)
    assert "The cluster runs already: 3 of 3 nodes." in copy.make("cluster")
    assert "The cluster runs. To end it, with its data: make stop" in copy.make("broker")
    copy.make("kill", "NODE=1")
    assert not listens(int(copy.ports["AMQP_PORT"]))
    assert copy.make("queues").split()[0] == "name"
    assert copy.make("stop") == "The cluster is stopped, and its data deleted.\n"
    assert "No broker and no cluster runs here." in copy.make("stop", **copy.ports)


def test_a_taken_port(copy):
    """Nothing is left that another command would take for a broker."""
    with socket.create_server(("127.0.0.1", int(copy.ports["AMQP_PORT"]))):
        assert "is taken by another program" in copy.make("broker", **copy.ports)
        assert "is taken by another program" in copy.make("cluster", **copy.ports)
    assert not (copy.folder / ".cluster").exists()
    assert not (copy.folder / ".broker").exists()


@pytest.fixture
def bare(tmp_path):
    """A copy as it is before the first command."""
    copy = Copy(tmp_path / "lessons", venv=False)
    yield copy
    copy.clean()


def test_a_half_made_venv_is_made_anew(bare):
    (bare.folder / ".venv" / "bin").mkdir(parents=True)
    (bare.folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    said = bare.make("cost", f"PYTHON={sys.executable}", **bare.ports)
    assert "No cluster runs here." in said
    assert "Traceback" not in said
    assert (bare.folder / ".venv" / "bin" / "pip").exists()


@pytest.mark.parametrize(("target", "installs"), [("lint", False), ("broker", True)])
def test_only_what_is_for_installing_installs(bare, target, installs):
    """This Python has no venv, and this apt-get only says what it was asked for."""
    programs = bare.folder / "programs"
    programs.mkdir()
    (programs / "python3").write_text("#!/bin/sh\ncase $2 in *ensurepip*) exit 1;; esac\n")
    (programs / "apt-get").write_text("#!/bin/sh\necho apt-get $1; exit 1\n")
    (programs / "sudo").write_text('#!/bin/sh\n"$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    said = bare.make(target, f"PYTHON={programs}/python3", PATH=path, **bare.ports)
    assert "the package python3-venv" in said
    assert ("apt-get update" in said) == installs


def test_help_lists_every_command():
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"\.PHONY: ((?:.*\\\n)*.*)\n", makefile)
    said = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert {line.split()[1] for line in said.splitlines()} == set(phony.split()) - {"help", "\\"}
