"""The brokers and scripts that the tests use.

One broker is shared by all tests, each of which has a virtual host of its own in it. The tests
that restart a broker, or raise an alarm, share another, `own_broker`. With pytest-xdist the shared
broker is started once, by the process that hands the tests out.
"""

import contextlib
import os
import random
import uuid

import pika
import pytest
import trustme

from brokers.broker import Broker, RunningBroker
from brokers.docker_or_local import broker_class, cluster_class, described, description_of
from brokers.tools import BrokerError, end_in_good_order_when_the_terminal_closes, listens, say
from helpers.process import Script

pytest.register_assert_rewrite("helpers.expectations", "helpers.messages", "helpers.stream")

SHARED = pytest.StashKey[Broker]()
ENDS = pytest.StashKey[contextlib.ExitStack]()
# Fixtures that start a broker of the tests' own; with --broker-url, their tests are skipped.
STARTING = {"own_broker", "shared_cluster", "course", "copy", "bare"}
# Markers whose tests need no shared broker.
ALONE = ("cluster", "no_broker")


def pytest_addoption(parser):
    parser.addoption(
        "--broker-url",
        metavar="URL",
        help="use a RabbitMQ that runs, with its management plugin: amqp://guest:guest@localhost. "
        "The tests make virtual hosts and users of their own in it, and touch nothing else.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    # Set here, so that every process of pytest-xdist inherits the same.
    os.environ.setdefault("TEST_SEED", str(random.randrange(10**6)))
    if config.option.broker_url:
        config.option.numprocesses = 0  # such tests are few: more processes would start slowly
        config.option.dist = "no"
    elif hasattr(config, "workerinput") and config.workerinput["broker"]:
        config.stash[SHARED] = described(config.workerinput["broker"])


def pytest_sessionstart(session):
    """Start the shared broker; `pytest --help` and `--markers` do not come here."""
    config = session.config
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if config.option.markexpr in ALONE:
        return
    try:
        end_in_good_order_when_the_terminal_closes()
        ends = config.stash[ENDS] = contextlib.ExitStack()
        if config.option.broker_url:
            broker = RunningBroker(config.option.broker_url)
        else:
            broker = broker_class()()
            say(f"Starting RabbitMQ for the tests, {broker.description} ...")
        config.stash[SHARED] = ends.enter_context(broker)
    except (BrokerError, TimeoutError) as error:
        pytest.exit(str(error), returncode=1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        fixtures = set(item.fixturenames)
        if not fixtures & {"broker", *STARTING}:
            item.add_marker("no_broker")
        if "own_broker" in fixtures and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("own_broker"))
        if config.option.broker_url and fixtures & STARTING:
            item.add_marker(pytest.mark.skip("it starts a broker of its own, and disturbs it"))
    # What has to run one after the other takes longest, and so begins first.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def pytest_report_header():
    lines = [f"TEST_SEED={os.environ['TEST_SEED']} repeats the random choices of this run"]
    if listens(5672):
        lines.append("left out: what needs localhost:5672 to be free; a broker of yours is there")
    return lines


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
    """A broker that may be restarted and killed, and serves amqps:// too.

    That is at localhost and `tls_port`, with a certificate of a CA that is made here and nobody
    trusts; the CA's own is in the file `tls / "ca.pem"`. Each group of pytest-xdist has its own.
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
    """The AMQP URL of that virtual host, with a user of its own."""
    return broker.url(vhost, vhost, vhost)


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
def run_each(broker):
    """Start scripts, each with a virtual host of its own: run_each([("worker.py",)]).

    :param str query: what follows in the URL, such as "?heartbeat=2"
    :param of: the broker; the shared one by default
    :param through: a Network that leads to the broker
    :param options: further options of Script
    :returns: the scripts; each has its `vhost`, and the `url` of that at the broker
    """
    with contextlib.ExitStack() as ends:

        def run_each(scripts, query="", of=broker, through=None, **options):
            started = []
            for words in scripts:
                vhost = f"test-{uuid.uuid4().hex[:8]}"
                url = of.add_vhost(vhost)
                if of is broker:
                    ends.callback(broker.delete_vhost, vhost)
                way = url.replace(f":{of.amqp_port}/", f":{through.port}/") if through else url
                script = ends.enter_context(Script(*words, url=f"{way}{query}", **options))
                script.vhost, script.url = vhost, url
                started.append(script)
            return started

        yield run_each


@pytest.fixture
def channel(url):
    """A channel of the test's own, to look at what is on the wire."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


@pytest.fixture
def user(broker, vhost):
    """Make a user with few permissions in the virtual host, and return the URL to use."""
    from helpers.expectations import SECRET  # not earlier: pytest has to prepare that module first

    names = []

    def user(**permissions):
        name = f"test-{uuid.uuid4().hex[:8]}"
        names.append(name)
        broker.api("PUT", "users", name, body={"password": SECRET, "tags": ""})
        if permissions:
            everything = {"configure": ".*", "write": ".*", "read": ".*"}
            broker.api("PUT", "permissions", vhost, name, body={**everything, **permissions})
        return broker.url(vhost, name, SECRET)

    yield user
    for name in names:
        broker.api("DELETE", "users", name)
