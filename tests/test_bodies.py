"""Messages are bytes of any kind; the terminal gets one harmless line for each."""

import shlex
import sys
import unicodedata

import pytest
from broker import wait_until
from faults import LOST, READY, fails, gives_up
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Each consumer that prints bodies, the exchange and routing key that lead to it, and its prefix.
RECEIVERS = [
    (("receive.py",), ("", "hello"), " [x] Received "),
    (("worker.py",), ("", "task_queue"), " [x] Received "),
    (("receive_logs.py",), ("logs", ""), " [x] "),
    (("receive_logs_direct.py", "error"), ("direct_logs", "error"), " [x] 'error':"),
    (("receive_logs_topic.py", "#"), ("topic_logs", "a.topic"), " [x] 'a.topic':"),
]
IDS = [receiver[0][0] for receiver in RECEIVERS]
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


@pytest.fixture(params=RECEIVERS, ids=IDS)
def receiver(request, run):
    """A receiver that waits: its terminal, its address, and what each of its lines begins with."""
    script, address, prefix = request.param
    terminal = run(*script)
    terminal.wait_for(READY)
    return terminal, address, prefix


def lines_for(channel, receiver, bodies, routing_key=None):
    """Send bodies, and return what the receiver prints for them.

    A last body tells that all has arrived. Dots would make the worker wait.
    """
    terminal, (exchange, key), prefix = receiver
    before = len(terminal.stdout)
    for body in bodies:
        key = key if routing_key is None else routing_key
        channel.basic_publish(exchange, key, body.replace(b".", b","))
    end = f"the end, {before}'"
    channel.basic_publish(exchange, key, end[:-1])
    terminal.wait_for(end)
    assert terminal.process.poll() is None, terminal
    assert terminal.stderr == []
    lines = [line for line in terminal.stdout[before:] if line != " [x] Done"]
    assert lines.pop().endswith(end)
    return lines


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
            assert line.startswith(receiver[2])
            assert_harmless(line)

    check()


def test_any_routing_key_gives_one_line(run, channel):
    terminal = run("receive_logs_topic.py", "#")
    terminal.wait_for(READY)

    @in_bulk
    @given(bodies)
    def check(keys):
        for key in {key.decode(errors="replace")[:60] for key in keys}:
            lines = lines_for(channel, (terminal, ("topic_logs", ""), " [x] "), [b"body"], key)
            assert lines == [f" [x] {key!r}:'body'"]
            assert_harmless(lines[0])

    check()


def test_what_is_nasty_is_escaped(receiver, channel):
    lines = lines_for(channel, receiver, NASTY)
    for line in lines:
        assert_harmless(line)
    shown = [body.replace(b".", b",").decode(errors="replace") for body in NASTY]
    assert lines == [f"{receiver[2]}{text!r}" for text in shown]
    assert lines[0] == f"{receiver[2]}'two\\nlines'"
    assert any("\\u202e, no width \\u200b" in line for line in lines)
    assert lines[-1] == f"{receiver[2]}''"


def test_text_is_text(receiver, channel):
    lines = lines_for(channel, receiver, [text.encode() for text in TEXTS])
    assert lines == [receiver[2] + repr(text.replace(".", ",")) for text in TEXTS]
    assert lines[1].endswith("'你好，世界'")


def test_a_megabyte(receiver, channel):
    prefix = receiver[2]
    text, other = lines_for(channel, receiver, [b"x" * 2**20, b"\xff" * 2**20])
    assert text == f"{prefix}'{'x' * 2**20}'"
    assert other == f"{prefix}{chr(0xFFFD) * 2**20!r}"


@pytest.mark.parametrize(("script", "address", "prefix"), RECEIVERS, ids=IDS)
def test_a_stdout_that_cannot_encode_it(run, channel, script, address, prefix):
    """The receiver ends, and says why; PYTHONUTF8=1 is the remedy that the README names."""
    mended = run(*script, env={"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "1"})
    mended.wait_for(READY)
    mended_lines = lines_for(channel, (mended, address, prefix), ["你好 🐇".encode()])
    assert mended_lines == [f"{prefix}'你好 🐇'"]
    mended.kill()
    terminal = run(*script, env={"PYTHONIOENCODING": "ascii"})
    terminal.wait_for(READY)
    channel.basic_publish(*address, "你好 🐇".encode())
    fails(terminal, "UnicodeEncodeError")


@pytest.mark.parametrize("script", ["emit_log_direct.py", "emit_log_topic.py"])
def test_a_routing_key_that_is_too_long(run, script):
    """AMQP has 255 bytes for it."""
    assert run(script, "k" * 255).wait() == 0
    gives_up(run(script, "k" * 256))


def pipeline(run, script, rest):
    """Run a script in a shell, with what follows its command."""
    return run("-c", f"{shlex.join([sys.executable, *script])} {rest}", command=("/bin/bash",))


@pytest.mark.parametrize("reader", ["| head -n 1", "2>&1 | head -n 1"])
@pytest.mark.parametrize(("script", "address", "prefix"), RECEIVERS, ids=IDS)
def test_a_reader_that_leaves(run, channel, script, address, prefix, reader):
    """The line after the first finds nobody who reads it."""
    shell = pipeline(run, script, reader)
    shell.wait_for(READY)

    def ended():
        channel.basic_publish(*address, b"body")
        return shell.process.poll() is not None

    wait_until(ended, "the pipeline's end", 20, interval=0.2)
    assert LOST not in repr(shell)
