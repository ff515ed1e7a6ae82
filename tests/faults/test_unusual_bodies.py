"""Messages are bytes of any kind; the terminal gets one harmless line for each."""

import os
import shlex
import sys
import unicodedata
from datetime import datetime
from decimal import Decimal

import pika
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from brokers.tools import wait_until
from helpers.expectations import NO_CONNECTION, assert_fails, assert_still_runs
from helpers.messages import publish
from helpers.scripts import LESSONS, PAIRS, RECEIVER, pair_of

# Those that print a body as it is, after a prefix; each has its own line of code for it.
PRINTING = [pair for pair in PAIRS if pair.prefix]
HELLO, WORK = LESSONS[:2]
# What would end a line, move the cursor, colour, ring, or pass for a line of the script's own.
NASTY = [
    b"two\nlines",
    b"two\r\nlines",
    b"over\rwritten",
    b"done\n [x] Done\n [x] Received forged",
    b"\x1b[31mred\x1b[0m \x1b]0;title\a \x1b[2J",
    b"bell \a, backspace \b, tab \t, null \0, delete \x7f",
    "C1: \x80 \x85 \x9b31m \x9f".encode(),
    b"C1, not UTF-8: \x80 \x85 \x9b31m \x9f",
    "line \u2028 and paragraph \u2029 separator, \x0b \x0c \x1c \x1d \x1e".encode(),
    "right to left \u202e, no width \u200b, BOM \ufeff, private \ue000".encode(),
    "half a pair: \ud800".encode("utf-8", "surrogatepass"),
    b"cut off \xe4\xb8",
    b"too long \xc0\x80",
    b"\xff\xfe\x00",
    "你好，世界, Grüße, 🐇 rabbit 🎉".encode(),
    b"'quoted' \"twice\" and a back\\slash",
    b"",
]
bodies = st.lists(
    st.binary(max_size=80)
    | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(st.sampled_from(NASTY) | st.binary(max_size=3)).map(b"".join),
    min_size=1,
    max_size=40,
)
in_bulk = settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
from_the_head = seed(int(os.environ["TEST_SEED"]))


@pytest.fixture
def waiting(run):
    """Start a receiver, and wait until it waits."""

    def waiting(*words, **options):
        receiver = run(*words, **options)
        receiver.wait_until_ready()
        return receiver

    return waiting


def lines_for(channel, receiver, bodies, routing_key=None):
    """Send bodies, and return what the receiver prints for them.

    A last body tells that all has arrived. Dots would make the worker wait.
    """
    pair = pair_of(receiver.words[0])
    key = pair.routing_key if routing_key is None else routing_key
    before = len(receiver.stdout)
    end = f"the end, {before}"
    for body in [*(body.replace(b".", b",") for body in bodies), end]:
        channel.basic_publish(pair.exchange, key, body)
    receiver.wait_for(f"{end}'")
    assert_still_runs(receiver)
    assert receiver.stderr == []
    lines = [line for line in receiver.stdout[before:] if "Done" not in line[:9]]
    assert lines.pop().endswith(f"{end}'")
    return lines


