"""The broker refuses: the login, a declaration, a message."""

import pytest

from helpers.accidents import copy_that_loses_its_queue, let_queues_refuse_messages
from helpers.expectations import SECRET, assert_ends_with_a_sentence, assert_has_no_connection
from helpers.messages import ask, take
from helpers.scripts import (
    LESSONS,
    ONE_OF_EACH,
    PRODUCERS,
    RECEIVER,
    SCRIPTS,
    SOME_CONSUMERS,
    SOME_PRODUCERS,
    declared_by,
    for_each,
)

AT_AN_EXCHANGE = next(pair for pair in LESSONS if pair.exchange)


@for_each([*SOME_PRODUCERS, RECEIVER])
def test_the_password_is_wrong(start, broker, words):
    script = start(*words, url=broker.url("/", "guest", SECRET))
    assert_has_no_connection(script, "ACCESS_REFUSED", "Login was refused")


@for_each(ONE_OF_EACH)
def test_there_is_no_such_vhost(start, broker, words):
    script = start(*words, url=broker.url("nowhere"))
    assert_has_no_connection(script, "NOT_ALLOWED - vhost nowhere not found")


@for_each(ONE_OF_EACH)
def test_the_user_may_not_enter_the_vhost(start, user, vhost, words):
    reason = f"NOT_ALLOWED - access to vhost '{vhost}' refused"
    assert_has_no_connection(start(*words, url=user()), reason)


@for_each([words for words in SCRIPTS if words in SOME_PRODUCERS + SOME_CONSUMERS])
def test_no_permission_to_declare(start, user, words):
    script = start(*words, url=user(configure="^$"))
    assert_ends_with_a_sentence(script, "ACCESS_REFUSED", declared_by(words[0]))


@for_each(PRODUCERS)
def test_no_permission_to_publish(start, user, words):
    """The broker tells by closing the channel after the message: "Sent" must wait for it."""
    producer = start(*words, url=user(write="^$"))
    declared = declared_by(words[0])
    exchange = declared if "logs" in declared else "amq.default"
    sentence = assert_ends_with_a_sentence(producer, exchange)
    if words == LESSONS[-1].producer:  # pika up to 1.4 does not give this client the reason
        assert "Refused. May we write to amq.default?" in sentence or "ACCESS_REFUSED" in sentence
    else:
        assert "ACCESS_REFUSED" in sentence


def test_no_permission_to_consume(start, user):
    script = start(*RECEIVER, url=user(read="^$"))
    assert_ends_with_a_sentence(script, "ACCESS_REFUSED", "access to queue 'hello' in vhost")


def test_no_permission_to_answer(start, user, channel):
    """The request goes back to the queue, for a server that may."""
    server = start("rpc_server.py", url=user(write="^$"))
    server.wait_until_ready()
    ask(channel, "3", reply_to="somewhere")
    assert_ends_with_a_sentence(server, "ACCESS_REFUSED", "amq.default")
    assert take(channel, "rpc_queue")[-1] == b"3"


@for_each([*ONE_OF_EACH, ("retry_worker.py",)])
def test_the_queue_exists_with_other_properties(run, channel, words):
    name = declared_by(words[0])
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "classic"})
    reason = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type'"
    assert_ends_with_a_sentence(run(*words), reason, f"'{name}'")


@for_each([AT_AN_EXCHANGE.producer, AT_AN_EXCHANGE.consumer])
def test_the_exchange_exists_with_another_type(run, channel, words):
    channel.exchange_declare(AT_AN_EXCHANGE.exchange, "headers")
    reason = "PRECONDITION_FAILED - inequivalent arg 'type'"
    assert_ends_with_a_sentence(run(*words), reason, f"'{AT_AN_EXCHANGE.exchange}'")


@pytest.mark.parametrize("name", ["send.py", "new_task.py"])
def test_a_queue_that_is_full_takes_no_message(run, broker, vhost, name):
    """It says so by a negative confirm."""
    let_queues_refuse_messages(broker, vhost)
    for _ in range(10):  # quorum queues take some more
        sender = run(name)
        if sender.wait() != 0:
            break
    assert_ends_with_a_sentence(sender, "NACK")


def test_no_task_is_sent_into_a_queue_that_has_gone(run, tmp_path):
    """What goes to no queue is confirmed as well; the flag "mandatory" makes the difference."""
    copy_that_loses_its_queue(tmp_path)
    assert_ends_with_a_sentence(run("new_task.py", "task", cwd=tmp_path), "1 unroutable message(s)")
