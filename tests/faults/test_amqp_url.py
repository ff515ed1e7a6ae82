"""AMQP_URL: texts that are no AMQP URLs, and several URLs of which only one can be used.

A "/" or "#" in a password has to be escaped. Without that, the URL has another host, or no number
as its port.
"""

import os
import socket
import sys

import pytest

from brokers.tools import free_port
from helpers.expectations import (
    SECRET,
    assert_fails,
    assert_has_no_connection,
    assert_still_runs,
)
from helpers.scripts import (
    LESSONS,
    ONE_OF_EACH,
    PRODUCERS,
    RECEIVER,
    SOME_PRODUCERS,
    for_each,
)

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


SENTENCE = "AMQP_URL should be like amqp://user:password@host:5672/vhost"
CONNECT = """
import importlib, os, sys, traceback
script = importlib.import_module(sys.argv[1])
for text in sys.argv[2:]:
    os.environ["AMQP_URL"] = text
    try:
        script.connect()
    except Exception:
        print(repr(traceback.format_exc().splitlines()[-1]), flush=True)
"""


@for_each(ONE_OF_EACH)
def test_what_is_no_amqp_url(start, words):
    """What is wrong in a setting may be a traceback, of which nothing gives the setting away."""
    module = words[0].removesuffix(".py")
    program = start("-c", CONNECT, module, *NOT_READABLE, command=(sys.executable,))
    assert program.wait(60) == 0, program
    assert program.stdout == [repr(f"ValueError: {SENTENCE}")] * len(NOT_READABLE)
    assert SECRET not in "".join(program.stdout + program.stderr)


@for_each([*ONE_OF_EACH, ("publisher_confirms.py", "100")])
def test_a_url_in_quotes(start, words):
    """It ends at once, a consumer too."""
    script = start(*words, url=NOT_READABLE[0])
    assert_fails(script, SENTENCE)
    assert SECRET not in repr(script), script
    assert script.stdout == []


@for_each(ONE_OF_EACH)
@pytest.mark.parametrize("form", ["{good},{bad}", "{bad},{good}", "{good},", "{good},,{good}"])
def test_one_of_several_cannot_be_read(start, words, form):
    """... so that none is tried, neither the one before it nor the one after it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        good = f"amqp://127.0.0.1:{server.getsockname()[1]}"
        url = form.format(good=good, bad=f"http://guest:{SECRET}@127.0.0.1")
        assert_fails(start(*words, url=url), SENTENCE)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.fixture
def unusable(broker):
    """URLs at which no script gets a connection, and the cause that it names for each."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        yield {
            f"amqp://guest:{SECRET}@127.0.0.1:{free_port()}": "127.0.0.1: [Errno 111] Connection",
            f"amqp://guest:{SECRET}@no-such-host.invalid": (
                "no-such-host.invalid: [Errno -2] Name or service not known"
            ),
            f"amqp://guest:{SECRET}@a..b": "a..b: encoding with 'idna' codec failed",
            broker.url("/", "guest", SECRET): "127.0.0.1: ConnectionClosedByBroker: (403)",
            broker.url("nowhere"): "127.0.0.1: ConnectionClosedByBroker: (530)",
            f"amqp://127.0.0.1:{silent.getsockname()[1]}/?stack_timeout=2": "127.0.0.1: Timeout",
        }


@for_each([*SOME_PRODUCERS, RECEIVER])
def test_only_the_last_of_several_can_be_used(run, url, unusable, words):
    script = run(*words, url=" , ".join([*unusable, url]))
    if words == LESSONS[-1].producer:
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
    assert "AMQPConnect" not in assert_has_no_connection(script, *unusable.values())


@for_each(ONE_OF_EACH)
@pytest.mark.parametrize("url", [None, ""], ids=["unset", "empty"])
@pytest.mark.xdist_group("port_5672")
def test_without_amqp_url_it_is_localhost(start, words, url):
    try:
        server = socket.create_server(("127.0.0.1", 5672))
    except OSError:
        assert not os.environ.get("CI"), "localhost:5672 has to be free"
        pytest.skip("a broker that is not ours is on localhost:5672")
    with server:
        server.settimeout(15)
        start(*words, url=url)
        with server.accept()[0] as connection:
            connection.settimeout(15)
            assert connection.recv(4) == b"AMQP"
