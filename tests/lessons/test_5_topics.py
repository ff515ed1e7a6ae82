"""Lesson 5: emit_log_topic.py and receive_logs_topic.py."""

import pytest

from support.list_of_lessons import LOGS

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
    receiver = run("receive_logs_topic.py", "#")
    receiver.wait_until_ready()
    emitter = run("emit_log_topic.py", *arguments)
    assert emitter.wait() == 0
    assert emitter.stdout == [f" [x] Sent {sent}"]
    receiver.wait_for(sent)
    assert receiver.stdout == [LOGS, f" [x] {sent}"]


def test_patterns(run):
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


def test_usage(run):
    receiver = run("receive_logs_topic.py")
    assert receiver.wait() == 1
    assert receiver.stdout == []
    assert receiver.stderr[0].startswith("Usage: ")


def test_exchange_and_bindings_on_the_wire(run, broker, vhost):
    assert run("emit_log_topic.py").wait() == 0
    exchange = broker.api("GET", "exchanges", vhost, "topic_logs")
    assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == (
        "topic",
        False,
        False,
    )
    run("receive_logs_topic.py", "kern.*", "*.critical").wait_until_ready()
    (queue,) = broker.api("GET", "queues", vhost)
    assert queue["name"].startswith("amq.gen-")
    assert (queue["durable"], queue["exclusive"]) == (False, True)
    bindings = broker.api("GET", "exchanges", vhost, "topic_logs", "bindings", "source")
    assert sorted(b["routing_key"] for b in bindings) == ["*.critical", "kern.*"]


def test_log_on_the_wire(run, channel):
    channel.exchange_declare("topic_logs", "topic")
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "topic_logs", "#")
    assert run("emit_log_topic.py", "kern.critical", "Boom").wait() == 0
    method, _, body = channel.basic_get(queue, auto_ack=True)
    assert (method.exchange, method.routing_key, body) == ("topic_logs", "kern.critical", b"Boom")
