"""Ports, programs and patience: what the brokers need of the machine."""

import contextlib
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_DEADLINE = 90  # seconds; a cold start takes five to fifteen. pytest's own limit is longer
PROGRAM_DEADLINE = 300  # seconds; a Docker Engine that hangs never answers
given = set()  # the ports that free_port() has returned


class BrokerError(Exception):
    """A broker could not be had, or did not do what it was told. The text is for a person."""


def wait_until(condition, what, seconds=START_DEADLINE, interval=0.05):
    """Return the first true value of `condition()`.

    :param condition: a callable without arguments
    :param str what: what is waited for, for the message
    :param float seconds: the deadline
    :param float interval: seconds between two looks
    :raises TimeoutError: after `seconds`
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain: {what}")
        time.sleep(interval)
    return value


def free_port():
    """Return a TCP port of 127.0.0.1 that nobody listens on.

    It is below those that systems give to outgoing connections: one of these could take it while a
    broker is down for a moment.
    """
    while True:
        port = random.randrange(20000, 32000)
        if port in given:
            continue
        given.add(port)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def listens(port):
    """Tell whether anything listens on TCP port `port` of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)  # seconds; a port whose program hangs does not even refuse
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(arguments, env=None):
    """Run a program in the project's folder and return its stdout.

    :raises BrokerError: if it fails, with what it printed to stderr, or does not end
    """
    words = " ".join(map(str, arguments))
    try:
        result = subprocess.run(
            arguments,
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROGRAM_DEADLINE,
        )
    except subprocess.TimeoutExpired:
        raise BrokerError(f"{words} has not ended in {PROGRAM_DEADLINE} s.") from None
    if result.returncode:
        raise BrokerError(f"{words} failed:\n{result.stderr}")
    return result.stdout


def end_in_good_order_when_the_terminal_closes():
    """Let SIGTERM and SIGHUP end this process as `sys.exit` does, so that its brokers end too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))


def say(text):
    """Tell the person in front of the terminal what is going on."""
    print(text, file=sys.stderr, flush=True)
