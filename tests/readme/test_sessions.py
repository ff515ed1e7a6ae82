"""Every session of the course shows what it says, and every snippet is run or stands in a script.

A page is read in order: each session is played in the terminals that those before it have left.
"""

import re
import shutil
import subprocess

import pytest

from brokers.docker_or_local import broker_class
from brokers.in_docker import DockerBroker, compose_command
from brokers.tools import ROOT
from demo.__main__ import BEYOND
from support.copy_of_the_project import copy_the_project, settings
from support.list_of_lessons import path_of
from support.markdown_page import PAGES, README, blocks
from support.real_terminal import environment
from support.session_player import Player

BLOCKS = [block for page in PAGES for block in blocks(page)]
SNIPPETS = [block for block in BLOCKS if block.language == "python"]
SESSIONS = [block for block in BLOCKS if block.language == "console"]
LONG_WORK = "# instead of work in retry_worker.py"
CLUSTER = ROOT / "docs" / "past-one-machine.md"


def title(block):
    return f"{block.page.stem}: {block.heading} (line {block.line})"


class Course:
    """A learner's copy of the project, with the snippets as files, in which pages are read.

    :param Path folder: where to copy it to
    """

    def __init__(self, folder):
        self.folder = folder
        copy_the_project(folder)
        for snippet in SNIPPETS:
            if name := re.match(r"# (try_\w+\.py)\n", snippet.text):
                (folder / name[1]).write_text(snippet.text, encoding="utf-8")
        chosen = settings()
        # An object to ask which RabbitMQ it is; what is started is the commands'.
        self.broker = broker_class()(int(chosen["AMQP_PORT"]), int(chosen["MANAGEMENT_PORT"]))
        url = self.broker.url().replace("127.0.0.1", "localhost")
        self.env = {**environment(url), **chosen}
        if isinstance(self.broker, DockerBroker) and compose_command() != ["docker", "compose"]:
            # An engine without Compose: what is installed in .venv becomes its plugin.
            plugins = folder.parent / "docker" / "cli-plugins"
            plugins.mkdir(parents=True)
            (plugins / "docker-compose").symlink_to(shutil.which(compose_command()[0]))
            self.env["DOCKER_CONFIG"] = str(plugins.parent)
        self.page = self.player = self.broken = None

    def make(self, target):
        subprocess.run(["make", target], cwd=self.folder, env=self.env, check=True)

    def open(self, page):
        """Turn to a page. All but the first, and that of the cluster, begin with a broker."""
        self.close()
        self.page, self.player, self.broken = page, Player(self.env, self.folder, self.broker), None
        self.sessions = [session for session in SESSIONS if session.page == page]
        self.played = []
        if page not in (README, CLUSTER):
            self.make("broker")

    def play(self, session):
        """Play a session, and before it those that have to come first."""
        if session.page != self.page:
            self.open(session.page)
        if self.broken:
            pytest.skip(f"it follows on a session that has failed: {title(self.broken)}")
        while session not in self.played:
            following = self.broken = self.sessions[len(self.played)]
            self.player.play(following)
            self.played.append(following)
            self.broken = None
        if session is self.sessions[-1]:
            busy = [name for name, terminal in self.player.terminals.items() if terminal.busy]
            assert not busy, f"the page does not say that terminals {busy} are busy"

    def close(self):
        if self.player:
            self.player.close()


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    """Return the course of a group of tests; each has a broker of its own."""
    courses = {}

    def course(group):
        if group not in courses:
            courses[group] = Course(tmp_path_factory.mktemp(group) / "lessons")
        return courses[group]

    yield course
    for each in courses.values():
        each.close()
        each.make("clean")


def marked(session):
    """Return a session as a parameter: several pages are read at the same time."""
    group = "docs_beyond" if session.page.name in dict(BEYOND) else "docs"
    group = {README: "readme", CLUSTER: "cluster"}.get(session.page, group)
    marks = [pytest.mark.xdist_group(group)]
    if group == "cluster":
        marks += [pytest.mark.cluster, pytest.mark.timeout(300)]
    return pytest.param(group, session, marks=marks, id=title(session))


@pytest.mark.parametrize(("group", "session"), map(marked, SESSIONS))
def test_session(course, group, session):
    course(group).play(session)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=title)
def test_snippet(snippet):
    """Each is a file that a session runs, or stands in a script; the third kind, which replaces a
    part of one, is run by test_2_work_queues.py or test_retry_worker.py."""
    first, rest = snippet.text.split("\n", 1)
    if run := re.fullmatch(r"# (try_\w+\.py)", first):
        commands = (f"$ python {run[1]}", f" {run[1][:-3]}:app")  # or a web server's
        assert any(command in session.text for command in commands for session in SESSIONS)
    elif source := re.fullmatch(r"# in (\w+\.py)", first):
        lines = [line.strip() for line in path_of(source[1]).read_text().splitlines()]
        assert "\n".join(map(str.strip, rest.splitlines())) in "\n".join(lines)
    else:
        assert first in ("# instead of work in worker.py", LONG_WORK)
