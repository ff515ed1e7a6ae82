"""What all twelve scripts have in common: as files, in a terminal, in finding the broker."""

import ast
import shutil
import socket
import sys
from pathlib import Path

import pytest
from broker import listens, wait_until
from terminal import ROOT

PRODUCERS = ["send", "new_task", "emit_log", "emit_log_direct", "emit_log_topic", "rpc_client"]
CONSUMERS = [
    "receive",
    "worker",
    "receive_logs",
    "receive_logs_direct",
    "receive_logs_topic",
    "rpc_server",
]
SCRIPTS = [*PRODUCERS, *CONSUMERS]
ARGUMENTS = {"receive_logs_direct": ["info"], "receive_logs_topic": ["#"]}
LIMITS = {"rpc_client": 64, "rpc_server": 64}  # lines


def source(script):
    return (ROOT / f"{script}.py").read_text()


def ending(script):
    """What comes after the lesson, with the comment that sets it off."""
    lesson, marker, rest = source(script).partition("\n# The lesson ends here.")
    assert marker, script
    return f"{marker}{rest}".strip().splitlines()


@pytest.mark.parametrize("script", SCRIPTS)
def test_readable_in_a_minute(script):
    lines = len(source(script).splitlines())
    assert lines <= LIMITS.get(script, 44 if script in PRODUCERS else 54)
    assert source(script).startswith('"""Lesson ')


def test_readable_in_twelve_minutes():
    assert sum(len(source(script).splitlines()) for script in SCRIPTS) <= 570


@pytest.mark.parametrize("script", SCRIPTS)
def test_imports_the_standard_library_and_pika_alone(script):
    imported = set()
    for node in ast.walk(ast.parse(source(script))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported <= {"contextlib", "os", "socket", "sys", "time", "pika"}


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


@pytest.mark.parametrize("script", SCRIPTS)
def test_only_public_names(script):
    assert inner_names(ast.parse(source(script))) == set()


@pytest.mark.parametrize("script", SCRIPTS)
def test_runs_alone_from_an_empty_folder(run, tmp_path, script):
    shutil.copy(ROOT / f"{script}.py", tmp_path)
    if script == "rpc_client":
        run("rpc_server.py").wait_for("Awaiting")
    terminal = run(f"{script}.py", *ARGUMENTS.get(script, []), cwd=tmp_path)
    terminal.wait_for(" [")
    if script in PRODUCERS:
        assert terminal.wait() == 0, terminal


@pytest.mark.parametrize("script", PRODUCERS)
def test_a_producer_takes_its_leave(run, broker, vhost, script):
    """The broker's log warns of clients that have gone without closing their connection."""
    if script == "rpc_client":
        run("rpc_server.py").wait_for("Awaiting")
    assert run(f"{script}.py").wait() == 0

    def leave():
        # The second of the two lines of a warning says: client unexpectedly closed TCP connection
        return [
            line
            for line in broker.log().splitlines()
            if "closing AMQP connection" in line and f"vhost: '{vhost}'" in line
        ]

    (line,) = wait_until(leave, "what the broker says of the connection", 15, interval=0.3)
    assert "[info]" in line


@pytest.mark.parametrize("script", ["receive", *(name for name in CONSUMERS if "logs" in name)])
def test_what_is_acknowledged_on_delivery(run, broker, vhost, script):
    run(f"{script}.py", *ARGUMENTS.get(script, [])).wait_for("Waiting")
    (consumer,) = wait_until(lambda: broker.api("GET", "consumers", vhost), "the consumer", 20)
    assert not consumer["ack_required"]


@pytest.mark.parametrize("script", ["send", "receive"])
def test_uv_run_needs_nothing_installed(run, tmp_path, script):
    shutil.copy(ROOT / f"{script}.py", tmp_path)
    uv = (str(Path(sys.executable).parent / "uv"), "run", "--with", "pika", "python")
    environment = {"UV_PYTHON_DOWNLOADS": "never", "PYTHONPATH": ""}
    terminal = run(f"{script}.py", command=uv, cwd=tmp_path, env=environment)
    terminal.wait_for(" [", seconds=60)
    assert terminal.stdout[0].startswith((" [x] Sent", " [*] Waiting"))


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("url", [None, ""], ids=["unset", "empty"])
@pytest.mark.skipif(listens(5672), reason="a broker of somebody's own is on localhost:5672")
@pytest.mark.xdist_group("port_5672")
def test_without_amqp_url_it_is_localhost(start, script, url):
    with socket.create_server(("127.0.0.1", 5672)) as port:
        port.settimeout(15)
        start(f"{script}.py", *ARGUMENTS.get(script, []), url=url)
        with port.accept()[0] as connection:
            connection.settimeout(15)
            assert connection.recv(4) == b"AMQP"