def assert_harmless(line):
    """A line is one line to everybody, does nothing to the terminal, and reorders nothing."""
    assert [c for c in line if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")] == []
    assert line.splitlines() == [line]


@pytest.mark.parametrize("pair", PRINTING, ids=str)
def test_what_is_nasty_is_escaped_and_text_is_text(waiting, channel, pair):
    receiver = waiting(*pair.consumer)
    lines = lines_for(channel, receiver, NASTY)
    for line in lines:
        assert_harmless(line)
    shown = [body.replace(b".", b",").decode(errors="replace") for body in NASTY]
    assert sorted(lines) == sorted(f"{pair.prefix}{text!r}" for text in shown)
    assert f"{pair.prefix}'two\\nlines'" in lines
    assert f"{pair.prefix}'你好，世界, Grüße, 🐇 rabbit 🎉'" in lines


def test_any_bytes_give_one_line(waiting, channel):
    receiver = waiting(*RECEIVER)

    @from_the_head
    @in_bulk
    @given(bodies)
    def check(bodies):
        lines = lines_for(channel, receiver, bodies)
        assert len(lines) == len(bodies)
        for line in lines:
            assert line.startswith(HELLO.prefix)
            assert_harmless(line)

    check()


def test_any_routing_key_gives_one_line(waiting, channel):
    receiver = waiting("receive_logs_topic.py", "#")

    @from_the_head
    @in_bulk
    @given(bodies)
    def check(keys):
        for key in {key.decode(errors="replace")[:60] for key in keys}:
            lines = lines_for(channel, receiver, [b"body"], key)
            assert lines == [f" [x] {key!r}:'body'"]
            assert_harmless(lines[0])

    check()


@pytest.mark.parametrize("pair", [HELLO, WORK], ids=str)
def test_headers_of_every_type_do_not_matter(waiting, channel, broker, vhost, pair):
    """... from pika, and from a program that sends what pika cannot, such as fractions."""
    receiver = waiting(*pair.consumer)
    headers = {
        "true": True,
        "integers": [-1, 2**31, -(2**63)],
        "decimal": Decimal("3.14"),
        "text": "两\x1b[31m",
        "bytes": b"\xff\0",
        "time": datetime(2026, 11, 28),
        "nothing": None,
        "table": {"in": {"a": ["table"]}},
    }
    properties = pika.BasicProperties(headers=headers, content_type="x/y", timestamp=1, priority=9)
    publish(channel, pair, b"from pika", properties)
    message = {
        "routing_key": pair.routing_key,
        "payload": "from another program",
        "payload_encoding": "string",
        "properties": {"headers": {"fractions": [0.1, -1e300], "large": 2**62, "false": False}},
    }
    broker.api("POST", "exchanges", vhost, "amq.default", "publish", body=message)
    for body in ("from pika", "from another program"):
        receiver.wait_for(f"{pair.prefix}{body!r}")
    assert_still_runs(receiver)
    assert receiver.stderr == []


def test_a_megabyte(waiting, channel):
    receiver = waiting(*RECEIVER)
    text, other = lines_for(channel, receiver, [b"x" * 2**20, b"\xff" * 2**20])
    assert text == f"{HELLO.prefix}'{'x' * 2**20}'"
    assert other == f"{HELLO.prefix}{chr(0xFFFD) * 2**20!r}"


def test_a_stdout_that_cannot_encode_it(waiting, channel):
    """The receiver ends, and says why; PYTHONUTF8=1 is the remedy that the course names."""
    utf_8 = waiting(*RECEIVER, env={"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "1"})
    assert lines_for(channel, utf_8, ["你好 🐇".encode()]) == [f"{HELLO.prefix}'你好 🐇'"]
    utf_8.kill()
    receiver = waiting(*RECEIVER, env={"PYTHONIOENCODING": "ascii"})
    publish(channel, HELLO, "你好 🐇".encode())
    assert_fails(receiver, "UnicodeEncodeError")


@pytest.mark.parametrize("kind", ["direct", "topic"])
def test_a_routing_key_that_is_too_long(waiting, run, kind):
    """AMQP has 255 bytes for it; a Chinese character needs three of them."""
    receiver = waiting(f"receive_logs_{kind}.py", "键" * 85)
    assert run(f"emit_log_{kind}.py", "键" * 85).wait() == 0
    receiver.wait_for("键':'Hello World!'")
    for name in (f"emit_log_{kind}.py", f"receive_logs_{kind}.py"):
        assert_fails(run(name, "键" * 85 + "k"), "ShortStringTooLong")


@pytest.mark.parametrize("reader", ["| head -n 1", "2>&1 | head -n 1"])
@pytest.mark.parametrize("pair", [HELLO, WORK], ids=str)
def test_a_reader_that_leaves(run, channel, pair, reader):
    """The line after the first finds nobody who reads it."""
    pipeline = f"{shlex.join([sys.executable, *pair.consumer])} {reader}"
    shell = run("-c", pipeline, command=("/bin/bash",))
    shell.wait_for(pair.ready)

    def ended():
        publish(channel, pair, b"body")
        return shell.process.poll() is not None

    wait_until(ended, "the pipeline's end", 20, interval=0.2)
    assert NO_CONNECTION not in repr(shell)
