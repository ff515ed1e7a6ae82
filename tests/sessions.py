"""Reads the sessions out of README.md and plays them, each line in a real terminal.

A session is a block of the language `console`. In it,

    # terminal 1                      says in which window the following happens; after a comma may
                                      stand a condition ("# terminal 1, RabbitMQ 4.3 or newer"),
                                      and all up to the next such line is only for those who meet it
    $ python send.py                  is typed; the command ends by itself if another follows
                                      in the same terminal before a key is pressed there
    $ make queues  # repeat until ..  is typed again and again, until it shows what follows
    ^C                                a key is pressed, and this is what the terminal shows then
    anything else                     is what the terminal shows, whole and in this order

In what is shown, … stands for whatever differs from one time to the next, and a line of it alone
for any number of lines. The ports of the broker at hand are shown as 5672 and 15672.
"""

import os
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
from broker import DockerBroker
from markdown_it import MarkdownIt
from terminal import ROOT, obey_ctrl_c

README = ROOT / "README.md"
DEADLINE = 100  # seconds for a line to appear; a cluster that loses a node may take a minute
KEYS = {"^C": "\x03", "^\\": "\x1c"}
PROMPT = "(ready) "


@dataclass
class Step:
    """Something typed or pressed in a terminal, and what that terminal shows then."""

    terminal: str
    condition: str = ""
    command: str = ""
    key: str = ""
    output: list = field(default_factory=list)
    goes_on: bool = False  # the command does not end by itself


@dataclass
class Block:
    """A fenced block of the page: its text, its language, its place and what it belongs to."""

    heading: str
    language: str
    text: str
    line: int
    steps: list = field(default_factory=list)


def blocks(path=README):
    """Return the fenced blocks of a Markdown file in order, the sessions with their steps."""
    found, heading = [], ""
    tokens = MarkdownIt().parse(path.read_text())
    for token, following in zip(tokens, [*tokens[1:], None]):
        if token.type == "heading_open" and token.tag == "h2":
            heading = following.content
        elif token.type == "fence":
            found.append(Block(heading, token.info, token.content, token.map[0] + 1))
    sessions = [block for block in found if block.language == "console"]
    for block in sessions:
        block.steps = steps(block.text)
    # What a terminal is asked next tells whether its command has to end before.
    following = {}
    for step in reversed([step for block in sessions for step in block.steps]):
        after = following.get(step.terminal)
        step.goes_on = bool(after and not after.command)
        following[step.terminal] = step
    return found


def steps(text):
    """Return the steps of a session."""
    result, terminal, condition = [], "1", ""
    for line in text.splitlines():
        if header := re.fullmatch(r"# terminal (\d)(?:, (.*))?", line):
            terminal, condition = header[1], header[2] or ""
            result.append(Step(terminal, condition))
        elif line.startswith("$ "):
            result.append(Step(terminal, condition, command=line[2:]))
        elif line[:2] in KEYS:
            result.append(Step(terminal, condition, key=line[:2], output=[line]))
        elif result:
            result[-1].output.append(line)
        else:
            result.append(Step(terminal, condition, output=[line]))
    return [step for step in result if step.command or step.output]


