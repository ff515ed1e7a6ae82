"""Lesson 4: emit_log_direct.py and receive_logs_direct.py."""

import pytest

from helpers.scripts import LOGS


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ([], "'info':'Hello World!'"),
        (["error"], "'error':'Hello World!'"),
        (["error", "Disk", "full"], "'error':'Disk full'"),
    ],
)
def test_arguments(run, arguments, sent):
    emitter = run("emit_log_direct.py", *arguments)
    assert emitter.wait() == 0
    assert emitter.stdout == [f" [x] Sent {sent}"]


def test_each_receiver_gets_the_severities_it_has_asked_for(run):
    serious = run("receive_logs_direct.py", "warning", "error")
    everything = run("receive_logs_direct.py", "info", "warning", "error")
    for receiver in (serious, everything):
        receiver.wait_until_ready()
    for severity in ("debug", "info", "warning", "error"):  # nobody has asked for "debug"
        assert run("emit_log_direct.py", severity, "x").wait() == 0
    for receiver in (serious, everything):
        receiver.wait_for("'error':'x'")
    assert serious.stdout == [LOGS, " [x] 'warning':'x'", " [x] 'error':'x'"]
    assert everything.stdout == [LOGS, " [x] 'info':'x'", *serious.stdout[1:]]


def test_usage(start):
    receiver = start("receive_logs_direct.py")
    assert receiver.wait() == 1
    assert receiver.stdout == []
    assert receiver.stderr[0].startswith("Usage: ")
