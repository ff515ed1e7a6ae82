"""The brokers and terminals that the tests use.

One broker is shared by all tests, each of which has a virtual host of its own in it. The tests
that restart or kill a broker share another, `own_broker`. With pytest-xdist the shared broker is
started once, by the process that hands the tests out.
"""

import os
import random
import uuid

import pika
import pytest
import trustme
from broker import Broker, BrokerError, kind, say
from terminal import Terminal

pytest.register_assert_rewrite("faults")

SHARED = pytest.StashKey()


def pytest_configure(config):
    # Set here, so that every process of pytest-xdist inherits the same.
    os.environ.setdefault("SOAK_SEED", str(random.randrange(10**6)))
    if hasattr(config, "workerinput"):
        config.stash[SHARED] = Broker.of(config.workerinput["broker"])
    elif not config.option.collectonly and config.option.markexpr != "cluster":
        try:
            broker = kind()()
            say(f"Starting RabbitMQ for the tests, {broker.description} ...")
            broker.start()
            config.stash[SHARED] = broker
        except (BrokerError, TimeoutError) as error:
            pytest.exit(str(error), returncode=1)


def pytest_collection_modifyitems(items):
    # What has to run one after the other takes longest, and so begins first.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def pytest_report_header():
    return f"soak test: SOAK_SEED={os.environ['SOAK_SEED']}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["broker"] = node.config.stash[SHARED].reference()


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput") and SHARED in config.stash:
        config.stash[SHARED].destroy()


@pytest.fixture(scope="session")
def broker(request):
    """The broker that all tests share."""
    return request.config.stash[SHARED]


@pytest.fixture(scope="session")
def own_broker(tmp_path_factory):
    """A broker that may be restarted and killed; mark its tests with xdist_group("own_broker").

    It serves amqps:// too, at localhost and `tls_port`, with a certificate of a CA that is made
    here and nobody trusts; the CA's own is in the file `tls / "ca.pem"`.
    """
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)  # in a container, another user reads it
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    certificate.cert_chain_pems[0].write_to_path(folder / "server.pem")
    with kind()(tls=folder) as broker:
        yield broker


@pytest.fixture
def vhost(broker):
    """The name of a fresh virtual host on the shared broker."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    broker.add_vhost(name)
    yield name
    broker.delete_vhost(name)


@pytest.fixture
def url(broker, vhost):
    """The AMQP URL of that virtual host."""
    return broker.url(vhost)


@pytest.fixture
def start():
    """Start a script in a terminal: start("worker.py", url=...). In the end it is killed."""
    terminals = []

    def start(*script, **options):
        terminals.append(Terminal(*script, **options))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.__exit__()


@pytest.fixture
def run(start, url):
    """Start a script that uses the fresh virtual host: run("worker.py")."""

    def run(*script, **options):
        return start(*script, **{"url": url, **options})

    return run


@pytest.fixture
def channel(url):
    """A channel of the test's own, to look at what is on the wire."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


@pytest.fixture
def user(broker, vhost):
    """Make a user with few permissions in the virtual host, and return the URL to use."""
    from faults import SECRET  # not earlier: pytest has to prepare that module first

    names = []

    def user(**permissions):
        name = f"user-{uuid.uuid4().hex[:8]}"
        names.append(name)
        broker.api("PUT", "users", name, json={"password": SECRET, "tags": ""})
        if permissions:
            everything = {"configure": ".*", "write": ".*", "read": ".*"}
            broker.api("PUT", "permissions", vhost, name, json={**everything, **permissions})
        return broker.url(vhost, name, SECRET)

    yield user
    for name in names:
        broker.api("DELETE", "users", name)
