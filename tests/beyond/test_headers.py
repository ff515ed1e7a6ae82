"""emit_headers.py and receive_headers.py."""

import pika
import pytest

from helpers.expectations import assert_fails
from helpers.scripts import LOGS


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ([], "{'severity': 'info'}:'Hello World!'"),
        (["severity=info"], "{'severity': 'info'}:'Hello World!'"),
        (
            ["a=b=c", "severity=info", "Disk", "full:", "used=100%"],
            "{'a': 'b=c', 'severity': 'info'}:'Disk full: used=100%'",
        ),
    ],
)
def test_arguments(run, arguments, sent):
    """Headers in the order of the alphabet: RabbitMQ 4 sorts them."""
    receiver = run("receive_headers.py", "any", "severity=info")
    receiver.wait_until_ready()
    emitter = run("emit_headers.py", *arguments)
    assert emitter.wait() == 0
    assert emitter.stdout == [f" [x] Sent {sent}"]
    receiver.wait_for(sent)
    assert receiver.stdout == [LOGS, f" [x] {sent}"]


def test_all_and_any(run):
    headers = ["facility=kern", "severity=error"]
    every, some = (run("receive_headers.py", match, *headers) for match in ("all", "any"))
    for receiver in (every, some):
        receiver.wait_until_ready()
    for words in (["facility=kern"], ["facility=cron"], [*headers, "zone=a"]):
        assert run("emit_headers.py", *words).wait() == 0
    both = " [x] {'facility': 'kern', 'severity': 'error', 'zone': 'a'}:'Hello World!'"
    some.wait_for(both)
    every.wait_for(both)
    assert some.stdout == [LOGS, " [x] {'facility': 'kern'}:'Hello World!'", both]
    assert every.stdout == [LOGS, both]


def test_names_that_begin_with_x(run):
    """Plain "all" and "any" would leave them out: "all" would get every message, "any" none."""
    receivers = [run("receive_headers.py", match, "x-priority=1") for match in ("all", "any")]
    for receiver in receivers:
        receiver.wait_until_ready()
    for headers in (["severity=info"], ["x-priority=2"], ["x-priority=1"]):
        assert run("emit_headers.py", *headers).wait() == 0
    for receiver in receivers:
        receiver.wait_for("x-priority")
        assert receiver.stdout == [LOGS, " [x] {'x-priority': '1'}:'Hello World!'"]


def test_a_number_is_no_text(run, channel):
    receiver = run("receive_headers.py", "all", "n=5")
    receiver.wait_until_ready()
    for value in (5, "5"):
        properties = pika.BasicProperties(headers={"n": value})
        channel.basic_publish("headers_logs", "", f"{value!r}", properties)
    receiver.wait_for("[x]")
    assert receiver.stdout == [LOGS, """ [x] {'n': '5'}:"'5'\""""]


@pytest.mark.parametrize(
    "words",
    ["", "all", "some a=1", "all a", "all =1", "all a=1 b", "all a=1 a=2", "all x-match=any a=1"],
)
def test_usage(run, words):
    receiver = run("receive_headers.py", *words.split())
    assert receiver.wait() == 1
    assert receiver.stdout == []
    assert receiver.stderr[0].startswith("Usage: ")


def test_usage_of_the_producer(run):
    emitter = run("emit_headers.py", "a=1", "=2", "text")
    assert emitter.wait() == 1
    assert emitter.stderr[0].startswith("Usage: ")


def test_exchange_and_binding_on_the_wire(run, broker, vhost):
    assert run("emit_headers.py").wait() == 0
    exchange = broker.api("GET", "exchanges", vhost, "headers_logs")
    assert (exchange["type"], exchange["durable"]) == ("headers", False)
    run("receive_headers.py", "any", "a=1", "b=2").wait_until_ready()
    (binding,) = broker.api("GET", "exchanges", vhost, "headers_logs", "bindings", "source")
    assert binding["arguments"] == {"x-match": "any-with-x", "a": "1", "b": "2"}


@pytest.mark.parametrize("headers", [{"a": "b\n [x] forged\x1b[31m"}, {"a": 1, "b": None}])
def test_headers_of_other_clients_give_one_line(run, channel, headers):
    receiver = run("receive_headers.py", "any", "to=us")
    receiver.wait_until_ready()
    properties = pika.BasicProperties(headers={"to": "us", **headers})
    channel.basic_publish("headers_logs", "", b"\xff\n", properties)
    line = receiver.wait_for("to")
    assert line.isprintable()
    assert line.endswith(f":{chr(0xFFFD) + chr(10)!r}")
    assert receiver.stderr == []


def test_a_stdout_that_cannot_encode_it(run, channel):
    receiver = run("receive_headers.py", "any", "to=us", env={"PYTHONIOENCODING": "ascii"})
    receiver.wait_until_ready()
    properties = pika.BasicProperties(headers={"to": "us"})
    channel.basic_publish("headers_logs", "", "你好".encode(), properties)
    assert_fails(receiver, "UnicodeEncodeError")
