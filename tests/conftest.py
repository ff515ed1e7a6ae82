"""The brokers and scripts that the tests use.

One broker is shared by all tests, each of which has a virtual host of its own in it. The tests
that restart or kill a broker share another, `own_broker`. With pytest-xdist the shared broker is
started once, by the process that hands the tests out.
"""

import contextlib
import os
import random
import uuid

import pika
import pytest
import trustme

from brokers.broker import Broker
from brokers.docker_or_local import broker_class, cluster_class, described, description_of
from brokers.tools import BrokerError, end_in_good_order_when_the_terminal_closes, say
from support.script_process import Script

pytest.register_assert_rewrite(
    "support.expectations", "support.accidents", "support.stream_of_tasks"
)

SHARED = pytest.StashKey[Broker]()
ENDS = pytest.StashKey[contextlib.ExitStack]()
ALONE = "cluster"  # the marker of the tests that need no shared broker


def pytest_configure(config):
    # Set here, so that every process of pytest-xdist inherits the same.
    os.environ.setdefault("SOAK_SEED", str(random.randrange(10**6)))
    if hasattr(config, "workerinput") and config.workerinput["broker"]:
        config.stash[SHARED] = described(config.workerinput["broker"])


def pytest_sessionstart(session):
    """Start the shared broker; `pytest --help` and `--markers` do not come here."""
    config = session.config
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if config.option.markexpr == ALONE:
        return
    end_in_good_order_when_the_terminal_closes()
    ends = config.stash[ENDS] = contextlib.ExitStack()
    try:
        broker = broker_class()()
        say(f"Starting RabbitMQ for the tests, {broker.description} ...")
        config.stash[SHARED] = ends.enter_context(broker)
    except (BrokerError, TimeoutError) as error:
        pytest.exit(str(error), returncode=1)


def pytest_collection_modifyitems(items):
    # What has to run one after the other takes longest, and so begins first.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def pytest_report_header():
    return f"soak test: SOAK_SEED={os.environ['SOAK_SEED']}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    shared = node.config.stash.get(SHARED, None)
    node.workerinput["broker"] = shared and description_of(shared)


def pytest_unconfigure(config):
    if ENDS in config.stash:
        config.stash[ENDS].close()


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
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    certificate.cert_chain_pems[0].write_to_path(folder / "server.pem")
    with broker_class()(tls=folder) as broker:
        yield broker


@pytest.fixture(scope="session")
def shared_cluster():
    """A cluster; mark its tests as `cluster` and with xdist_group("cluster")."""
    with cluster_class()() as cluster:
        yield cluster


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
    """Start a script: start("worker.py", url=...). In the end it is killed."""
    with contextlib.ExitStack() as scripts:
        yield lambda *words, **options: scripts.enter_context(Script(*words, **options))


@pytest.fixture
def run(start, url):
    """Start a script that uses the fresh virtual host: run("worker.py")."""
    return lambda *words, **options: start(*words, **{"url": url, **options})


@pytest.fixture
def channel(url):
    """A channel of the test's own, to look at what is on the wire."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


@pytest.fixture
def user(broker, vhost):
    """Make a user with few permissions in the virtual host, and return the URL to use."""
    from support.expectations import SECRET  # not earlier: pytest has to prepare that module first

    names = []

    def user(**permissions):
        name = f"user-{uuid.uuid4().hex[:8]}"
        names.append(name)
        broker.api("PUT", "users", name, body={"password": SECRET, "tags": ""})
        if permissions:
            everything = {"configure": ".*", "write": ".*", "read": ".*"}
            broker.api("PUT", "permissions", vhost, name, body={**everything, **permissions})
        return broker.url(vhost, name, SECRET)

    yield user
    for name in names:
        broker.api("DELETE", "users", name)
