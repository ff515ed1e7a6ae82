"""A RabbitMQ cluster of three nodes: for the tests of it, and for `make cluster`.

`DockerCluster` runs the profile `cluster` of docker-compose.yml, `LocalCluster` three private nodes
of the RabbitMQ that is installed on the machine. Each node is a broker as in broker.py, which can
be stopped, killed and started by itself, and be cut off from the others.

    python tests/cluster.py start | stop      what `make cluster` and `make stop` call; the latter
                                              stops the broker if there is no cluster
    python tests/cluster.py kill 1            cuts the power of the first node of that cluster
    python tests/cluster.py restart 1         starts it again, stopping it before if it runs
    python tests/cluster.py cost              measures what a quorum queue on it costs
"""

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import broker
import pika
import requests
from broker import (
    ROOT,
    BrokerError,
    DockerBroker,
    LocalBroker,
    Started,
    kind,
    listens,
    run,
    say,
    wait_until,
)

SIZE = 3
COST_MESSAGES = 1000


class Node:
    """What the nodes of both kinds can do besides what a broker can."""

    def sees_all(self):
        """Tell whether the node sees all nodes of the cluster running."""
        with contextlib.suppress(requests.RequestException):
            nodes = self.api("GET", "nodes")
            return sum(node.get("running", False) for node in nodes) == SIZE
        return False


class LocalNode(Node, LocalBroker):
    """One of three private nodes; the port mapper and the cookie are common to them."""

    def cut_off(self):
        """Let the others refuse to talk to this node, and the other way round.

        Nodes authenticate each other by a secret, the Erlang cookie; a wrong one separates them.
        """
        self._talk_with_a_cookie("wrong")

    def reconnect(self):
        """End what `cut_off` began."""
        self._talk_with_a_cookie("erlang:get_cookie()")

    def _talk_with_a_cookie(self, cookie):
        others = ", ".join(f"'{node.name}'" for node in self.cluster.nodes if node is not self)
        self.rabbitmqctl(
            "eval",
            f"[begin erlang:set_cookie(Node, {cookie}), erlang:disconnect_node(Node) end"
            f" || Node <- [{others}]].",
        )

    def runs(self):
        """Tell whether the node runs, whichever process has started it."""
        return bool(self.process and self.process.poll() is None) or listens(self.amqp_port)

    def kill(self):
        """Cut the node's power, whichever process has started it."""
        if self.process:
            super().kill()
        elif self.runs():
            os.kill(
                int(self.rabbitmqctl("eval", "os:getpid().").strip().strip('"')), signal.SIGKILL
            )


class DockerNode(Node, DockerBroker):
    """One of three containers."""

    def cut_off(self):
        """Unplug the container from the network: neither nodes nor clients reach it."""
        run(["docker", "network", "disconnect", *self._network_and_container()])

    def reconnect(self):
        """End what `cut_off` began."""
        run(
            [
                "docker",
                "network",
                "connect",
                "--alias",
                self.service,
                *self._network_and_container(),
            ]
        )

    def _network_and_container(self):
        project = self.env["COMPOSE_PROJECT_NAME"]
        return f"{project}_default", f"{project}-{self.service}-1"

    def runs(self):
        """Tell whether the container runs, whichever process has started it."""
        return bool(self.compose("ps", "--quiet", self.service))

    def stop(self):
        """Stop the node in good order; its container and data stay."""
        self.compose("stop", self.service)


