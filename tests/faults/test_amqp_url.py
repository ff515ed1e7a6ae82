"""AMQP_URL: texts that are no AMQP URLs, and several URLs of which only one can be used.

A "/" or "#" in a password has to be escaped. Without that, the URL has another host, or no number
as its port.
"""

import socket

import pytest

from brokers.tools import free_port
from support.expectations import (
    SECRET,
    assert_ends_with_a_sentence,
    assert_fails,
    assert_still_runs,
    assert_tries_again,
    for_each,
)
from support.list_of_lessons import ONE_OF_EACH, PRODUCERS, SCRIPTS

NOT_READABLE = [
    f'"amqp://guest:{SECRET}@127.0.0.1/shop"',  # an env file keeps quotes; pika takes localhost
    f"'amqp://guest:{SECRET}@127.0.0.1/shop'",
    f"“amqp://guest:{SECRET}@127.0.0.1/shop”",
    f"amqp:/guest:{SECRET}@127.0.0.1",  # localhost, too
    f"amqp:guest:{SECRET}@127.0.0.1",
    f"amqp：//guest:{SECRET}@127.0.0.1",
    f"http://guest:{SECRET}@127.0.0.1:15672/",
    f"amqp+ssl://guest:{SECRET}@127.0.0.1",
    f"AMQP_URL=amqp://guest:{SECRET}@127.0.0.1",
    f"guest:{SECRET}@127.0.0.1",
    "rabbit.example.com",
    "localhost:5672",
    "${AMQP_URL}",
    " ",
    f"amqp://{SECRET}@127.0.0.1",  # a user without a password
    f"amqp://guest:{SECRET}@127.0.0.1:port",
    f"amqp://guest:{SECRET}@127.0.0.1:99999",
    f"amqp://guest:{SECRET}@[::1",
    f"amqp://guest:pass/{SECRET}@127.0.0.1",
    f"amqp://guest:pass#{SECRET}@127.0.0.1",
    f"amqp://guest:pass?{SECRET}@127.0.0.1",
    f"amqp://guest:pass,{SECRET}@127.0.0.1",
    f"amqp://guest:{SECRET}@127.0.0.1/%2F?heartbeat=soon",
    f"amqp://guest:{SECRET}@127.0.0.1/%2F?heartbeat={SECRET}",
    f"amqp://guest:{SECRET}@127.0.0.1/%2F?colour={SECRET}",
    f"amqp://guest:{SECRET}@127.0.0.1/%2F?ssl_options={{{SECRET}",
]


def assert_says_that_it_cannot_be_read(script):
    """What is wrong in a setting is a traceback, of which nothing gives the setting away."""
    assert_fails(script, "AMQP_URL should be like amqp://user:password@host:5672/vhost")
    assert SECRET not in repr(script), script
    assert script.stdout == []


@for_each(ONE_OF_EACH)
def test_what_is_no_amqp_url(start, words):
    for script in [start(*words, url=text) for text in NOT_READABLE]:
        assert_says_that_it_cannot_be_read(script)


@for_each([words for words in SCRIPTS if words not in ONE_OF_EACH])
def test_a_url_in_quotes(start, words):
    assert_says_that_it_cannot_be_read(start(*words, url=NOT_READABLE[0]))


@for_each(ONE_OF_EACH)
@pytest.mark.parametrize("form", ["{good},{bad}", "{bad},{good}", "{good},", "{good},,{good}"])
def test_one_of_several_cannot_be_read(start, words, form):
    """... so that none is tried, neither the one before it nor the one after it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        good = f"amqp://127.0.0.1:{server.getsockname()[1]}"
        url = form.format(good=good, bad=f"http://guest:{SECRET}@127.0.0.1")
        assert_says_that_it_cannot_be_read(start(*words, url=url))
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.fixture
def unusable(broker):
    """URLs at which no script gets a connection, and the cause that it names for each."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        yield {
            f"amqp://guest:{SECRET}@127.0.0.1:{free_port()}": "127.0.0.1: [Errno 111] Connection",
            f"amqp://guest:{SECRET}@no-such-host.invalid": "no-such-host.invalid: [Errno -2] Name",
            f"amqp://guest:{SECRET}@a..b": "a..b: encoding with 'idna' codec failed",
            broker.url("/", "guest", SECRET): "127.0.0.1: ConnectionClosedByBroker: (403)",
            broker.url("nowhere"): "127.0.0.1: ConnectionClosedByBroker: (530)",
            f"amqp://127.0.0.1:{silent.getsockname()[1]}/?stack_timeout=2": "127.0.0.1: Timeout",
        }


@for_each(SCRIPTS)
def test_only_the_last_of_several_can_be_used(run, url, unusable, words):
    script = run(*words, url=" , ".join([*unusable, url]))
    if words == ("rpc_client.py",):
        script.wait_for("Requesting")
    elif words in PRODUCERS:
        assert script.wait(30) == 0, script
        assert script.stderr == []
    else:
        script.wait_until_ready()
        assert_still_runs(script)


@for_each(ONE_OF_EACH)
def test_none_of_several_can_be_used(start, unusable, words):
    """The cause is told for each, once and readable: no exception inside another one."""
    script = start(*words, url=",".join(unusable))
    producer = words in PRODUCERS
    check = assert_ends_with_a_sentence if producer else assert_tries_again
    assert "AMQPConnect" not in check(script, *unusable.values())
