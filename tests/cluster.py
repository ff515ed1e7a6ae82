"""A RabbitMQ cluster of three nodes: for the tests of it, and for `make cluster`.

`DockerCluster` runs the profile `cluster` of docker-compose.yml, `LocalCluster` three private nodes
of the RabbitMQ that is installed on the machine. Each node is a broker as in broker.py, which can
be stopped, killed and started by itself, and be cut off from the others.

    python tests/cluster.py start | stop      what `make cluster` and `make stop` call
"""

import argparse
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from broker import (
    ROOT,
    BrokerError,
    DockerBroker,
    LocalBroker,
    kind,
    listens,
    say,
    wait_until,
)

SIZE = 3


class Node:
    """What the nodes of both kinds can do besides what a broker can."""

    knows = SIZE  # nodes, itself included, before it counts as started

    def answers(self):
        """Tell whether the node serves clients, and knows the others."""
        return super().answers() and len(self.api("GET", "nodes")) >= self.knows

    def cut_off(self):
        """Let the others refuse to talk to this node, and the other way round.

        Clients can still connect to it. The nodes authenticate each other by a secret, the Erlang
        cookie; a wrong one is what separates them.
        """
        self._talk_with_a_cookie("wrong")

    def reconnect(self):
        """End what `cut_off` began."""
        self._talk_with_a_cookie("erlang:get_cookie()")

    def _talk_with_a_cookie(self, cookie):
        self.rabbitmqctl(
            "eval",
            f"[begin erlang:set_cookie(Node, {cookie}), erlang:disconnect_node(Node) end"
            " || Node <- rabbit_nodes:all(), Node =/= node()].",
        )


class LocalNode(Node, LocalBroker):
    """One of three private nodes; the port mapper and the cookie are common to them."""

    def runs(self):
        """Tell whether the node runs, whichever process has started it."""
        return listens(self.amqp_port)


class DockerNode(Node, DockerBroker):
    """One of three containers."""

    def runs(self):
        """Tell whether the container runs, whichever process has started it."""
        return bool(self.compose("ps", "--quiet", self.service))

    def stop(self):
        """Stop the node in good order; its container and data stay."""
        self.compose("stop", self.service)


class Cluster:
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
        return next(node for node in self.nodes if listens(node.amqp_port) and node.answers())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.destroy()


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
            node.name = node.env["RABBITMQ_NODENAME"]
            self.nodes.append(node)

    def start(self):
        """Start the first node, and then the others, which join it."""
        first, *others = self.nodes
        first.knows = 1
        first.start()
        first.knows = SIZE
        with ThreadPoolExecutor() as threads:
            list(threads.map(LocalNode.start, others))
        wait_until(first.answers, "the first node to know the others")

    def stop(self):
        """Stop all nodes that run, and delete their data."""
        for node in self.nodes:
            node.stop()
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
            node.name = f"rabbit@rabbitmq{suffix}"
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
        """Start all nodes, and wait until they know each other."""
        self.nodes[0].compose("up", "--wait")
        for node in self.nodes:
            wait_until(node.answers, "the nodes to know each other")

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
    """Return the cluster of `make cluster`, at the ports that come after each other."""
    amqp_port = int(os.environ.get("AMQP_PORT") or 5672)
    management_port = int(os.environ.get("MANAGEMENT_PORT") or 15672)
    ports = [(amqp_port + place, management_port + place) for place in range(SIZE)]
    if kind() is DockerBroker:
        project = os.environ.get("COMPOSE_PROJECT_NAME") or ROOT.name.lower()
        return DockerCluster(ports, project=f"{project}-cluster")
    return LocalCluster(ports, folder=ROOT / ".cluster")


def main():
    """Do what `make cluster` and `make stop` ask for."""
    parser = argparse.ArgumentParser(description="A cluster to run the lessons on.")
    parser.add_argument("action", choices=["start", "stop"])
    action = parser.parse_args().action
    cluster = learners_cluster()
    if action == "stop":
        exists = isinstance(cluster, DockerCluster) or cluster.nodes[0].folder.exists()
        if exists and any(node.runs() for node in cluster.nodes):
            cluster.stop()
            say("The cluster is stopped, and its data deleted.")
        return
    for node in cluster.nodes:
        for port in (node.amqp_port, node.management_port):
            if listens(port):
                raise BrokerError(
                    f"Port {port} is taken. If by the broker of the lessons: make stop"
                )
    say(f"Starting RabbitMQ, {cluster.description}; this takes half a minute or so ...")
    cluster.start()
    say("The cluster is ready. In each terminal:")
    say(f"export AMQP_URL={cluster.url()}")


if __name__ == "__main__":
    try:
        main()
    except (BrokerError, TimeoutError, OSError) as error:
        sys.exit(f"{error}")
