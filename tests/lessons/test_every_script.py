"""What all twelve scripts have in common: as files, in a terminal, in finding the broker."""

import ast
import os
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
LIMITS = {"rpc_client.py": 64, "rpc_server.py": 64, **{name: 75 for name, *_ in FURTHER}}  # lines


def source(words):
    return path_of(words[0]).read_text()


def ending(words):
    """What comes after the lesson, with the comment that sets it off."""
    lesson, marker, rest = source(words).partition("\n# The lesson ends here.")
    assert marker, words
    return f"{marker}{rest}".strip().splitlines()


@for_each(SCRIPTS)
def test_readable_in_a_minute(words):
    lines = len(source(words).splitlines())
    assert lines <= LIMITS.get(words[0], 44 if words in PRODUCERS else 54)
    assert source(words).startswith('"""Lesson ' if words in TWELVE else '"""Beyond lesson ')


def test_readable_in_twelve_minutes():
    assert sum(len(source(words).splitlines()) for words in TWELVE) <= 570


@for_each(SCRIPTS)
def test_imports_the_standard_library_and_pika_alone(words):
    imported = set()
    for node in ast.walk(ast.parse(source(words))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    more = {"asyncio", "multiprocessing", "threading"} if words in FURTHER else set()
    assert imported <= {"contextlib", "os", "socket", "sys", "time", "pika"} | more


@pytest.mark.parametrize("scripts", [PRODUCERS, CONSUMERS], ids=["producers", "consumers"])
def test_what_is_the_same_is_the_same_word_for_word(scripts):
    first, *others = map(ending, scripts)
    assert all(other == first for other in others)
    assert len(first) <= 12


def inner_names(node):
    """The names with a leading underscore that are used as attributes, without `__name__`."""
    return {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and part.attr.startswith("_")
    }


@for_each(SCRIPTS)
def test_only_public_names(words):
    """A class that goes beyond the lessons may have methods of its own with an underscore."""
    tree = ast.parse(source(words))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert inner_names(tree) <= (own if words in FURTHER else set())


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
