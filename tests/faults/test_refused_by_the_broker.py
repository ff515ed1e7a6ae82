"""The broker refuses: the login, a declaration, a message."""

import pika
import pytest

from brokers.tools import wait_until
from support.accidents import copy_that_loses_its_queue, let_queues_refuse_messages
from support.expectations import (
    SECRET,
    assert_ends_with_a_sentence,
    assert_tries_again,
    for_each,
)
from support.list_of_lessons import CONSUMERS, ONE_OF_EACH, PRODUCERS, SCRIPTS, lesson_of


def assert_is_refused(script, *parts):
    """Check that a producer ends with the broker's reason, and a consumer tries again."""
    producer = script.words in PRODUCERS
    (assert_ends_with_a_sentence if producer else assert_tries_again)(script, *parts)


@for_each(SCRIPTS)
def test_login_refused(start, broker, words):
    script = start(*words, url=broker.url("/", "guest", SECRET))
    assert_is_refused(script, "ACCESS_REFUSED", "Login was refused")


@for_each(SCRIPTS)
def test_unknown_vhost(start, broker, words):
    assert_is_refused(start(*words, url=broker.url("nowhere")), "NOT_ALLOWED", "nowhere")


@for_each(ONE_OF_EACH)
def test_a_vhost_that_the_user_may_not_enter(start, user, vhost, words):
    assert_is_refused(start(*words, url=user()), "NOT_ALLOWED", vhost)


@for_each(SCRIPTS)
def test_no_permission_to_declare(start, user, words):
    script = start(*words, url=user(configure="^$"))
    assert_ends_with_a_sentence(script, "ACCESS_REFUSED", lesson_of(words[0]).declares)


@for_each(PRODUCERS)
def test_no_permission_to_publish(start, user, words):
    """The broker tells by closing the channel after the message: "Sent" must wait for it."""
    producer = start(*words, url=user(write="^$"))
    exchange = lesson_of(words[0]).exchange or "amq.default"
    # pika does not give the reason to the client of lesson 6, which has words of its own.
    reason = [] if words == ("rpc_client.py",) else ["ACCESS_REFUSED"]
    assert_ends_with_a_sentence(producer, *reason, exchange)


@for_each(CONSUMERS)
def test_no_permission_to_consume(start, user, words):
    script = start(*words, url=user(read="^$"))
    assert_ends_with_a_sentence(script, "ACCESS_REFUSED", lesson_of(words[0]).declares)


def test_no_permission_to_answer(start, user, channel):
    """The request goes back to the queue, for a server that may."""
    server = start("rpc_server.py", url=user(write="^$"))
    server.wait_until_ready()
    channel.basic_publish("", "rpc_queue", "3", pika.BasicProperties(reply_to="somewhere"))
    assert_ends_with_a_sentence(server, "ACCESS_REFUSED", "amq.default")
    wait_until(lambda: channel.basic_get("rpc_queue")[0], "the request in the queue", 15)


@for_each([words for words in SCRIPTS if lesson_of(words[0]).declares != "amq.gen"])
def test_it_exists_with_other_properties(run, channel, words):
    name = lesson_of(words[0]).declares
    if lesson_of(words[0]).exchange:
        channel.exchange_declare(name, "direct" if name == "headers_logs" else "headers")
        what = "'type'"
    else:
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": "classic"})
        what = "x-queue-type"
    assert_ends_with_a_sentence(run(*words), "PRECONDITION_FAILED", f"'{name}'", what)


@pytest.mark.parametrize("name", ["send.py", "new_task.py"])
def test_the_broker_confirms_no_message_that_it_refuses(run, broker, vhost, name):
    """A queue that is full, and refuses what is too much, says so by a negative confirm."""
    let_queues_refuse_messages(broker, vhost)
    for _ in range(10):  # quorum queues take some more
        sender = run(name)
        if sender.wait() != 0:
            break
    assert_ends_with_a_sentence(sender, "NACK")


def test_no_task_is_sent_into_a_queue_that_has_gone(run, tmp_path):
    """What goes to no queue is confirmed as well; the flag "mandatory" makes the difference."""
    copy_that_loses_its_queue(tmp_path)
    assert_ends_with_a_sentence(run("new_task.py", "task", cwd=tmp_path), "unroutable")