def environment(url):
    """Return the environment variables of a terminal in which the README's commands work.

    :param str url: the AMQP URL of the broker at hand
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    hidden = ("PYTHONUNBUFFERED", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    inherited = {name: os.environ[name] for name in os.environ if name not in hidden}
    return {**inherited, "PATH": path, "AMQP_URL": url}


class Window:
    """A terminal window with a shell in it.

    :param dict env: the environment variables of the shell
    :param Path cwd: its folder
    :param Broker broker: the broker at hand, whose ports are read as those that the page shows
    """

    def __init__(self, env, cwd, broker):
        self.broker, self.at_prompt = broker, False
        self.busy = False  # whether a command runs in it
        self.shell = pexpect.spawn(
            "bash",
            ["--norc", "--noprofile", "--noediting"],
            env={**env, "PS1": PROMPT, "VIRTUAL_ENV_DISABLE_PROMPT": "1", "TERM": "dumb"},
            cwd=str(cwd),
            dimensions=(50, 1000),
            encoding="utf-8",
            codec_errors="backslashreplace",
            timeout=DEADLINE,
            preexec_fn=obey_ctrl_c,
        )
        self.read()

    def read(self):
        """Return the next line that the terminal shows, None for the shell's prompt.

        :raises TimeoutError: if neither comes within the deadline
        """
        if self.at_prompt:
            self.at_prompt = False
            return None
        try:
            end = self.shell.expect_exact(["\r\n", PROMPT])
        except (pexpect.TIMEOUT, pexpect.EOF):
            raise TimeoutError(f"nothing more within {DEADLINE} s") from None
        line = self.shell.before.replace("\r", "").replace("\x07", "")
        line = as_on_the_page(line, self.broker)
        if end == 1 and line:  # the prompt comes next, though no line end was in between
            self.at_prompt = True
        return line if end == 0 or line else None

    def press(self, key):
        """Press a key, such as "^C"."""
        self.shell.send(KEYS[key])

    def type(self, command):
        """Type a command and the Enter key."""
        self.busy = True
        self.shell.sendline(as_here(command, self.broker))
        assert self.read() == command

    def expect(self, output, until_prompt):
        """Read until lines of the page are there, and return those that the terminal shows.

        :param bool until_prompt: whether to read until the command has ended
        :raises AssertionError: if something else is shown
        """
        wanted = "".join("(.*\n)*?" if line == "…" else f"{pattern(line)}\n" for line in output)
        shown = []
        while until_prompt or not re.fullmatch(wanted, "".join(shown)):
            try:
                line = self.read()
            except TimeoutError as error:
                raise AssertionError(difference(output, shown, str(error))) from None
            if line is None:
                self.busy = False
                break
            shown.append(f"{line}\n")
        assert re.fullmatch(wanted, "".join(shown)), difference(output, shown, "the command ended")
        return [line.rstrip("\n") for line in shown]

    def close(self):
        self.shell.close(force=True)


def ports(broker):
    """Return the ports of a broker, and of nodes beside it, with those that the page shows."""
    for place in range(3):
        yield broker.amqp_port + place, 5672 + place
        yield broker.management_port + place, 15672 + place


def as_on_the_page(line, broker):
    """Return a line with the ports that a broker has by default."""
    for port, shown in ports(broker):
        line = line.replace(f":{port}", f":{shown}")
    return line


def as_here(line, broker):
    """Return a line of the page with the ports of the broker at hand."""
    for port, shown in ports(broker):
        line = line.replace(f":{shown}", f":{port}")
    return line


def pattern(line):
    """Return the regular expression for a line of the page."""
    return ".*".join(map(re.escape, line.split("…")))


def difference(output, shown, why):
    """Return what to say when a terminal shows something else than the page."""
    wanted = "".join(f"    {line}\n" for line in output)
    return f"{why}. The page shows:\n{wanted}The terminal shows:\n    {'    '.join(shown)}"


class Player:
    """Plays steps in terminals, which stay open from one session to the next.

    :param dict env: the environment variables of each terminal
    :param Path cwd: the folder in which each opens
    :param Broker broker: the broker at hand
    :param show: called with the number of the terminal and each line that it shows
    """

    def __init__(self, env, cwd, broker, show=lambda terminal, line: None):
        self.env, self.cwd, self.broker, self.show = env, cwd, broker, show
        self.windows = {}

    def holds(self, condition):
        """Tell whether the broker at hand meets a condition."""
        if condition == "with Docker Compose":
            return isinstance(self.broker, DockerBroker)
        newer, version = self.broker.version() >= (4, 3), "RabbitMQ 4.3 or newer"
        return {version: newer, "an older RabbitMQ": not newer}[condition]

    def play(self, block):
        """Play a session.

        :raises AssertionError: if a terminal does not show what the page shows
        """
        for step in block.steps:
            if step.condition and not self.holds(step.condition):
                continue
            if step.terminal not in self.windows:
                self.windows[step.terminal] = Window(self.env, self.cwd, self.broker)
            try:
                for line in self.act(self.windows[step.terminal], step):
                    self.show(step.terminal, line)
            except AssertionError as error:
                what = step.command or step.key or step.output[0]
                raise AssertionError(f"terminal {step.terminal}, {what!r}: {error}") from None

    def act(self, window, step):
        """Do what a step says, and yield the lines that the terminal shows."""
        if step.key:
            window.press(step.key)
            yield from window.expect(step.output, until_prompt=True)
        elif "# repeat until" in step.command:
            yield f"$ {step.command}"
            deadline = time.monotonic() + DEADLINE
            while True:
                window.type(step.command)
                try:
                    yield from window.expect(step.output, until_prompt=True)
                    return
                except AssertionError:
                    if time.monotonic() > deadline:
                        raise
        else:
            if step.command:
                yield f"$ {step.command}"
                window.type(step.command)
            yield from window.expect(step.output, until_prompt=not step.goes_on)

    def leave(self):
        """Press CTRL+C wherever something runs; it must leave in good order.

        :raises AssertionError: if it does not, or had shown more than the page
        """
        for window in self.windows.values():
            if window.busy:
                window.press("^C")
                window.expect(["^C"], until_prompt=True)

    def close(self):
        """Close all windows."""
        for window in self.windows.values():
            window.close()
