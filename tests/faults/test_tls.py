"""amqps://, with certificates that are trusted and others."""

import functools

import pytest

from support.expectations import SECRET, assert_fails, assert_gets_messages, assert_tries_again
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
        producer = script.words in PRODUCERS
        (assert_fails if producer else assert_tries_again)(script, "CERTIFICATE_VERIFY_FAILED")


def test_a_certificate_for_another_host(start, own_broker):
    trusted = {"SSL_CERT_FILE": str(own_broker.tls / "ca.pem")}
    url = f"amqps://guest:{SECRET}@127.0.0.1:{own_broker.tls_port}"
    assert_fails(start("send.py", url=url, env=trusted), "CERTIFICATE_VERIFY_FAILED")
    assert_tries_again(start("receive.py", url=url, env=trusted), "CERTIFICATE_VERIFY_FAILED")
