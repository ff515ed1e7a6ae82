"""What the brokers need of the machine: free ports, other programs, and time."""

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
claims = []  # sockets: see free_port()


class BrokerError(Exception):
    """A broker cannot be started or used, or has not done what it was told; the text says why."""


def wait_until(condition, what, seconds=START_DEADLINE, interval=0.1):
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
    """Return a TCP port of 127.0.0.1 that nobody listens on, and that is not returned again.

    It is below those that systems give to outgoing connections: one of these could take it while a
    broker is down for a moment. Another process that calls this gets another port, because this
    one keeps the UDP port of the same number as long as it lives.
    """
    while True:
        port = random.randrange(20000, 32000)
        claim = socket.socket(type=socket.SOCK_DGRAM)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            claim.bind(("127.0.0.1", port))
            claims.append(claim)
            return port
        claim.close()


def listens(port, host="127.0.0.1"):
    """Tell whether anything listens on a TCP port."""
    with contextlib.suppress(OSError):  # a port whose program hangs does not even refuse
        socket.create_connection((host, port), timeout=1).close()
        return True
    return False


def output_of(arguments, env=None):
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


def obey_ctrl_c():
    """Make a process that is about to start obey CTRL+C and CTRL+\\.

    What a shell starts in the background ignores both, and so would all that this starts.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
