"""amqps://, with certificates that are trusted and others."""

import functools

from helpers.expectations import (
    SECRET,
    assert_gets_messages,
    assert_has_no_connection,
)
from helpers.scripts import ONE_OF_EACH, RECEIVER, SOME_PRODUCERS, for_each


def test_a_trusted_certificate(start, own_broker):
    own_broker.add_vhost("amqps")
    url = f"amqps://guest:guest@localhost:{own_broker.tls_port}/amqps"
    start = functools.partial(start, env={"SSL_CERT_FILE": str(own_broker.tls / "ca.pem")})
    receiver = start(*RECEIVER, url=url)
    receiver.wait_until_ready()
    assert_gets_messages(start, url, receiver)
    confirmer = start("publisher_confirms.py", "10", url=url)  # another class of pika's connects
    assert confirmer.wait() == 0, confirmer


def test_a_certificate_of_an_unknown_authority(start, own_broker):
    url = f"amqps://guest:{SECRET}@localhost:{own_broker.tls_port}"
    for script in [start(*words, url=url) for words in [*SOME_PRODUCERS, RECEIVER]]:
        assert_has_no_connection(script, "localhost: ", "CERTIFICATE_VERIFY_FAILED")


@for_each(ONE_OF_EACH)
def test_a_certificate_for_another_host(start, own_broker, words):
    trusted = {"SSL_CERT_FILE": str(own_broker.tls / "ca.pem")}
    url = f"amqps://guest:{SECRET}@127.0.0.1:{own_broker.tls_port}"
    script = start(*words, url=url, env=trusted)
    assert_has_no_connection(script, "127.0.0.1: ", "CERTIFICATE_VERIFY_FAILED", "mismatch")


@for_each(ONE_OF_EACH)
def test_amqps_at_a_port_without_tls(start, broker, words):
    url = broker.url("/", "guest", SECRET).replace("amqp://", "amqps://")
    assert_has_no_connection(start(*words, url=url), "127.0.0.1: ", "WRONG_VERSION_NUMBER")
