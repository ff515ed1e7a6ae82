"""Messages are bytes of any kind; the terminal gets one harmless line for each."""

import shlex
import sys
import unicodedata
from datetime import datetime
from decimal import Decimal

import pika
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.tools import wait_until
from support.expectations import CONNECTION_FAILED, assert_fails, assert_still_runs
from support.list_of_lessons import LESSONS, lesson_of

RECEIVERS = [lesson for lesson in LESSONS if lesson.prefix]
each_receiver = pytest.mark.parametrize("lesson", RECEIVERS, ids=str)
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
    b"",
]
TEXTS = ["Hello World!", "你好，世界", "Grüße", "🐇 rabbit 🎉", "'quoted' \"twice\"", "back\\slash"]

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


@pytest.fixture(params=RECEIVERS, ids=str)
def receiver(request, run):
    """A receiver that waits."""
    receiver = run(*request.param.consumer)
    receiver.wait_until_ready()
    return receiver


def lines_for(channel, receiver, bodies, routing_key=None):
    """Send bodies, and return what the receiver prints for them.

    A last body tells that all has arrived. Dots would make the worker wait.
    """
    lesson = lesson_of(receiver.words[0])
    key = lesson.routing_key if routing_key is None else routing_key
    before = len(receiver.stdout)
    for body in bodies:
        channel.basic_publish(lesson.exchange, key, body.replace(b".", b","))
    end = f"the end, {before}'"
    channel.basic_publish(lesson.exchange, key, end[:-1])
    receiver.wait_for(end)
    assert receiver.process.poll() is None, receiver
    assert receiver.stderr == []
    lines = [line for line in receiver.stdout[before:] if line != " [x] Done"]
    assert lines.pop().endswith(end)
    return lines


def prefix_of(receiver):
    return lesson_of(receiver.words[0]).prefix


def assert_harmless(line):
    """A line is one line to everybody, does nothing to the terminal, and reorders nothing."""
    assert [c for c in line if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")] == []
    assert line.splitlines() == [line]


def test_any_bytes_give_one_line(receiver, channel):
    @in_bulk
    @given(bodies)
    def check(bodies):
        lines = lines_for(channel, receiver, bodies)
        assert len(lines) == len(bodies)
        for line in lines:
            assert line.startswith(prefix_of(receiver))
            assert_harmless(line)

    check()


def test_any_routing_key_gives_one_line(run, channel):
    receiver = run("receive_logs_topic.py", "#")
    receiver.wait_until_ready()

    @in_bulk
    @given(bodies)
    def check(keys):
        for key in {key.decode(errors="replace")[:60] for key in keys}:
            lines = lines_for(channel, receiver, [b"body"], key)
            assert lines == [f" [x] {key!r}:'body'"]
            assert_harmless(lines[0])

    check()


def test_what_is_nasty_is_escaped(receiver, channel):
    lines = lines_for(channel, receiver, NASTY)
    for line in lines:
        assert_harmless(line)
    shown = [body.replace(b".", b",").decode(errors="replace") for body in NASTY]
    assert lines == [f"{prefix_of(receiver)}{text!r}" for text in shown]
    assert lines[0] == f"{prefix_of(receiver)}'two\\nlines'"
    assert any("\\u202e, no width \\u200b" in line for line in lines)
    assert lines[-1] == f"{prefix_of(receiver)}''"


def test_text_is_text(receiver, channel):
    lines = lines_for(channel, receiver, [text.encode() for text in TEXTS])
    assert lines == [prefix_of(receiver) + repr(text.replace(".", ",")) for text in TEXTS]
    assert lines[1].endswith("'你好，世界'")


def test_headers_of_every_type_do_not_matter(receiver, channel, broker, vhost):
    """... from pika, and from a program that sends what pika cannot, such as fractions."""
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
    lesson = lesson_of(receiver.words[0])
    channel.basic_publish(lesson.exchange, lesson.routing_key, b"from pika", properties)
    message = {
        "routing_key": lesson.routing_key,
        "payload": "from another program",
        "payload_encoding": "string",
        "properties": {"headers": {"fractions": [0.1, -1e300], "large": 2**62, "false": False}},
    }
    exchange = lesson.exchange or "amq.default"
    broker.api("POST", "exchanges", vhost, exchange, "publish", body=message)
    for body in ("from pika", "from another program"):
        receiver.wait_for(f"{lesson.prefix}{body!r}")
    assert_still_runs(receiver)
    assert receiver.stderr == []


def test_a_megabyte(receiver, channel):
    prefix = prefix_of(receiver)
    text, other = lines_for(channel, receiver, [b"x" * 2**20, b"\xff" * 2**20])
    assert text == f"{prefix}'{'x' * 2**20}'"
    assert other == f"{prefix}{chr(0xFFFD) * 2**20!r}"


@each_receiver
def test_a_stdout_that_cannot_encode_it(run, channel, lesson):
    """The receiver ends, and says why; PYTHONUTF8=1 is the remedy that the README names."""
    utf_8 = run(*lesson.consumer, env={"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "1"})
    utf_8.wait_until_ready()
    assert lines_for(channel, utf_8, ["你好 🐇".encode()]) == [f"{lesson.prefix}'你好 🐇'"]
    utf_8.kill()
    receiver = run(*lesson.consumer, env={"PYTHONIOENCODING": "ascii"})
    receiver.wait_until_ready()
    channel.basic_publish(lesson.exchange, lesson.routing_key, "你好 🐇".encode())
    assert_fails(receiver, "UnicodeEncodeError")


@pytest.mark.parametrize("kind", ["direct", "topic"])
def test_a_routing_key_that_is_too_long(run, kind):
    """AMQP has 255 bytes for it; a Chinese character needs three of them."""
    receiver = run(f"receive_logs_{kind}.py", "键" * 85)
    receiver.wait_until_ready()
    assert run(f"emit_log_{kind}.py", "键" * 85).wait() == 0
    receiver.wait_for("键':'Hello World!'")
    for name in (f"emit_log_{kind}.py", f"receive_logs_{kind}.py"):
        assert_fails(run(name, "键" * 85 + "k"), "ShortStringTooLong")


@pytest.mark.parametrize("reader", ["| head -n 1", "2>&1 | head -n 1"])
@each_receiver
def test_a_reader_that_leaves(run, channel, lesson, reader):
    """The line after the first finds nobody who reads it."""
    pipeline = f"{shlex.join([sys.executable, *lesson.consumer])} {reader}"
    shell = run("-c", pipeline, command=("/bin/bash",))
    shell.wait_for(lesson.ready)

    def ended():
        channel.basic_publish(lesson.exchange, lesson.routing_key, b"body")
        return shell.process.poll() is not None

    wait_until(ended, "the pipeline's end", 20, interval=0.2)
    assert CONNECTION_FAILED not in repr(shell)
