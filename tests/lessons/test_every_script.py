"""What all twelve scripts have in common: as files, in a terminal, in finding the broker."""

import ast
import os
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest

from brokers.tools import wait_until
from support.expectations import for_each
from support.list_of_lessons import (
    CONSUMERS,
    FURTHER,
    LESSONS,
    ONE_OF_EACH,
    PRODUCERS,
    SCRIPTS,
    TWELVE,
    path_of,
)

WITH_ACKNOWLEDGEMENT = ("task_queue", "rpc_queue")
THE_LINE = "# The lesson ends here."
# Lines above that line: the lesson. RabbitMQ's own twelve scripts have 398 together, without a
# comment.
MOST = {"rpc_client.py": 74, "rpc_server.py": 52, **{name: 75 for name, *_ in FURTHER}}
MOST_OF_A_PRODUCER, MOST_OF_A_CONSUMER, MOST_OF_ALL_TWELVE = 34, 38, 440
MOST_BELOW = 36
# The terms of the protocol that a lesson brings, and in which script each is explained.
EXPLAINED = {
    "send.py": ["channel", "durable", "quorum", "confirms", "exchange"],
    "receive.py": ["auto_ack"],
    "new_task.py": ["delivery_mode", "mandatory"],
    "worker.py": ["prefetch_count", "No auto_ack"],
    "emit_log.py": ["fanout"],
    "receive_logs.py": ["exclusive", 'queue=""', ".method.queue"],
    "emit_log_direct.py": ["direct"],
    "emit_log_topic.py": ["topic"],
    "receive_logs_topic.py": ["*", "#"],
    "rpc_client.py": ["reply_to", "correlation_id", "expiration"],
    "rpc_server.py": ["reply_to", "correlation_id"],
}
NAMES = re.compile("basic_|queue_|exchange_")  # what the calls of the protocol begin with


def source(words):
    return path_of(words[0]).read_text()


def above(words):
    """The lines of the lesson."""
    lesson, line, _ = source(words).partition(THE_LINE)
    assert line, words
    return lesson.splitlines()


def below(words):
    """The lines from the dividing comment on."""
    _, line, rest = source(words).partition(THE_LINE)
    return f"{line}{rest}".splitlines()


@for_each(SCRIPTS)
def test_the_lesson_is_short(words):
    most = MOST_OF_A_PRODUCER if words in PRODUCERS else MOST_OF_A_CONSUMER
    assert len(above(words)) <= MOST.get(words[0], most)
    assert above(words)[0].startswith('"""Lesson ' if words in TWELVE else '"""Beyond lesson ')
    assert f"python {words[0]}" in ast.get_docstring(ast.parse(source(words)))


def test_the_twelve_lessons_are_short():
    assert sum(len(above(words)) for words in TWELVE) <= MOST_OF_ALL_TWELVE


@pytest.mark.parametrize("scripts", [PRODUCERS, CONSUMERS], ids=["producers", "consumers"])
def test_below_the_line_all_of_a_kind_are_the_same_word_for_word(scripts):
    first, *others = map(below, scripts)
    assert all(other == first for other in others)
    assert len(first) <= MOST_BELOW
    assert ("blocked_connection_timeout" in "".join(first)) == (scripts is PRODUCERS)


@pytest.mark.parametrize("name", EXPLAINED)
def test_each_term_has_a_comment(name):
    comments = [line.partition("# ")[2] for line in above((name,)) if "# " in line]
    for term in EXPLAINED[name]:
        assert any(term in comment for comment in comments) or any(
            line.strip().startswith(f"{term}=") and "  # " in line for line in above((name,))
        ), term


@for_each(SCRIPTS)
def test_imports_the_standard_library_and_pika_alone(words):
    imported = set()
    for node in ast.walk(ast.parse(source(words))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported - {"pika"} <= sys.stdlib_module_names


@for_each(SCRIPTS)
def test_arguments_are_named(words):
    for node in ast.walk(ast.parse(source(words))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert not NAMES.match(node.func.attr) or not node.args, ast.unparse(node)


@for_each(SCRIPTS)
def test_only_public_names(words):
    """A class of a script's own may have methods with an underscore."""
    tree = ast.parse(source(words))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {name for name in used if name.startswith("_")} <= own


def run_once(run, words, **options):
    """Run a script until it has done something; a producer, to its end."""
    if words == ("rpc_client.py",):
        run("rpc_server.py").wait_until_ready()
    script = run(*words, **options)
    script.wait_for("Published" if words[0] == "publisher_confirms.py" else " [")
    if words in PRODUCERS:
        assert script.wait() == 0, script


@for_each(SCRIPTS)
def test_runs_alone_from_an_empty_folder(run, tmp_path, words):
    shutil.copy(path_of(words[0]), tmp_path)
    run_once(run, words, cwd=tmp_path)


@for_each(PRODUCERS)
def test_a_producer_takes_its_leave(run, broker, vhost, words):
    """The broker's log warns of clients that have gone without closing their connection."""
    run_once(run, words)

    def leave():
        # The second of the two lines of a warning says: client unexpectedly closed TCP connection
        return [
            line
            for line in broker.log().splitlines()
            if "closing AMQP connection" in line and f"vhost: '{vhost}'" in line
        ]

    connections = 3 if words[0] == "publisher_confirms.py" else 1
    what = "what the broker says of each connection"
    wait_until(lambda: len(leave()) >= connections, what, 15, interval=0.3)
    assert ["[info]" in line for line in leave()] == [True] * connections


@for_each([lesson.consumer for lesson in LESSONS if lesson.declares not in WITH_ACKNOWLEDGEMENT])
def test_what_is_acknowledged_on_delivery(run, broker, vhost, words):
    run(*words).wait_until_ready()
    (consumer,) = wait_until(lambda: broker.api("GET", "consumers", vhost), "the consumer", 20)
    assert not consumer["ack_required"]


@for_each(ONE_OF_EACH)
def test_uv_run_needs_nothing_installed(run, tmp_path, words):
    """uv takes pika from the network, or from its cache; a learner's machine may have neither."""
    shutil.copy(path_of(words[0]), tmp_path)
    uv = (str(Path(sys.executable).parent / "uv"), "run", "--with", "pika<1.5", "python")
    environment = {"UV_PYTHON_DOWNLOADS": "never", "PYTHONPATH": ""}
    script = run(*words, command=uv, cwd=tmp_path, env=environment)
    try:
        script.wait_for(" [", seconds=60)
    except AssertionError:
        reason = " ".join(script.stderr)
        if "Failed to fetch" in reason and not os.environ.get("CI"):
            pytest.skip(f"uv cannot fetch pika here: {reason}")
        raise
    assert script.stdout[0].startswith((" [x] Sent", " [*] Waiting"))


@for_each(SCRIPTS)
@pytest.mark.parametrize("url", [None, ""], ids=["unset", "empty"])
@pytest.mark.xdist_group("port_5672")
def test_without_amqp_url_it_is_localhost(start, words, url):
    try:
        server = socket.create_server(("127.0.0.1", 5672))
    except OSError:
        pytest.skip("a broker that is not ours is on localhost:5672")
    with server as port:
        port.settimeout(15)
        start(*words, url=url)
        with port.accept()[0] as connection:
            connection.settimeout(15)
            assert connection.recv(4) == b"AMQP"
