"""What `make broker`, `make cluster`, `make stop`, `make queues` and their like call.

    python -m brokers broker        starts the learner's broker, which keeps its data
    python -m brokers cluster       starts the learner's cluster, which does not
    python -m brokers stop          stops whichever of them runs
    python -m brokers delete        ends it at once, with its data
    python -m brokers queues        shows the queues
    python -m brokers kill 1        kills the first node of the cluster
    python -m brokers restart 1     starts it again, stopping it before if it runs
    python -m brokers rabbitmqctl WORD...    runs rabbitmqctl on the broker or the cluster

AMQP_PORT and MANAGEMENT_PORT name the ports to start at. What was started is remembered in the
folders .broker and .cluster, so that the other commands find it wherever it is.
"""

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import sys

from brokers import in_docker, local
from brokers.broker import RunningBroker
from brokers.cluster import SIZE
from brokers.docker_or_local import broker_class, cluster_class, described, description_of
from brokers.in_docker import DockerBroker, DockerCluster, project_of
from brokers.tools import ROOT, BrokerError, listens, say, wait_until

BROKER, CLUSTER = ROOT / ".broker", ROOT / ".cluster"
CLUSTER_PROJECT = f"{project_of(ROOT)}-cluster"


@contextlib.contextmanager
def one_at_a_time():
    """Let a second command wait, and say so, while another starts or stops something."""
    with open(__file__, "r+") as file:  # not only for reading: NFS locks only what may be written
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command starts or stops a broker here. Waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remember(folder, started):
    """Write down in a folder what is about to be started, for `remembered`."""
    folder.mkdir(exist_ok=True)
    new = folder / "started.json.new"
    new.write_text(json.dumps(description_of(started)))
    new.replace(folder / "started.json")


