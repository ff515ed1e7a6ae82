"""Every session of the README shows what it says, and every snippet is run or stands in a script.

The page is read in order: each session is played in the terminals that those before it have left.
"""

import re
import shutil
import subprocess

import pytest

from brokers.docker_or_local import broker_class
from brokers.in_docker import DockerBroker, compose_command
from brokers.tools import ROOT
from support.copy_of_the_project import copy_the_project, settings
from support.markdown_page import blocks
from support.real_terminal import environment
from support.session_player import Player

BLOCKS = blocks()
CLUSTER = "Past one machine"
SESSIONS = [b for b in BLOCKS if b.language == "console" and b.heading != CLUSTER]
CLUSTER_SESSIONS = [b for b in BLOCKS if b.language == "console" and b.heading == CLUSTER]
SNIPPETS = [block for block in BLOCKS if block.language == "python"]


def titles(things):
    return [f"{thing.heading} (line {thing.line})" for thing in things]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A player in a copy of the project, with the snippets as files.

    What `make broker` starts in it has ports and data of its own, and is gone afterwards.
    """
    folder = tmp_path_factory.mktemp("lessons") / "lessons"
    copy_the_project(folder)
    for snippet in SNIPPETS:
        if name := re.match(r"# (try_\w+\.py)\n", snippet.text):
            (folder / name[1]).write_text(snippet.text, encoding="utf-8")
    chosen = settings()
    ports = int(chosen["AMQP_PORT"]), int(chosen["MANAGEMENT_PORT"])
    docker = broker_class() is DockerBroker
    # An object to ask which RabbitMQ it is; what is started is the commands'.
    broker = broker_class()(*ports)
    env = {**environment(broker.url().replace("127.0.0.1", "localhost")), **chosen}
    if docker and compose_command() != ["docker", "compose"]:
        # An engine without Compose: what is installed beside this Python becomes its plugin.
        plugins = folder.parent / "docker" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(shutil.which(compose_command()[0]))
        env["DOCKER_CONFIG"] = str(plugins.parent)
    player = Player(env, folder, broker)
    player.played, player.broken = [], None
    yield player
    player.close()
    subprocess.run(["make", "clean"], cwd=folder, env=env, check=True, capture_output=True)


def play(page, session, sessions):
    """Play a session, and before it those that have to come first."""
    if page.broken:
        pytest.skip(f"it follows on a session that has failed: {titles([page.broken])[0]}")
    while session not in page.played:
        following = page.broken = sessions[len(page.played)]
        page.play(following)
        page.played.append(following)
        page.broken = None
    if session is sessions[-1]:
        busy = [number for number, terminal in page.terminals.items() if terminal.busy]
        assert not busy, f"something still runs in terminal {busy}, and the page does not say so"


@pytest.mark.xdist_group("readme")
@pytest.mark.parametrize("session", SESSIONS, ids=titles(SESSIONS))
def test_session(page, session):
    play(page, session, SESSIONS)


@pytest.mark.cluster
@pytest.mark.xdist_group("cluster")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("session", CLUSTER_SESSIONS, ids=titles(CLUSTER_SESSIONS))
def test_cluster_session(page, session):
    play(page, session, CLUSTER_SESSIONS)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=titles(SNIPPETS))
def test_snippet(snippet):
    """Each is a file that a session runs, or stands in a script; the third kind, which replaces a
    function, is run by test_2_work_queues.py."""
    first, rest = snippet.text.split("\n", 1)
    if run := re.fullmatch(r"# (try_\w+\.py)", first):
        assert any(f"$ python {run[1]}" in session.text for session in SESSIONS)
    elif source := re.fullmatch(r"# in (\w+\.py)", first):
        lines = [line.strip() for line in (ROOT / source[1]).read_text().splitlines()]
        assert "\n".join(map(str.strip, rest.splitlines())) in "\n".join(lines)
    else:
        assert first == "# instead of work in worker.py"
