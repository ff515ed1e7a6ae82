"""Lesson 4: emit_log_direct.py and receive_logs_direct.py."""

import pytest

from support.list_of_lessons import LOGS


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ([], "'info':'Hello World!'"),
        (["error"], "'error':'Hello World!'"),
        (["error", "Disk", "full"], "'error':'Disk full'"),
    ],
)
def test_arguments(run, arguments, sent):
    receiver = run("receive_logs_direct.py", "info", "error")
    receiver.wait_until_ready()
    emitter = run("emit_log_direct.py", *arguments)
    assert emitter.wait() == 0
    assert emitter.stdout == [f" [x] Sent {sent}"]
    receiver.wait_for(sent)
    assert receiver.stdout == [LOGS, f" [x] {sent}"]


def test_each_receiver_gets_the_severities_it_asked_for(run):
    serious = run("receive_logs_direct.py", "warning", "error")
    everything = run("receive_logs_direct.py", "info", "warning", "error")
    for receiver in (serious, everything):
        receiver.wait_until_ready()
    # Nobody asked for "debug": it is dropped.
    for severity in ("debug", "info", "warning", "error"):
        assert run("emit_log_direct.py", severity, "x").wait() == 0
    serious.wait_for("'error':'x'")
    everything.wait_for("'error':'x'")
    assert serious.stdout == [LOGS, " [x] 'warning':'x'", " [x] 'error':'x'"]
    assert everything.stdout == [LOGS, " [x] 'info':'x'", *serious.stdout[1:]]


def test_usage(run):
    receiver = run("receive_logs_direct.py")
    assert receiver.wait() == 1
    assert receiver.stdout == []
    assert receiver.stderr[0].startswith("Usage: ")


def test_exchange_and_bindings_on_the_wire(run, broker, vhost):
    assert run("emit_log_direct.py").wait() == 0
    exchange = broker.api("GET", "exchanges", vhost, "direct_logs")
    assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == (
        "direct",
        False,
        False,
    )
    run("receive_logs_direct.py", "warning", "error").wait_until_ready()
    (queue,) = broker.api("GET", "queues", vhost)
    assert queue["name"].startswith("amq.gen-")
    assert (queue["durable"], queue["exclusive"]) == (False, True)
    bindings = broker.api("GET", "exchanges", vhost, "direct_logs", "bindings", "source")
    assert sorted(b["routing_key"] for b in bindings) == ["error", "warning"]


def test_log_on_the_wire(run, channel):
    channel.exchange_declare("direct_logs", "direct")
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "direct_logs", "error")
    assert run("emit_log_direct.py", "error", "Disk", "full").wait() == 0
    method, _, body = channel.basic_get(queue, auto_ack=True)
    assert (method.exchange, method.routing_key, body) == ("direct_logs", "error", b"Disk full")
