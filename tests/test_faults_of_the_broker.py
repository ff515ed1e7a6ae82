"""What happens to the broker, or on the way to it, and what every script makes of it."""

import socket
import time

import pika
import pytest
import requests
from broker import free_port, wait_until
from faults import (
    CONSUMERS,
    EXAMPLES,
    LESSONS,
    LOST,
    NAMES,
    PRODUCERS,
    READY,
    SECRET,
    connections,
    fails,
    for_each,
    gives_up,
    goes_on,
    tries_again,
    works,
)
from terminal import ROOT

# The tests that stop, kill or starve a broker form two groups, so that two can do so at a time.
OWN_BROKER = pytest.mark.xdist_group("own_broker")
SECOND_OWN_BROKER = pytest.mark.xdist_group("second_own_broker")

# A "/" in a password must be written %2F. Without that, the URL has another host, or none.
MALFORMED = [f"amqp://guest:1234/{SECRET}@127.0.0.1"]
MORE_MALFORMED = [
    f"http://guest:{SECRET}@127.0.0.1:15672/",  # the management page
    f"amqp://guest:pass/{SECRET}@127.0.0.1",
    f"amqp://guest:pass#{SECRET}@127.0.0.1",
    f"amqp://guest:1234?{SECRET}@127.0.0.1",
    "amqp://guest@127.0.0.1",
    f"guest:{SECRET}@127.0.0.1",
    f"amqp://guest:{SECRET}@127.0.0.1:port",
    f"amqp://guest:{SECRET}@127.0.0.1:99999",
    f"amqp://guest:{SECRET}@127.0.0.1/%2F?heartbeat=soon",
    f"amqp://guest:{SECRET}@127.0.0.1:1,amqp://guest:pass/{SECRET}@127.0.0.1",
]


# No broker at the address


@for_each(PRODUCERS)
def test_no_broker_ends_a_producer_at_once(start, script):
    producer = start(*script, url=f"amqp://guest:{SECRET}@127.0.0.1:{free_port()}")
    gives_up(producer, "RabbitMQ does not answer", seconds=5)


def test_no_broker_makes_consumers_try_again_every_few_seconds(start):
    times = {script: [] for script in CONSUMERS}
    consumers = [
        start(
            *script,
            url=f"amqp://guest:{SECRET}@127.0.0.1:{free_port()}",
            on_line=lambda *_, script=script: times[script].append(time.monotonic()),
        )
        for script in CONSUMERS
    ]
    for script, consumer in zip(CONSUMERS, consumers):
        consumer.wait_for(LOST, count=4, stream="stderr", seconds=40)
        goes_on(consumer)
        assert consumer.stdout == []
        pauses = [after - before for before, after in zip(times[script], times[script][1:])]
        assert 2 < min(pauses) <= max(pauses) < 8, pauses


@for_each(PRODUCERS + CONSUMERS)
def test_a_host_that_does_not_exist(start, script):
    terminal = start(*script, url=f"amqp://guest:{SECRET}@no-such-host.invalid")
    if script in PRODUCERS:
        gives_up(terminal, "RabbitMQ does not answer")
    else:
        tries_again(terminal)


@for_each(PRODUCERS + CONSUMERS)
def test_only_the_last_of_three_brokers_can_be_used(run, broker, url, script):
    """At the first nobody listens, and the second refuses the login."""
    refuses = broker.url("/", "guest", SECRET)
    terminal = run(*script, url=f"amqp://127.0.0.1:{free_port()}, {refuses},{url}")
    if script == ("rpc_client.py",):
        terminal.wait_for("Requesting")
    elif script in PRODUCERS:
        assert terminal.wait() == 0, terminal
        assert terminal.stderr == []
    else:
        terminal.wait_for(READY)
        goes_on(terminal)


def test_a_port_that_accepts_and_never_answers(run, url, start):
    """pika gives such a broker fifteen seconds. All scripts wait for them at the same time."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        port = silent.getsockname()[1]
        address = f"amqp://guest:{SECRET}@127.0.0.1:{port}"
        producers = [start(*script, url=address) for script in PRODUCERS]
        consumers = [start(*script, url=address) for script in CONSUMERS]
        sender, receiver = run("send.py", url=f"{address},{url}"), run("receive.py", url=url)
        receiver_2 = run("receive_logs.py", url=f"{address},{url}")
        for producer in producers:
            fails(producer, "Timeout during AMQP handshake")
        for consumer in consumers:
            consumer.wait_for("Timeout during AMQP handshake", stream="stderr", seconds=30)
            goes_on(consumer)
        assert sender.wait(30) == 0, sender
        receiver.wait_for("Received 'Hello World!'")
        receiver_2.wait_for("Waiting", seconds=30)


# The broker refuses


def is_refused(terminal, script, *parts):
    """A producer gives up with the broker's reason, a consumer goes on trying."""
    (gives_up if script in PRODUCERS else tries_again)(terminal, *parts)


