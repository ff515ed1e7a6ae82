"""Runs a script as a process, and reads what it prints as it appears."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

from brokers.tools import ROOT, obey_ctrl_c
from helpers.scripts import pair_of, path_of

DEADLINE = 20  # seconds; far more than any line here takes, except on a very busy machine
WINDOWS = sys.platform == "win32"
# On Windows, CTRL+C reaches a process of a group of its own only if that asks for it.
ASKS_FOR_CTRL_C = """
import ctypes, runpy, sys
ctypes.windll.kernel32.SetConsoleCtrlHandler(None, False)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Script:
    """A script that runs, with its output in pipes.

    :param str words: the script's name and its arguments, or "-c", a program and its arguments
    :param str url: the value of AMQP_URL; None leaves it unset
    :param env: further environment variables
    :param cwd: the folder to run in; the script's own by default
    :param on_line: is called with "stdout" or "stderr" and each line as soon as it is there
    :param command: what runs the script; this Python by default

    `stdout` and `stderr` are the lists of the lines so far.
    """

    def __init__(
        self, *words, url=None, env=None, cwd=None, on_line=None, command=(sys.executable,)
    ):
        environment = {**os.environ, **(env or {})}
        environment.pop("PYTHONUNBUFFERED", None)  # it would hide a missing flush
        environment.pop("AMQP_URL", None)
        if url is not None:
            environment["AMQP_URL"] = url
        self.words = words
        cwd = cwd or (path_of(words[0]).parent if words[0].endswith(".py") else ROOT)
        self.stdout, self.stderr = [], []
        self._changed = threading.Condition()
        self._on_line = on_line or (lambda stream, line: None)
        in_a_group = {"preexec_fn": obey_ctrl_c, "start_new_session": True}
        if WINDOWS:
            in_a_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
            command = command if words[0] == "-c" else [*command, "-c", ASKS_FOR_CTRL_C]
        self.process = subprocess.Popen(
            [*command, *words],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **in_a_group,
        )
        self._readers = [
            threading.Thread(target=self._read, args=stream, daemon=True)
            for stream in (
                (self.process.stdout, "stdout", self.stdout),
                (self.process.stderr, "stderr", self.stderr),
            )
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe, name, lines):
        with pipe:
            for line in pipe:
                text = line.decode(errors="backslashreplace").rstrip("\n")
                with self._changed:
                    lines.append(text)
                    self._changed.notify_all()
                self._on_line(name, text)

    def wait_for(self, text, count=1, stream="stdout", seconds=DEADLINE):
        """Wait until `count` lines contain `text`, and return the last of them.

        :raises AssertionError: after `seconds`, or when the script has ended without it
        """
        deadline = time.monotonic() + seconds
        lines = getattr(self, stream)
        with self._changed:
            while True:
                found = [line for line in lines if text in line]
                if len(found) >= count:
                    return found[count - 1]
                ended = not any(reader.is_alive() for reader in self._readers)
                if ended or time.monotonic() > deadline:
                    raise AssertionError(f"no {count} lines with {text!r} on {stream} of {self}")
                self._changed.wait(0.1)

    def wait_until_ready(self, count=1, seconds=DEADLINE):
        """Wait until a consumer has said `count` times that it waits for messages."""
        self.wait_for(pair_of(self.words[0]).ready, count, seconds=seconds)

    def wait(self, seconds=DEADLINE):
        """Wait until the script has ended, and return its exit status.

        :raises AssertionError: after `seconds`
        """
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s: {self}") from None
        for reader in self._readers:
            reader.join(seconds)
        return status

    def send_signal(self, number):
        """Send a signal, such as signal.SIGTERM."""
        self.process.send_signal(number)

    def press_ctrl_c(self):
        """Send what CTRL+C sends."""
        self.send_signal(signal.CTRL_C_EVENT if WINDOWS else signal.SIGINT)

    def kill(self):
        """End the script, and what it has started, with SIGKILL; wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            self.process.kill() if WINDOWS else os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()

    def __repr__(self):
        printed = "".join(f"\n    {line}" for line in [*self.stdout, *self.stderr])
        words = " ".join(self.words).encode(errors="backslashreplace").decode()
        return f"{words} (exit status {self.process.poll()}), which printed:{printed}"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.kill()