class Cluster(Started):
    """What the two kinds have in common.

    `nodes` is the list of the nodes.
    """

    def url(self, vhost="/", first=0):
        """Return the AMQP URLs of the nodes with commas between them, as AMQP_URL takes them.

        :param int first: the place of the node whose URL comes first
        """
        return ",".join(node.url(vhost) for node in self.nodes[first:] + self.nodes[:first])

    def leader(self, vhost, queue):
        """Return the node that leads a quorum queue.

        :raises StopIteration: while there is none
        """
        name = self.running().api("GET", "queues", vhost, queue)["leader"]
        return next(node for node in self.nodes if node.name == name)

    def running(self):
        """Return the first node that serves clients.

        :raises StopIteration: if none does
        """
        return next(node for node in self.nodes if node.answers())

    def wait_until_whole(self):
        """Wait until each node has started to the end, and sees all others running.

        A virtual host that is made a moment before hangs for 45 s on RabbitMQ 3.10, and fails.
        """
        for node in self.nodes:
            wait_until(node.sees_all, "the nodes to see each other", interval=0.5)
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda node: node.rabbitmqctl("await_startup"), self.nodes))


class LocalCluster(Cluster):
    """Three private nodes on this machine.

    :param ports: the AMQP ports and the management plugin's ports, as pairs; None takes free ones
    :param Path folder: for data, logs, settings and the Erlang cookie; None makes a temporary one
    """

    description = "three private nodes of this machine's own"

    def __init__(self, ports=None, folder=None):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="rabbitmq-"))
        names = [f"lessons-{number}" for number in range(1, SIZE + 1)]
        discovery = "cluster_formation.peer_discovery_backend = classic_config\n" + "".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}@localhost\n"
            for number, name in enumerate(names, 1)
        )
        # What the nodes of RabbitMQ before 4 do without a majority; newer ones need no telling.
        settings = "cluster_partition_handling = pause_minority\n"
        self.nodes, shared = [], {}
        for name, (amqp_port, management_port) in zip(names, ports or [(None, None)] * SIZE):
            node = LocalNode(
                amqp_port,
                management_port,
                folder=self.folder / name,
                name=name,
                settings=settings + (discovery if self.nodes else ""),
                env=shared,
            )
            # All nodes have one port mapper and one cookie, those of the first.
            shared = {name: node.env[name] for name in ("HOME", "ERL_EPMD_PORT")}
            node.name, node.cluster = node.env["RABBITMQ_NODENAME"], self
            self.nodes.append(node)

    def start(self):
        """Start the first node, and then the others, which join it."""
        first, *others = self.nodes
        first.start()
        with ThreadPoolExecutor() as threads:
            list(threads.map(LocalNode.start, others))
        self.wait_until_whole()

    def stop(self):
        """Stop all nodes, whichever process has started them, and delete their data."""

        def shut_down(node):
            with contextlib.suppress(BrokerError):  # it may be down already
                node.rabbitmqctl("shutdown")

        with ThreadPoolExecutor() as threads:
            list(threads.map(shut_down, self.nodes))
        self.destroy()

    def destroy(self):
        """End all nodes at once, and delete their data."""
        for node in self.nodes:
            node.destroy()
        shutil.rmtree(self.folder, ignore_errors=True)


class DockerCluster(Cluster):
    """The profile `cluster` of docker-compose.yml.

    :param ports: the AMQP ports and the management plugin's ports, as pairs; None takes free ones
    :param str project: the Compose project's name; None makes one up
    """

    description = "three nodes in Docker"

    def __init__(self, ports=None, project=None):
        self.nodes = []
        for number, (amqp_port, management_port) in enumerate(ports or [(None, None)] * SIZE, 1):
            suffix = f"-{number}" if number > 1 else ""
            node = DockerNode(amqp_port, management_port, service=f"rabbitmq{suffix}", project="")
            node.name, node.cluster = f"rabbit@rabbitmq{suffix}", self
            self.nodes.append(node)
        env = {"COMPOSE_PROFILES": "cluster"}
        env["COMPOSE_PROJECT_NAME"] = project or f"lessons-cluster-{self.nodes[0].amqp_port}"
        for number, node in enumerate(self.nodes, 1):
            suffix = f"_{number}" if number > 1 else ""
            env[f"AMQP_PORT{suffix}"] = str(node.amqp_port)
            env[f"MANAGEMENT_PORT{suffix}"] = str(node.management_port)
        for node in self.nodes:
            node.env.update(env)

    def start(self):
        """Start all nodes."""
        self.nodes[0].compose("up", "--wait")
        self.wait_until_whole()

    def stop(self):
        """Stop all nodes in good order, and delete their data."""
        self.nodes[0].compose("down", "--volumes")

    def destroy(self):
        """End all nodes at once, and delete their data."""
        self.nodes[0].compose("down", "--volumes", "--timeout", "1")