@for_each(PRODUCERS + CONSUMERS)
def test_login_refused(start, broker, script):
    terminal = start(*script, url=broker.url("/", "guest", SECRET))
    is_refused(terminal, script, "ACCESS_REFUSED", "Login was refused")


@for_each(PRODUCERS + CONSUMERS)
def test_unknown_vhost(start, broker, script):
    is_refused(start(*script, url=broker.url("nowhere")), script, "NOT_ALLOWED", "nowhere")


@for_each(EXAMPLES)
def test_a_vhost_that_the_user_may_not_enter(start, user, vhost, script):
    is_refused(start(*script, url=user()), script, "NOT_ALLOWED", vhost)


@for_each(PRODUCERS + CONSUMERS)
def test_no_permission_to_declare(start, user, script):
    gives_up(start(*script, url=user(configure="^$")), "ACCESS_REFUSED", NAMES[script[0]])


@for_each(PRODUCERS)
def test_no_permission_to_publish(start, user, script):
    """The broker tells by closing the channel after the message: "Sent" must wait for it."""
    url = user(write="^$")
    exchange = NAMES[script[0]] if "log" in script[0] else "amq.default"
    gives_up(start(*script, url=url), "ACCESS_REFUSED", f"exchange '{exchange}'")


@for_each(CONSUMERS)
def test_no_permission_to_consume(start, user, script):
    gives_up(start(*script, url=user(read="^$")), "ACCESS_REFUSED", NAMES[script[0]])


def test_no_permission_to_answer(start, user, channel):
    """The request goes back to the queue, for a server that may."""
    server = start("rpc_server.py", url=user(write="^$"))
    server.wait_for("Awaiting")
    channel.basic_publish("", "rpc_queue", "3", pika.BasicProperties(reply_to="somewhere"))
    gives_up(server, "ACCESS_REFUSED", "amq.default")
    wait_until(lambda: channel.basic_get("rpc_queue")[0], "the request in the queue", 15)


@for_each(PRODUCERS + CONSUMERS)
def test_malformed_urls(start, script):
    """A consumer may try again: a mistyped name is a host like any other."""
    urls = MALFORMED + (MORE_MALFORMED if script in EXAMPLES else [])
    for terminal in [start(*script, url=malformed) for malformed in urls]:
        if script in PRODUCERS:
            fails(terminal)
        else:
            wait_until(lambda t=terminal: t.stderr, "what is wrong", 30)
            assert terminal.process.poll() in (None, 1), terminal
            assert terminal.stderr[0].startswith((" [!] ", "Traceback")), terminal
            assert terminal.stdout == []


@for_each(PRODUCERS + CONSUMERS)
def test_it_exists_with_other_properties(run, channel, script):
    name = NAMES[script[0]]
    if "logs" in name:
        channel.exchange_declare(name, "headers")
        what = "'type'"
    else:
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": "classic"})
        what = "x-queue-type"
    gives_up(run(*script), "PRECONDITION_FAILED", f"'{name}'", what)


@pytest.mark.parametrize("script", ["send.py", "new_task.py"])
def test_the_broker_confirms_no_message_that_it_refuses(run, broker, vhost, script):
    """A queue that is full, and refuses what is too much, says so by a negative confirm."""
    full = {"pattern": "", "definition": {"max-length": 1, "overflow": "reject-publish"}}
    broker.api("PUT", "policies", vhost, "full", json=full)
    for _ in range(10):  # quorum queues take some more
        sender = run(script)
        if sender.wait() != 0:
            break
    gives_up(sender, "NACK")


def test_no_task_is_sent_into_a_queue_that_has_gone(run, tmp_path):
    """What goes to no queue is confirmed as well; the flag "mandatory" makes the difference.

    The queue has to vanish after the script has declared it: a line in a copy sees to that.
    """
    before = "    channel.confirm_delivery()\n"
    source = (ROOT / "new_task.py").read_text()
    assert source.count(before) == 1
    accident = '    channel.queue_delete("task_queue")\n'
    (tmp_path / "new_task.py").write_text(source.replace(before, accident + before))
    gives_up(run("new_task.py", "task", cwd=tmp_path), "unroutable")


