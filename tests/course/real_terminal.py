"""Terminals with a shell in them, as a learner has them, and what such a terminal shows."""

import os
import re
import sys
from pathlib import Path

import pexpect

from brokers.tools import obey_ctrl_c
from course.markdown_page import KEYS, pattern

DEADLINE = 100  # seconds for a line to appear; a cluster that loses a node may take a minute
PROMPT = "(ready) "


def environment(url):
    """Return the environment variables of a terminal in which the README's commands work.

    :param str url: the AMQP URL of the broker at hand
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    hidden = ("PYTHONPATH", "PYTHONUNBUFFERED", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    inherited = {name: os.environ[name] for name in os.environ if name not in hidden}
    return {**inherited, "PATH": path, "AMQP_URL": url}


class Terminal:
    """A terminal with a shell in it.

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
        while self.read() is not None:  # bash may complain of the locale before its first prompt
            pass

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


def difference(output, shown, why):
    """Return what to say when a terminal shows something else than the page."""
    wanted = "".join(f"    {line}\n" for line in output)
    return f"{why}. The page shows:\n{wanted}The terminal shows:\n    {'    '.join(shown)}"
