"""What all scripts have in common, as files: the contract's section 4; and how they take leave."""

import ast
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from brokers.broker import RunningBroker
from brokers.tools import ROOT, wait_until
from helpers.scripts import (
    CONSUMERS,
    PRODUCERS,
    PUBLISHERS,
    SCRIPTS,
    SENDER,
    SOME_PRODUCERS,
    TWELVE,
    for_each,
    path_of,
)

THE_LINE = "# The lesson ends here."
# Lines above that line: the lesson. RabbitMQ's own twelve scripts have 398 together, without a
# comment.
MOST = {"rpc_client.py": 74, "rpc_server.py": 52}
MOST |= {words[0]: 75 for words in SCRIPTS if words not in TWELVE}
MOST |= {words[0]: 110 for words in PUBLISHERS}
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
    """... but for the class that publisher_confirms.py connects with."""
    first = below(scripts[0])
    for words in scripts[1:]:
        other = below(words)
        if words[0] == "publisher_confirms.py":
            place = other.index("            return Publisher(target)")
            other[place] = "            return pika.BlockingConnection(target)"
        assert other == first, words
    assert len(first) <= MOST_BELOW
    assert ("blocked_connection_timeout" in "".join(first)) == (scripts is PRODUCERS)


@for_each(SCRIPTS)
def test_no_function_is_long(words):
    for node in ast.walk(ast.parse("\n".join(above(words)))):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 25, node.name


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
    assert {name for name in used if name.startswith("_") and name[:2] != "__"} <= own


@for_each(SOME_PRODUCERS)
def test_a_producer_takes_its_leave(run, broker, vhost, words):
    """The broker's log warns of clients that have gone without closing their connection."""
    if isinstance(broker, RunningBroker):
        pytest.skip("the log of a broker of somebody else's is not read")
    if words[0] == "rpc_client.py":
        run("rpc_server.py").wait_until_ready()
    assert run(*words).wait() == 0

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


def test_uv_run_needs_nothing_installed(run, tmp_path):
    """uv takes pika from the network, or from its cache; a learner's machine may have neither."""
    shutil.copy(path_of(SENDER[0]), tmp_path)
    (pika,) = re.findall(r'uv run --with "(.*?)" send.py', (ROOT / "README.md").read_text("utf-8"))
    uv = [str(Path(sys.executable).parent / "uv"), "run", "--no-project", "--with", pika]
    environment = {"UV_PYTHON_DOWNLOADS": "never", "PYTHONPATH": ""}
    sender = run(*SENDER, command=[*uv, "python"], cwd=tmp_path, env=environment)
    if sender.wait(60) and "Failed to fetch" in repr(sender) and not os.environ.get("CI"):
        pytest.skip(f"uv cannot fetch pika here: {sender}")
    assert sender.stdout == [" [x] Sent 'Hello World!'"]