# amqps://


@SECOND_OWN_BROKER
def test_a_trusted_certificate(start, own_broker):
    own_broker.add_vhost("amqps")
    url = f"amqps://guest:guest@localhost:{own_broker.tls_port}/amqps"
    trusted = {"SSL_CERT_FILE": str(own_broker.tls / "ca.pem")}
    consumers = [start(*script, url=url, env=trusted) for script in CONSUMERS]
    for lesson, consumer in zip(LESSONS, consumers):
        consumer.wait_for(READY)
        works(lambda *script, url: start(*script, url=url, env=trusted), url, lesson, consumer)
        assert consumer.stderr == []


@SECOND_OWN_BROKER
def test_a_certificate_of_an_unknown_authority(start, own_broker):
    url = f"amqps://guest:{SECRET}@localhost:{own_broker.tls_port}"
    terminals = {script: start(*script, url=url) for script in PRODUCERS + CONSUMERS}
    for script, terminal in terminals.items():
        (fails if script in PRODUCERS else tries_again)(terminal, "CERTIFICATE_VERIFY_FAILED")


@SECOND_OWN_BROKER
def test_a_certificate_for_another_host(start, own_broker):
    trusted = {"SSL_CERT_FILE": str(own_broker.tls / "ca.pem")}
    url = f"amqps://guest:{SECRET}@127.0.0.1:{own_broker.tls_port}"
    fails(start("send.py", url=url, env=trusted), "CERTIFICATE_VERIFY_FAILED")
    tries_again(start("receive.py", url=url, env=trusted), "CERTIFICATE_VERIFY_FAILED")


# The connection drops


def test_connections_closed_by_the_operator(run, url, broker, vhost):
    """Three times; each consumer comes back each time, with one connection."""
    consumers = [run(*script) for script in CONSUMERS]
    for closed in range(4):
        for consumer in consumers:
            consumer.wait_for(READY, count=closed + 1, seconds=30)
        if closed == 3:
            break
        broker.rabbitmqctl("close_all_connections", "--vhost", vhost, "the operator's wish")
        for consumer in consumers:
            consumer.wait_for("the operator's wish", count=closed + 1, stream="stderr", seconds=30)
    wait_until(lambda: connections(broker, vhost) == len(CONSUMERS), "a connection each", 20)
    for lesson, consumer in zip(LESSONS, consumers):
        goes_on(consumer)
        assert len(consumer.stderr) == 3, consumer
        works(run, url, lesson, consumer)


def test_a_client_s_connection_closed_by_the_operator(run, broker, vhost):
    client = run("rpc_client.py")
    client.wait_for("Requesting")
    broker.rabbitmqctl("close_all_connections", "--vhost", vhost, "the operator's wish")
    gives_up(client, "the operator's wish")


@pytest.mark.parametrize(
    "lesson", [LESSONS[0], LESSONS[1], LESSONS[5]], ids=["receive.py", "worker.py", "rpc_server.py"]
)
def test_the_queue_deleted_under_a_consumer(run, channel, lesson):
    script = lesson[0]
    consumer = run(*script)
    consumer.wait_for(READY)
    channel.queue_delete(NAMES[script[0]])
    gives_up(consumer, "Was the queue deleted?")


