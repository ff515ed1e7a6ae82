"""What all twelve scripts have in common: as files, in a terminal, in finding the broker."""

import ast
import shutil
import sys
from pathlib import Path

import pytest
from broker import listens
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
METADATA = """\
# /// script
# requires-python = ">=3.9"
# dependencies = ["pika>=1.3,<2"]
# ///
"""


def source(script):
    return (ROOT / f"{script}.py").read_text()


def part(script, name):
    """The source of a function of a script; of what runs under `__main__` for that name."""
    for node in ast.parse(source(script)).body:
        if getattr(node, "name", "__main__" if isinstance(node, ast.If) else None) == name:
            return ast.get_source_segment(source(script), node)
    return None


@pytest.mark.parametrize("script", SCRIPTS)
def test_readable_in_a_minute(script):
    assert len(source(script).splitlines()) <= 80
    assert source(script).startswith(METADATA + '"""Lesson ')


@pytest.mark.parametrize("script", SCRIPTS)
def test_imports_the_standard_library_and_pika_alone(script):
    imported = set()
    for node in ast.walk(ast.parse(source(script))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported <= {"contextlib", "itertools", "os", "re", "sys", "time", "uuid", "pika"}


@pytest.mark.parametrize(
    ("scripts", "name"),
    [
        (PRODUCERS, "connect"),
        (PRODUCERS, "__main__"),
        (CONSUMERS, "brokers"),
        (CONSUMERS, "__main__"),
        ([script for script in CONSUMERS if script != "rpc_server"], "printable"),
    ],
)
def test_what_is_the_same_is_the_same_word_for_word(scripts, name):
    def without_usage(text):
        return [line for line in text.splitlines() if "argv" not in line]

    first, *others = (without_usage(part(script, name)) for script in scripts)
    assert all(other == first for other in others)


@pytest.mark.parametrize("script", SCRIPTS)
def test_runs_alone_from_an_empty_folder(run, tmp_path, script):
    shutil.copy(ROOT / f"{script}.py", tmp_path)
    if script == "rpc_client":
        run("rpc_server.py").wait_for("Awaiting")
    terminal = run(f"{script}.py", *ARGUMENTS.get(script, []), cwd=tmp_path)
    terminal.wait_for(" [")
    if script in PRODUCERS:
        assert terminal.wait() == 0, terminal


@pytest.mark.parametrize("script", ["send", "receive"])
def test_uv_run_needs_nothing_installed(run, tmp_path, script):
    shutil.copy(ROOT / f"{script}.py", tmp_path)
    uv = (str(Path(sys.executable).parent / "uv"), "run")
    environment = {"UV_PYTHON_DOWNLOADS": "never", "PYTHONPATH": ""}
    terminal = run(f"{script}.py", command=uv, cwd=tmp_path, env=environment)
    terminal.wait_for(" [", seconds=60)
    assert terminal.stdout[0].startswith((" [x] Sent", " [*] Waiting"))


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.skipif(listens(5672), reason="a broker of somebody's own is on localhost:5672")
def test_without_amqp_url_it_is_localhost(start, script):
    terminal = start(f"{script}.py", *ARGUMENTS.get(script, []))
    terminal.wait_for(" [!] localhost:5672: ", stream="stderr")


@pytest.mark.parametrize("script", ["send", "receive"])
@pytest.mark.skipif(listens(5672), reason="a broker of somebody's own is on localhost:5672")
def test_an_empty_amqp_url_is_an_unset_one(start, script):
    start(f"{script}.py", url="").wait_for(" [!] localhost:5672: ", stream="stderr")
