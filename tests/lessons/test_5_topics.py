"""Lesson 5: emit_log_topic.py and receive_logs_topic.py."""

import pytest

from helpers.scripts import LOGS

TOPICS = ["kern.critical", "kern.info", "cron.critical", "kern.disk.critical", "kern", "last"]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ([], "'anonymous.info':'Hello World!'"),
        (["kern.critical"], "'kern.critical':'Hello World!'"),
        (["kern.critical", "A", "critical", "error"], "'kern.critical':'A critical error'"),
    ],
)
def test_arguments(run, arguments, sent):
    emitter = run("emit_log_topic.py", *arguments)
    assert emitter.wait() == 0
    assert emitter.stdout == [f" [x] Sent {sent}"]


def test_binding_keys(run):
    """Each receiver also has the binding key "last", so that one knows when all has arrived."""
    patterns = {
        ("#",): TOPICS,
        ("kern.*",): ["kern.critical", "kern.info", "last"],
        ("kern.#",): ["kern.critical", "kern.info", "kern.disk.critical", "kern", "last"],
        ("*.critical",): ["kern.critical", "cron.critical", "last"],
        # What fits both is delivered once.
        ("kern.*", "*.critical"): ["kern.critical", "kern.info", "cron.critical", "last"],
        ("cron.critical",): ["cron.critical", "last"],
    }
    receivers = {keys: run("receive_logs_topic.py", *keys, "last") for keys in patterns}
    for receiver in receivers.values():
        receiver.wait_until_ready()
    for topic in TOPICS:
        assert run("emit_log_topic.py", topic, "Boom").wait() == 0
    for keys, receiver in receivers.items():
        receiver.wait_for("'last':'Boom'")
        lines = [f" [x] {topic!r}:'Boom'" for topic in patterns[keys]]
        assert receiver.stdout == [LOGS, *lines]


def test_usage(start):
    receiver = start("receive_logs_topic.py")
    assert receiver.wait() == 1
    assert receiver.stdout == []
    assert receiver.stderr[0].startswith("Usage: ")