@OWN_BROKER
def test_the_broker_is_stopped_and_started_and_then_killed_under_everybody(start, own_broker):
    """The producers are caught when they have sent their message, and wait for the confirm.

    Meanwhile two tasks wait for a worker. The stop comes before the kill: what is killed within
    some three seconds after a quorum queue was first declared starts again with that queue empty,
    whatever it has confirmed (seen with RabbitMQ 3.10 and 4.3: its registration reaches the disk a
    little later than its messages).
    """
    url, late, kept = map(own_broker.add_vhost, ["everybody", "late", "kept"])
    assert start("new_task.py", "before the stop", url=kept).wait() == 0
    consumers = [start(*script, url=url) for script in CONSUMERS]
    for consumer in consumers:
        consumer.wait_for(READY)
    own_broker.stop()
    for consumer in consumers:
        consumer.wait_for(LOST, stream="stderr", seconds=30)
        goes_on(consumer)
    own_broker.start()
    for lesson, consumer in zip(LESSONS, consumers):
        consumer.wait_for(READY, count=2, seconds=30)
        works(start, url, lesson, consumer)
        goes_on(consumer)
    assert start("new_task.py", "before the kill", url=kept).wait() == 0
    said = [len(consumer.stderr) for consumer in consumers]
    own_broker.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
    producers = [start(*script, url=url) for script in PRODUCERS]
    until_blocked(own_broker, "everybody", len(producers))
    own_broker.kill()
    for producer in producers:
        gives_up(producer)
    for consumer, before in zip(consumers, said):
        consumer.wait_for(LOST, count=before + 1, stream="stderr", seconds=30)
        goes_on(consumer)
    late_consumers = [start(*script, url=late) for script in CONSUMERS]
    for consumer in late_consumers:
        consumer.wait_for(LOST, stream="stderr", seconds=30)
    own_broker.start()
    for lesson, consumer, late_consumer in zip(LESSONS, consumers, late_consumers):
        consumer.wait_for(READY, count=3, seconds=30)
        works(start, url, lesson, consumer)
        late_consumer.wait_for(READY, seconds=30)
        works(start, late, lesson, late_consumer)
        goes_on(consumer)
        goes_on(late_consumer)
    worker = start("worker.py", url=kept)
    worker.wait_for("Done", count=2)
    received = [line for line in worker.stdout if "Received" in line]
    assert received == [" [x] Received 'before the stop'", " [x] Received 'before the kill'"]


# The broker blocks publishers


def until_blocked(broker, vhost, count):
    """Wait until `count` connections of the virtual host have published, and are blocked for it."""

    def blocked():
        table = broker.rabbitmqctl("-q", "list_connections", "vhost", "state")
        return [line.split() for line in table.splitlines()].count([vhost, "blocked"]) >= count

    wait_until(blocked, f"{count} blocked connections", 30, interval=1)


def alarmed(broker):
    """Tell whether a memory or disk alarm is in effect."""
    try:
        broker.api("GET", "health", "checks", "alarms")
    except requests.HTTPError:
        return True
    return False


@SECOND_OWN_BROKER
def test_the_broker_is_short_of_memory(start, own_broker):
    """The alarm blocks those who publish, and nobody else. A server is blocked by its answer."""
    url = own_broker.add_vhost("alarm")
    for script in [("send.py",), ("new_task.py", "sent before")]:
        assert start(*script, url=url).wait() == 0
    early_client = start("rpc_client.py", url=url)
    early_client.wait_for("Requesting")
    idle = [start(*script, url=url) for script in CONSUMERS if "logs" in script[0]]
    for consumer in idle:
        consumer.wait_for(READY)
    own_broker.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
    try:
        wait_until(lambda: alarmed(own_broker), "the memory alarm", 30)
        began = time.monotonic()
        producers = [start(*script, url=url) for script in PRODUCERS]
        receiver, worker = start("receive.py", url=url), start("worker.py", url=url)
        receiver.wait_for("Received 'Hello World!'")
        worker.wait_for("Received 'sent before'")
        worker.wait_for("Done")
        for producer in producers:
            gives_up(producer, seconds=20)
        assert time.monotonic() - began < 15
        server = start("rpc_server.py", url=url)
        server.wait_for("Awaiting")
        consumers = [receiver, worker, *idle, server]
        for consumer in consumers:
            goes_on(consumer)
            assert consumer.stderr == []
    finally:
        own_broker.rabbitmqctl("set_vm_memory_high_watermark", "0.6")
    wait_until(lambda: not alarmed(own_broker), "the end of the alarm", 30)
    for lesson in LESSONS:
        (consumer,) = [each for each in consumers if each.script == lesson[0]]
        works(start, url, lesson, consumer)
        assert consumer.stderr == []


@SECOND_OWN_BROKER
def test_producers_closed_while_the_broker_is_short_of_disk_space(start, own_broker):
    """They have sent the message, and the broker has not confirmed it: it is not "Sent"."""
    url = own_broker.add_vhost("blocked")
    own_broker.rabbitmqctl("set_disk_free_limit", "1000000GB")
    try:
        wait_until(lambda: alarmed(own_broker), "the disk alarm", 30)
        producers = [start(*script, url=url) for script in PRODUCERS]
        until_blocked(own_broker, "blocked", len(producers))
        own_broker.rabbitmqctl("close_all_connections", "--vhost", "blocked", "operator's wish")
        for producer in producers:
            gives_up(producer, "operator's wish")
    finally:
        own_broker.rabbitmqctl("set_disk_free_limit", "50MB")
