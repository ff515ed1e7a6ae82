"""Lesson 3: emit_log.py and receive_logs.py."""

import sys

from brokers.tools import wait_until
from support.list_of_lessons import LOGS


def test_every_receiver_gets_every_log(run):
    receivers = [run("receive_logs.py") for _ in range(3)]
    for receiver in receivers:
        receiver.wait_until_ready()
    emitter = run("emit_log.py", "warning:", "disk", "almost", "full")
    assert emitter.wait() == 0
    assert emitter.stdout == [" [x] Sent 'warning: disk almost full'"]
    for receiver in receivers:
        receiver.wait_for("disk")
        assert receiver.stdout == [LOGS, " [x] 'warning: disk almost full'"]
        assert receiver.stderr == []


def test_without_arguments(run):
    receiver = run("receive_logs.py")
    receiver.wait_until_ready()
    emitter = run("emit_log.py")
    assert emitter.wait() == 0
    assert emitter.stdout == [" [x] Sent 'info: Hello World!'"]
    receiver.wait_for(" [x] 'info: Hello World!'")


def test_nothing_is_kept_for_who_was_not_there(run):
    assert run("emit_log.py", "early").wait() == 0
    receiver = run("receive_logs.py")
    receiver.wait_until_ready()
    assert run("emit_log.py", "late").wait() == 0
    receiver.wait_for("late")
    assert receiver.stdout == [LOGS, " [x] 'late'"]


def test_one_receiver_writes_a_file_while_another_prints(run, tmp_path):
    log = tmp_path / "logs_from_rabbit.log"
    shell = ("sh", "-c", 'exec "$0" "$@" > "$LOG"')
    writer = run(sys.executable, "receive_logs.py", command=shell, env={"LOG": str(log)})
    printer = run("receive_logs.py")
    printer.wait_until_ready()
    wait_until(lambda: log.exists() and LOGS in log.read_text(), "the writer's first line", 15)
    assert run("emit_log.py", "to both").wait() == 0
    printer.wait_for("to both")
    wait_until(lambda: log.read_text() == f"{LOGS}\n [x] 'to both'\n", "the line in the file", 15)
    assert writer.process.poll() is None


def test_exchange_and_queue_on_the_wire(run, broker, vhost):
    assert run("emit_log.py").wait() == 0
    exchange = broker.api("GET", "exchanges", vhost, "logs")
    assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == (
        "fanout",
        False,
        False,
    )
    receiver = run("receive_logs.py")
    receiver.wait_until_ready()
    (queue,) = broker.api("GET", "queues", vhost)
    assert queue["name"].startswith("amq.gen-")
    assert (queue["durable"], queue["exclusive"]) == (False, True)
    (binding,) = broker.api("GET", "exchanges", vhost, "logs", "bindings", "source")
    assert binding["destination"] == queue["name"]


def test_log_on_the_wire(run, channel):
    channel.exchange_declare("logs", "fanout")
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "logs")
    assert run("emit_log.py", "on", "the", "wire").wait() == 0
    method, _, body = channel.basic_get(queue, auto_ack=True)
    assert (method.exchange, method.routing_key, body) == ("logs", "", b"on the wire")


def test_the_queue_goes_with_its_receiver(run, broker, vhost):
    receiver = run("receive_logs.py")
    receiver.wait_until_ready()
    receiver.press_ctrl_c()
    assert receiver.wait(seconds=1) == 0
    wait_until(lambda: broker.api("GET", "queues", vhost) == [], "the queue to be deleted", 15)