def cluster_kind():
    """Return the class of cluster that goes with the class of broker to use; see `broker.kind`."""
    return DockerCluster if kind() is DockerBroker else LocalCluster


def learners_cluster():
    """Return the cluster of `make cluster`, whose ports come one after the other."""
    amqp_port = int(os.environ.get("AMQP_PORT") or 5672)
    management_port = int(os.environ.get("MANAGEMENT_PORT") or 15672)
    ports = [(amqp_port + place, management_port + place) for place in range(SIZE)]
    if kind() is DockerBroker:
        project = os.environ.get("COMPOSE_PROJECT_NAME") or "lessons"
        return DockerCluster(ports, project=f"{project}-cluster")
    return LocalCluster(ports, folder=ROOT / ".cluster")


def start(cluster):
    """Start the learner's cluster, and say how to use it."""
    for node in cluster.nodes:
        for port in (node.amqp_port, node.management_port):
            if listens(port):
                raise BrokerError(f"Port {port} is taken. If it is our broker: make stop")
    say(f"Starting RabbitMQ, {cluster.description}; this takes half a minute or so ...")
    cluster.start()
    urls = ",".join(f"amqp://localhost:{node.amqp_port}" for node in cluster.nodes)
    say(f"The cluster is ready. In each terminal, first:\nexport AMQP_URL={urls}")


def stop(cluster):
    """Stop the learner's cluster."""
    cluster.stop()
    say("The cluster is stopped, and its data deleted.")


def exists():
    """Tell whether there is a learner's cluster; looking for one must not make its folder."""
    if kind() is DockerBroker:
        return any(node.runs() for node in learners_cluster().nodes)
    return (ROOT / ".cluster").exists()


def cost(cluster):
    """Print how many messages a second each type of queue takes, each confirmed by itself."""
    with pika.BlockingConnection(pika.URLParameters(cluster.nodes[0].url())) as connection:
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        for queue in ("classic", "quorum"):
            channel = connection.channel()
            channel.queue_declare(queue, durable=True, arguments={"x-queue-type": queue})
            channel.confirm_delivery()
            times = []
            for _ in range(COST_MESSAGES):
                began = time.perf_counter()
                channel.basic_publish("", queue, b"x" * 100, persistent)
                times.append(time.perf_counter() - began)
            channel.queue_delete(queue)
            print(
                f"{queue} queue: {COST_MESSAGES / sum(times):.0f} messages/s, "
                f"{statistics.median(times) * 1000:.2f} ms each (median)"
            )


def main():
    """Do what `make cluster`, `make stop` and the README's section about clusters ask for."""
    parser = argparse.ArgumentParser(description="A cluster to run the lessons on.")
    parser.add_argument("action", choices=["start", "stop", "kill", "restart", "cost"])
    parser.add_argument("node", type=int, nargs="?", choices=range(1, SIZE + 1), default=1)
    arguments = parser.parse_args()
    if arguments.action == "stop" and not exists():
        broker.main()
        return
    cluster = learners_cluster()
    node = cluster.nodes[arguments.node - 1]
    if arguments.action == "kill":
        node.kill()
    elif arguments.action == "restart":
        if node.runs():
            node.stop()
        node.start()
    else:
        {"start": start, "stop": stop, "cost": cost}[arguments.action](cluster)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. To end what has started already: make stop")
    except (BrokerError, TimeoutError, OSError) as error:
        sys.exit(f"{error}")
