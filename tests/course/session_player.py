"""Plays the sessions of a page, each line in a real terminal."""

import re
import time

from brokers.broker import numbers
from brokers.in_docker import DockerBroker
from course.real_terminal import DEADLINE, Terminal


class Player:
    """Plays steps in terminals, which stay open from one session to the next.

    :param dict env: the environment variables of each terminal
    :param Path cwd: the folder in which each opens
    :param Broker broker: the broker at hand
    :param show: called with the number of the terminal and each line that it shows
    """

    def __init__(self, env, cwd, broker, show=lambda terminal, line: None):
        self.env, self.cwd, self.broker, self.show = env, cwd, broker, show
        self.terminals = {}

    def holds(self, condition):
        """Tell whether the broker at hand meets a condition."""
        in_docker = isinstance(self.broker, DockerBroker)
        if condition in ("with Docker Compose", "without Docker"):
            return in_docker == (condition == "with Docker Compose")
        form = r"RabbitMQ (older than )?([\d.]+)(?: or newer)?"
        older, version = re.fullmatch(form, condition).groups()
        return self.broker.is_at_least(*numbers(version)) != bool(older)

    def play(self, block):
        """Play a session.

        :raises AssertionError: if a terminal does not show what the page shows
        """
        for step in block.steps:
            if step.condition and not self.holds(step.condition):
                continue
            if step.terminal not in self.terminals:
                self.terminals[step.terminal] = Terminal(self.env, self.cwd, self.broker)
            try:
                for line in self.act(self.terminals[step.terminal], step):
                    self.show(step.terminal, line)
            except AssertionError as error:
                what = step.command or step.key or step.output[0]
                raise AssertionError(f"terminal {step.terminal}, {what!r}: {error}") from None

    def act(self, terminal, step):
        """Do what a step says, and yield the lines that the terminal shows."""
        if step.key:
            terminal.press(step.key)
            yield from terminal.expect(step.output, until_prompt=True)
        elif step.repeat:
            yield f"$ {step.command}"
            deadline = time.monotonic() + DEADLINE
            while True:
                terminal.type(step.command)
                try:
                    yield from terminal.expect(step.output, until_prompt=True)
                    return
                except AssertionError:
                    if time.monotonic() > deadline:
                        raise
        else:
            if step.command:
                yield f"$ {step.command}"
                terminal.type(step.command)
            yield from terminal.expect(step.output, until_prompt=not step.stays)

    def leave(self):
        """Press CTRL+C wherever something runs; it must leave in good order.

        :raises AssertionError: if it does not, or had shown more than the page
        """
        for terminal in self.terminals.values():
            if terminal.busy:
                terminal.press("^C")
                terminal.expect(["^C"], until_prompt=True)

    def close(self):
        """Close all terminals."""
        for terminal in self.terminals.values():
            terminal.close()
