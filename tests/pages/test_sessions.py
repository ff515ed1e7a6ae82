"""Every session of the course shows what it says, and every block of code is used by one.

A page is read in order: each session is played in the terminals that those before it have left.
"""

import os
import re
import shutil
import subprocess

import pytest

from brokers.docker_or_local import broker_class
from brokers.in_docker import DockerBroker, compose_command
from brokers.tools import ROOT
from course.markdown_page import PAGES, README, blocks
from course.real_terminal import as_here, environment
from course.session_player import Player
from helpers.project_copy import copy_the_project, settings
from helpers.scripts import path_of

BLOCKS = [block for page in PAGES for block in blocks(page)]
SNIPPETS = [block for block in BLOCKS if block.language in ("python", "yaml", "dockerfile")]
SESSIONS = [block for block in BLOCKS if block.language == "console"]
CLUSTER = ROOT / "docs" / "cluster.md"
FILE = r"# (try_\w+(?:\.\w+)?)\n"  # the first line of a block that is a file, with its name
# Pages are read at the same time, in these groups; each has a RabbitMQ of its own.
GROUPS = {README: "readme", CLUSTER: "cluster"}
GROUPS |= {ROOT / "docs" / name: "docs_2" for name in ("failed-tasks.md", "web-applications.md")}


def title(block):
    return f"{block.page.stem}: {block.heading} (line {block.line})"


class Course:
    """A learner's copy of the project, with the snippets as files, in which pages are read.

    :param Path folder: where to copy it to
    """

    def __init__(self, folder):
        self.folder = folder
        copy_the_project(folder)
        self.files = {}
        for snippet in SNIPPETS:
            if name := re.match(FILE, snippet.text):
                self.files[name[1]] = snippet.text
        chosen = settings()
        # An object to ask which RabbitMQ it is; what is started is the commands'.
        self.broker = broker_class()(int(chosen["AMQP_PORT"]), int(chosen["MANAGEMENT_PORT"]))
        for name, text in self.files.items():
            (folder / name).write_text(as_here(text, self.broker), encoding="utf-8")
        url = self.broker.url().replace("127.0.0.1", "localhost")
        path = f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}"
        self.env = {**environment(url), **chosen, "PATH": path}
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
    """Return a session as a parameter, with the group of its page."""
    group = GROUPS.get(session.page, "docs_1")
    marks = [pytest.mark.xdist_group(group)]
    if group == "cluster":
        marks += [pytest.mark.cluster, pytest.mark.timeout(300)]
    return pytest.param(group, session, marks=marks, id=title(session))


@pytest.mark.parametrize(("group", "session"), map(marked, SESSIONS))
def test_session(course, group, session):
    course(group).play(session)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=title)
def test_snippet(snippet):
    """Each is a file that a session uses, or stands in a script, or is a script up to its line."""
    if name := re.match(FILE, snippet.text):
        module = name[1].removesuffix(".py")
        used = [block.text for block in [*SESSIONS, *SNIPPETS] if block is not snippet]
        assert any(re.search(rf"\b{module}\b", text) for text in used) or "yml" in name[1]
    elif source := re.match(r"# in (\w+\.py)\n", snippet.text):
        lines = [line.strip() for line in path_of(source[1]).read_text().splitlines()]
        wanted = [line.strip() for line in snippet.text.splitlines()[1:]]
        assert "\n".join(wanted) in "\n".join(lines)
    else:
        lessons = [path_of(name).read_text() for name in ("send.py", "receive.py")]
        assert snippet.text.strip() in [
            text.partition("# The lesson ends")[0].strip() for text in lessons
        ]
