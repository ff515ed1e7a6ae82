"""amqps://, with certificates that are trusted and others."""

import functools

import pytest

from support.expectations import (
    SECRET,
    assert_ends_with_a_sentence,
    assert_gets_messages,
    assert_tries_again,
)
from support.list_of_lessons import CONSUMERS, PRODUCERS, SCRIPTS

pytestmark = pytest.mark.xdist_group("second_own_broker")


def test_a_trusted_certificate(start, own_broker):
    own_broker.add_vhost("amqps")
    url = f"amqps://guest:guest@localhost:{own_broker.tls_port}/amqps"
    trusted = {"SSL_CERT_FILE": str(own_broker.tls / "ca.pem")}
    start = functools.partial(start, env=trusted)
    for consumer in [start(*words, url=url) for words in CONSUMERS]:
        consumer.wait_until_ready()
        assert_gets_messages(start, url, consumer)
        assert consumer.stderr == []


def test_a_certificate_of_an_unknown_authority(start, own_broker):
    url = f"amqps://guest:{SECRET}@localhost:{own_broker.tls_port}"
    for script in [start(*words, url=url) for words in SCRIPTS]:
        check = assert_ends_with_a_sentence if script.words in PRODUCERS else assert_tries_again
        check(script, "localhost: ", "CERTIFICATE_VERIFY_FAILED")


def test_a_certificate_for_another_host(start, own_broker):
    trusted = {"SSL_CERT_FILE": str(own_broker.tls / "ca.pem")}
    url = f"amqps://guest:{SECRET}@127.0.0.1:{own_broker.tls_port}"
    for name, check in (
        ("send.py", assert_ends_with_a_sentence),
        ("receive.py", assert_tries_again),
    ):
        check(start(name, url=url, env=trusted), "127.0.0.1: ", "CERTIFICATE_VERIFY_FAILED")
