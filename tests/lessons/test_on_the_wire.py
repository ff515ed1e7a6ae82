"""What each lesson's scripts exchange with RabbitMQ, seen by a program in another language.

Section 1 of the contract: RabbitMQ's own tutorials declare the same, and so meet these scripts in
one queue or exchange. A test declares first, and then stands on either side.
"""

from dataclasses import dataclass, field

import pika
import pytest

from brokers.tools import wait_until
from helpers.messages import REPLY_QUEUE, publish, take
from helpers.scripts import LESSONS, WORKERS, pair_of

QUORUM = {"x-queue-type": "quorum"}


@dataclass
class Wire:
    """What a lesson has on the wire.

    `producer` and `consumer` are scripts with their arguments, `body` what the first sends with
    the routing key of the pair; `type` is that of the exchange, `prefetch` and `acknowledges` are
    the consumer's, `bindings` its binding keys.
    """

    producer: tuple
    consumer: tuple
    body: bytes
    key: str
    type: str = ""
    prefetch: int = 0
    acknowledges: bool = False
    bindings: list = field(default_factory=list)
    persistent: bool = False

    @property
    def pair(self):
        return pair_of(self.consumer[0])

    def __str__(self):
        return self.consumer[0]


WIRES = [
    Wire(("send.py",), ("receive.py",), b"Hello World!", "hello"),
    Wire(
        producer=("new_task.py", "A", "task."),
        consumer=("worker.py",),
        body=b"A task.",
        key="task_queue",
        prefetch=1,
        acknowledges=True,
        persistent=True,
    ),
    Wire(
        producer=("emit_log.py", "on", "the", "wire"),
        consumer=("receive_logs.py",),
        body=b"on the wire",
        key="",
        type="fanout",
    ),
    Wire(
        producer=("emit_log_direct.py", "error", "Disk", "full"),
        consumer=("receive_logs_direct.py", "warning", "error"),
        body=b"Disk full",
        key="error",
        type="direct",
        bindings=["error", "warning"],
    ),
    Wire(
        producer=("emit_log_topic.py", "kern.critical", "Boom"),
        consumer=("receive_logs_topic.py", "kern.*", "a.#"),
        body=b"Boom",
        key="kern.critical",
        type="topic",
        bindings=["a.#", "kern.*"],
    ),
    Wire(
        producer=("rpc_client.py", "12"),
        consumer=("rpc_server.py",),
        body=b"12",
        key="rpc_queue",
        prefetch=1,
        acknowledges=True,
    ),
]
each_lesson = pytest.mark.parametrize("wire", WIRES, ids=str)


def test_every_lesson_is_here():
    assert [wire.pair for wire in WIRES] == LESSONS


def declare(channel, wire):
    """Declare what the lesson declares, and return the queue that gets its messages."""
    if not wire.type:
        channel.queue_declare(wire.key, durable=True, arguments=QUORUM)
        return wire.key
    channel.exchange_declare(wire.pair.exchange, wire.type)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, wire.pair.exchange, "#" if wire.type == "topic" else wire.key)
    return queue


@each_lesson
def test_what_a_producer_sends(run, channel, wire):
    queue = declare(channel, wire)
    producer = run(*wire.producer)
    method, properties, body = take(channel, queue)
    assert (method.exchange, method.routing_key, body) == (wire.pair.exchange, wire.key, wire.body)
    assert (properties.delivery_mode == 2) == wire.persistent
    if wire.key != "rpc_queue":
        assert producer.wait() == 0, producer


@each_lesson
def test_what_a_consumer_takes(run, channel, broker, vhost, wire):
    declare(channel, wire)
    consumer = run(*wire.consumer)
    consumer.wait_until_ready()
    (found,) = wait_until(lambda: broker.api("GET", "consumers", vhost), "the consumer", 20)
    assert (found["prefetch_count"], found["ack_required"]) == (wire.prefetch, wire.acknowledges)
    if wire.type:
        queue = broker.api("GET", "queues", vhost, found["queue"]["name"])
        assert queue["name"].startswith("amq.gen-")
        assert (queue["durable"], queue["exclusive"]) == (False, True)
        bindings = broker.api("GET", "queues", vhost, queue["name"], "bindings")
        keys = [one["routing_key"] for one in bindings if one["source"] == wire.pair.exchange]
        assert sorted(keys) == (wire.bindings or [queue["name"]])  # pika's, which fanout ignores
    channel.basic_publish(wire.pair.exchange, wire.key, b"30")
    consumer.wait_for("30")


@each_lesson
@pytest.mark.parametrize("first", ["producer", "consumer"])
def test_what_is_declared_by_who_comes_first(run, broker, vhost, wire, first):
    """A declaration that is repeated must agree, so these are all."""
    script = run(*getattr(wire, first))
    script.wait_for(" [")
    if wire.type:
        found = broker.api("GET", "exchanges", vhost, wire.pair.exchange)
        assert found["type"] == wire.type
        assert (found["durable"], found["auto_delete"]) == (False, False)
    else:
        found = wait_until(lambda: queues(broker, vhost).get(wire.key), "the queue", 15)
        assert (found["durable"], found["auto_delete"], found["exclusive"]) == (True, False, False)
        assert found["arguments"] == QUORUM


def queues(broker, vhost):
    return {queue["name"]: queue for queue in broker.api("GET", "queues", vhost)}


@pytest.mark.parametrize("words", WORKERS[1:], ids=lambda words: words[0])
def test_a_worker_beyond_the_lessons_takes_what_worker_py_has_left(run, channel, words):
    channel.queue_declare("task_queue", durable=True, arguments=QUORUM)
    worker = run("worker.py")
    worker.wait_until_ready()
    publish(channel, pair_of("worker.py"), b"left" + b"." * 60)
    worker.wait_for("Received")
    worker.kill()
    run(*words).wait_for("Received 'left")


def test_a_request_and_its_reply(run, channel):
    """A client of another language asks our server, and its server answers our client."""
    server = run("rpc_server.py")
    server.wait_until_ready()
    replies = channel.queue_declare(**REPLY_QUEUE).method.queue
    request = pika.BasicProperties(reply_to=replies, correlation_id="of another language")
    channel.basic_publish("", "rpc_queue", b"30", request)
    method, properties, body = take(channel, replies)
    assert (method.exchange, body) == ("", b"832040")
    assert properties.correlation_id == "of another language"
    server.kill()
    client = run("rpc_client.py", "12")
    client.wait_for("Requesting")
    _, request, _ = take(channel, "rpc_queue")
    reply = pika.BasicProperties(correlation_id=request.correlation_id)
    channel.basic_publish("", request.reply_to, b"144", reply)
    assert client.wait() == 0, client
    assert client.stdout == [" [x] Requesting fib(12)", " [.] Got 144"]


def test_the_client_s_reply_queue(run, broker, vhost, channel):
    run("rpc_client.py").wait_for("Requesting")
    _, request, _ = take(channel, "rpc_queue")
    queue = broker.api("GET", "queues", vhost, request.reply_to)
    assert queue["name"].startswith("amq.gen-")
    assert (queue["durable"], queue["exclusive"]) == (False, True)
    (found,) = wait_until(lambda: broker.api("GET", "consumers", vhost), "the client", 20)
    assert not found["ack_required"]
