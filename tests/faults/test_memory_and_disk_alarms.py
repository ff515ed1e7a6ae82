"""The broker is short of memory or disk space, and blocks everybody who publishes."""

import pika
import pytest

from helpers.accidents import (
    OUT_OF_DISK_SPACE,
    alarm,
    changed_copy,
    patient_copy,
    until_blocked,
)
from helpers.expectations import (
    assert_ends_with_a_sentence,
    assert_gets_messages,
    assert_still_runs,
)
from helpers.messages import REPLY_QUEUE, ask, take
from helpers.scripts import RECEIVER, SENDER, SOME_PRODUCERS, WORKERS

pytestmark = pytest.mark.xdist_group("second_own_broker")
BLOCKED = "Blocked connection timeout expired"


def test_producers_end_and_consumers_do_not_notice(start, run_each, own_broker):
    """0 is the shortest time, and an hour is longer than what producers have by themselves."""
    consumers = run_each([RECEIVER, *WORKERS], of=own_broker)
    for consumer in consumers:
        consumer.wait_until_ready()
    receiver, worker, *others = consumers
    assert start("send.py", url=receiver.url).wait() == 0
    with alarm(own_broker):
        producers = run_each([*SOME_PRODUCERS, ("emit_log.py",)], of=own_broker)
        (patient,) = run_each([SENDER], "?blocked_connection_timeout=3600", of=own_broker)
        until_blocked(own_broker, [patient])
        (at_once,) = run_each([SENDER], "?blocked_connection_timeout=0", of=own_broker)
        assert_ends_with_a_sentence(at_once, BLOCKED)
        for producer in producers:
            # rpc_client.py waits as long for its answer, and may find that limit first.
            reasons = [] if producer.words[0] == "rpc_client.py" else [BLOCKED]
            assert_ends_with_a_sentence(producer, *reasons, seconds=40)
        assert_still_runs(patient)
        receiver.wait_for("Received 'Hello World!'")
    assert patient.wait(30) == 0
    for consumer in consumers:
        assert_gets_messages(start, consumer.url, consumer)
        assert consumer.stderr == []


def test_a_server_waits_with_its_answer(run_each, own_broker, tmp_path):
    """It never drops its connection for it: then the request would come back, and that counts.

    The heartbeat is short. The producer beside it tells when its own limit is over.
    """
    calculates = "    while not os.path.exists('over'):\n        channel.connection.sleep(0.1)\n"
    first = "    if body.isdigit()"
    changed_copy(tmp_path, "rpc_server.py", {first: f"{calculates}{first}"})
    (server,) = run_each([("rpc_server.py",)], "?heartbeat=1", of=own_broker, cwd=tmp_path)
    server.wait_until_ready()
    with pika.BlockingConnection(pika.URLParameters(server.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        replies = channel.queue_declare(**REPLY_QUEUE).method.queue
        ask(channel, b"10", reply_to=replies)
        with alarm(own_broker):
            (tmp_path / "over").touch()
            server.wait_for("fib(10)")
            until_blocked(own_broker, [server])
            (sender,) = run_each([SENDER], of=own_broker)
            assert_ends_with_a_sentence(sender, BLOCKED, seconds=30)
        method, _, body = take(channel, replies)
        assert (body, method.redelivered) == (b"55", False)
    assert server.stdout == [" [x] Awaiting RPC requests", " [.] fib(10)"]
    assert server.stderr == []


def test_producers_closed_while_the_broker_is_short_of_disk_space(run_each, own_broker, tmp_path):
    """They have sent the message, and the broker has not confirmed it: it is not "Sent"."""
    for name, *_ in SOME_PRODUCERS:
        patient_copy(tmp_path, name)
    with alarm(own_broker, OUT_OF_DISK_SPACE):
        producers = run_each(SOME_PRODUCERS, of=own_broker, cwd=tmp_path)
        until_blocked(own_broker, producers)
        for producer in producers:
            own_broker.close_connections(producer.vhost, "operator's wish")
            assert_ends_with_a_sentence(producer, "operator's wish")
