"""The commands of the Makefile, in a copy of the project."""

import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

from brokers.tools import ROOT, free_port, listens, wait_until
from helpers.project_copy import copy_the_project, settings

HAS_THE_SETTINGS = ["-q", "eval", "application:get_env(rabbit, cluster_partition_handling)."]


class Copy:
    """A copy of the project, and the ports at which its broker is to be.

    :param Path folder: where to copy it to
    """

    def __init__(self, folder, **options):
        copy_the_project(folder, **options)
        self.folder = folder
        self.ports = settings()
        hidden = [*self.ports, "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARGS", "PIKA", "AMQP_URL"]
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

    def rabbitmqctl(self, *words, **env):
        """Run the rabbitmqctl of an activated terminal in another folder; return what it prints."""
        return subprocess.run(
            [self.folder / ".venv" / "bin" / "rabbitmqctl", *words],
            cwd="/",
            env={**self.env, **env},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def clean(self):
        """End what runs, and delete what is there."""
        clean = self.begin("clean")
        said = clean.communicate(timeout=100)[0]
        assert clean.returncode == 0, said
        assert not (self.folder / ".broker").exists()
        assert not (self.folder / ".venv").exists()


@pytest.fixture
def copy(tmp_path):
    copy = Copy(tmp_path / "the lessons")
    yield copy
    copy.clean()


def test_without_a_broker(copy):
    """Nothing is left that another command would take for a broker."""
    assert "No broker runs here. To start one: make broker" in copy.make("queues", **copy.ports)
    for target in ("kill", "restart"):
        said = copy.make(target, "NODE=1")
        assert "No cluster runs here. To start one: make cluster" in said
    assert "No broker and no cluster runs here." in copy.make("stop", **copy.ports)
    with socket.create_server(("127.0.0.1", int(copy.ports["AMQP_PORT"]))):
        assert "is taken by another program" in copy.make("broker", **copy.ports)
        assert "is taken by another program" in copy.make("cluster", **copy.ports)
    assert not (copy.folder / ".cluster").exists()
    assert not (copy.folder / ".broker").exists()


def test_the_life_of_a_broker(copy, broker, tmp_path):
    """Two are started at once; later commands are not told the ports, and meet a proxy."""
    amqp_port = copy.ports["AMQP_PORT"]
    for both in [copy.begin("broker", **copy.ports) for _ in range(2)]:
        said = both.communicate(timeout=100)[0]
        assert both.returncode == 0, said
        assert re.search(rf"RabbitMQ \d.* is at .*:{amqp_port}/", said)
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    assert copy.make("queues", **nowhere).split()[0] == "name"
    assert "The broker runs. To stop it: make stop" in copy.make("cluster")
    assert not (copy.folder / ".cluster").exists()
    # A terminal that has followed the page about the cluster names three other nodes.
    nodes = "amqp://localhost:1, amqp://localhost:2,amqp://localhost:3"
    said = copy.make("broker", AMQP_URL=nodes, AMQP_PORT=str(free_port()))
    assert "The broker runs already." in said
    assert f"export AMQP_URL=amqp://guest:guest@127.0.0.1:{amqp_port}/" in said
    assert "pause_minority" in copy.rabbitmqctl(*HAS_THE_SETTINGS)
    copy.rabbitmqctl("add_vhost", "kept")

    # A copy of the folder, with all that is remembered in it, is no concern of this broker.
    twin = Copy(tmp_path / "twin")
    shutil.copytree(copy.folder / ".broker", twin.folder / ".broker")
    assert "No broker and no cluster runs here." in twin.make("stop", **twin.ports)

    assert "The broker is stopped. It keeps its queues" in copy.make("stop")
    assert not listens(int(amqp_port))
    copy.make("broker", **copy.ports)
    assert "kept" in copy.rabbitmqctl("-q", "list_vhosts")

    # Its folder is deleted: what another one prints ends it, and no other broker.
    shutil.rmtree(copy.folder, ignore_errors=True)
    said = twin.make("stop", **twin.ports)
    (command,) = re.findall(
        rf"is deleted \({re.escape(str(copy.folder))}.*\). To end it: (.*)", said
    )
    subprocess.run(command, shell=True, check=True, cwd=twin.folder, capture_output=True)
    wait_until(lambda: not listens(int(amqp_port)), "the end of the broker", 30)
    wait_until(lambda: str(copy.folder) not in twin.make("stop", **twin.ports), "its end", 30)
    assert broker.answers()
    shutil.rmtree(copy.folder, ignore_errors=True)
    copy_the_project(copy.folder)
    twin.clean()


@pytest.mark.cluster
@pytest.mark.xdist_group("cluster")
@pytest.mark.timeout(300)
def test_the_life_of_a_cluster(copy):
    assert "The cluster is ready" in copy.make("cluster", **copy.ports)
    assert "The cluster runs already: 3 of 3 nodes." in copy.make("cluster")
    assert "The cluster runs. To end it, with its data: make stop" in copy.make("broker")
    assert "pause_minority" in copy.rabbitmqctl(*HAS_THE_SETTINGS)
    copy.make("kill", "NODE=1")
    assert not listens(int(copy.ports["AMQP_PORT"]))
    assert copy.make("queues").split()[0] == "name"
    assert "Node 1 serves clients." in copy.make("restart", "NODE=1")
    assert listens(int(copy.ports["AMQP_PORT"]))
    assert "The cluster is stopped, and its data deleted." in copy.make("stop")
    assert "No broker and no cluster runs here." in copy.make("stop", **copy.ports)


@pytest.mark.parametrize(
    ("args", "tests", "form", "checks"),
    [
        ("--collect-only -n0 tests/commands", "tests collected", "x = ( 1)", "--> form.py:1:"),
        ("--no-such-option", "unrecognized arguments", "x = 1", "already formatted"),
    ],
    ids=["by its form", "by its tests"],
)
def test_make_test_fails(copy, args, tests, form, checks):
    """The checks of the form come last, also after tests that have failed."""
    (copy.folder / "form.py").write_text(f"{form}\n")
    process = copy.begin("test", f"ARGS={args}")
    said = process.communicate(timeout=100)[0]
    assert process.returncode != 0
    assert said.index(tests) < said.index(checks)


@pytest.fixture
def bare(tmp_path):
    """A copy as it is before the first command."""
    copy = Copy(tmp_path / "lessons", venv=False)
    yield copy
    copy.clean()


def test_a_half_made_venv_is_replaced(bare):
    venv = bare.folder / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / ".ready-demo").touch()
    with socket.create_server(("127.0.0.1", int(bare.ports["AMQP_PORT"]))):
        said = bare.make("broker", f"PYTHON={sys.executable}", **bare.ports)
    assert "is taken by another program" in said
    assert [path.name for path in venv.glob(".ready-*")] == [".ready-lessons"]
    has_pika = [venv / "bin" / "python", "-c", "import pika"]
    assert subprocess.run(has_pika).returncode == 0
    with pytest.raises(subprocess.CalledProcessError) as ended:
        bare.rabbitmqctl("status", **bare.ports)
    assert "No broker runs here." in ended.value.stderr


@pytest.mark.parametrize(("target", "installs"), [("bench", False), ("broker", True)])
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
    (phony,) = re.findall(r"\.PHONY: (.*)\n", makefile)
    said = subprocess.check_output(["make", "--no-print-directory"], cwd=ROOT, text=True)
    table = [re.fullmatch(r"make ([a-z-]+ +)\S.*", line)[1] for line in said.splitlines()]
    assert {target.strip() for target in table} == set(phony.split()) - {"help"}
    assert len({len(target) for target in table}) == 1  # in line