def remembered(folder):
    """Return the broker or cluster that was last started, None if none was.

    The place that is written there is not used: this folder may be a copy.
    """
    try:
        found = json.loads((folder / "started.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    if "folder" in found:
        found["folder"] = str(folder)
    else:
        found["project"] = CLUSTER_PROJECT if folder == CLUSTER else ""
    return described(found)


def composed():
    """Return the broker that `docker compose up` has started here, None if it does not run."""
    broker = DockerBroker(*ports(), project="")
    return broker if broker.runs() else None


def running_broker():
    """Return the learner's broker if it runs, else None."""
    broker = remembered(BROKER)
    return broker if broker and broker.runs() else composed()


def cluster_to_use():
    """Return the learner's cluster.

    :raises BrokerError: if there is none
    """
    if cluster := remembered(CLUSTER):
        return cluster
    raise BrokerError("No cluster runs here. To start one: make cluster")


def ports():
    """Return the ports to start at, for AMQP and for the management plugin.

    :raises BrokerError: if one is no port
    """
    found = []
    for name, default in (("AMQP_PORT", "5672"), ("MANAGEMENT_PORT", "15672")):
        text = os.environ.get(name) or default
        if not text.isdecimal() or not 0 < int(text) <= 65535 - SIZE:
            raise BrokerError(f"{name} is {text!r}; it can be a number from 1 to {65535 - SIZE}.")
        found.append(int(text))
    return tuple(found)


def say_where(broker):
    """Say where a broker is, and which RabbitMQ it is."""
    say(f"RabbitMQ {broker.version()} is at {broker.url()}")
    say(f"The management page is at http://localhost:{broker.management_port} (guest/guest)")
    if f":{broker.amqp_port}" not in (os.environ.get("AMQP_URL") or "amqp://localhost:5672"):
        say(f"In each terminal, first: export AMQP_URL={broker.url()}")


def check_that_ports_are_free(pairs):
    """:raises BrokerError: if a program listens at one of the ports"""
    (amqp_port, management_port), *_ = pairs
    for port in sum(map(list, pairs), []):
        if listens(port):
            others = f"AMQP_PORT={amqp_port + 100} MANAGEMENT_PORT={management_port + 100}"
            raise BrokerError(
                f"Port {port} is taken by another program. End that, or put other ports in front "
                f"of the command: {others}"
            )


def start_broker():
    """Start the learner's broker, unless it runs, and say where it is."""
    cluster = remembered(CLUSTER)
    if cluster and cluster.runs():
        raise BrokerError("The cluster runs. To end it, with its data: make stop")
    if broker := running_broker():
        # It may be starting still, or stopping.
        wait_until(
            lambda: broker.answers() or not broker.runs(), "its answer; to end it: make stop"
        )
        if broker.runs():
            say("The broker runs already. To start it in another way, first: make stop")
            say_where(broker)
            return
    kind = broker_class()
    own = {"project": ""} if kind is DockerBroker else {"folder": BROKER}
    broker = kind(*ports(), **own)
    if broker.answers():
        say("A broker that was not started here answers already; the lessons can use it.")
        say_where(broker)
        return
    check_that_ports_are_free([ports()])
    last = remembered(BROKER)
    if last and type(last) is not kind:
        say(f"The last broker was {last.description}. Its queues are there, and not in this one.")
    say(f"Starting RabbitMQ, {broker.description}; this takes some seconds ...")
    remember(BROKER, broker)
    broker.start()
    say_where(broker)


def start_cluster():
    """Start the learner's cluster, unless it runs, and say how to use it."""
    if running_broker():
        raise BrokerError("The broker runs. To stop it: make stop")
    cluster = remembered(CLUSTER)
    if cluster and cluster.runs():
        say(f"The cluster runs already: {cluster.running_nodes()} of {SIZE} nodes.")
    else:
        if cluster:
            cluster.destroy()  # as a whole it can hardly start again, and its data is never kept
        amqp_port, management_port = ports()
        pairs = [(amqp_port + place, management_port + place) for place in range(SIZE)]
        check_that_ports_are_free(pairs)
        kind = cluster_class()
        own = {"project": CLUSTER_PROJECT} if kind is DockerCluster else {"folder": CLUSTER}
        cluster = kind(pairs, **own)
        say(f"Starting RabbitMQ, {cluster.description}; this takes half a minute or so ...")
        remember(CLUSTER, cluster)
        cluster.start()
        say(f"The cluster is ready, with RabbitMQ {cluster.running().version()}.")
    urls = ",".join(f"amqp://localhost:{node.amqp_port}" for node in cluster.nodes)
    say(f"In each terminal, first:\nexport AMQP_URL={urls}")


def stop():
    """Stop the learner's cluster and broker, whichever runs, and say which.

    Say too how to end those whose folder is deleted, and with it the command that would stop them.
    """
    cluster, broker = remembered(CLUSTER), running_broker()
    if cluster:
        say("Stopping the cluster: waiting until its nodes have ended ...")
        cluster.stop()
        shutil.rmtree(CLUSTER, ignore_errors=True)
        say("The cluster is stopped, and its data deleted.")
    if broker:
        say("Stopping the broker: waiting until it has saved its queues, and ended ...")
        broker.stop()
        say("The broker is stopped. It keeps its queues for the next time.")
    if not cluster and not broker:
        say("No broker and no cluster runs here.")
    for folder, command in [*local.orphans(), *in_docker.orphans()]:
        say(f"A broker runs whose folder is deleted ({folder}). To end it: {command}")


def delete():
    """End the learner's cluster and broker at once, and delete their data."""
    for name, found in (
        ("cluster", remembered(CLUSTER)),
        ("broker", remembered(BROKER)),
        ("broker", composed()),
    ):
        if found:
            found.destroy()
            say(f"The {name} and its queues are deleted.")
    for folder in (CLUSTER, BROKER):
        shutil.rmtree(folder, ignore_errors=True)


def broker_to_use():
    """Return the learner's broker, or a node of the cluster, or another broker at its ports.

    :raises BrokerError: if none serves clients
    """
    amqp_port, management_port = ports()
    found = running_broker() or remembered(CLUSTER)
    if not found:
        management = f"http://127.0.0.1:{management_port}"
        found = RunningBroker(f"amqp://127.0.0.1:{amqp_port}", management)
    if hasattr(found, "nodes"):
        found = found.running()
    if not found.answers():
        raise BrokerError("No broker runs here. To start one: make broker")
    return found


def rabbitmqctl(words):
    """Become a rabbitmqctl for the learner's broker or cluster.

    :raises BrokerError: if neither serves clients
    """
    broker = broker_to_use()
    if isinstance(broker, RunningBroker):
        raise BrokerError("The broker that answers was not started here: use its own rabbitmqctl.")
    command = [*broker.rabbitmqctl_command(), *words]
    os.execvpe(command[0], command, broker.env)


def queues():
    """Print the queues of the learner's broker or cluster, or of another broker at its ports."""
    found = broker_to_use()
    sys.stdout.reconfigure(errors="backslashreplace")  # a queue's name may be in any language
    columns = ["name", "messages_ready", "messages_unacknowledged"]
    rows = [[q.get(column, 0) for column in columns] for q in found.api("GET", "queues", "/")]
    for row in [columns, *rows]:
        print("{:<30} {:>14} {:>23}".format(*row))


def kill(number):
    """Kill a node of the learner's cluster."""
    cluster_to_use().nodes[number - 1].kill()


def restart(number):
    """Start a node of the learner's cluster again, stopping it before if it runs."""
    node = cluster_to_use().nodes[number - 1]
    if node.runs():
        say(f"Stopping node {number}: waiting until it has ended ...")
        node.stop()
    say(f"Starting node {number}: waiting until it serves clients ...")
    node.start()
    say(f"Node {number} serves clients.")


def main():
    """Do what the command line says."""
    if sys.argv[1:2] == ["rabbitmqctl"]:  # its words may look like options of ours
        rabbitmqctl(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m brokers", description="RabbitMQ to learn on.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action in (start_broker, start_cluster, stop, delete, queues, kill, restart):
        name = action.__name__.replace("start_", "")
        command = actions.add_parser(name, help=action.__doc__)
        command.set_defaults(action=action)
        if action in (kill, restart):
            command.add_argument("number", type=int, choices=range(1, SIZE + 1))
    arguments = vars(parser.parse_args())
    action = arguments.pop("action")
    with contextlib.nullcontext() if action is queues else one_at_a_time():
        action(**arguments)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. To end what has started already: make stop")
    except (BrokerError, TimeoutError, OSError) as error:
        sys.exit(f"{error}")
