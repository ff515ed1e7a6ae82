"""What every cluster of three here can do, whichever kind it is, and what its nodes can do."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

from brokers.broker import Started
from brokers.tools import BrokerError, wait_until

SIZE = 3  # nodes


class Node:
    """What the nodes of both kinds can do besides what a broker can."""

    def sees_all(self):
        """Tell whether the node sees all nodes of the cluster running."""
        with contextlib.suppress(OSError):
            nodes = self.api("GET", "nodes")
            return sum(node.get("running", False) for node in nodes) == SIZE
        return False


class Cluster(Started):
    """Three nodes, each a broker that can be stopped, killed, started and cut off by itself.

    `nodes` is the list of the nodes.
    """

    def ports(self):
        """Return the AMQP port and the management plugin's port of each node, as pairs."""
        return [(node.amqp_port, node.management_port) for node in self.nodes]

    def url(self, vhost="/", first=0):
        """Return the AMQP URLs of the nodes with commas between them, as AMQP_URL takes them.

        :param int first: the place of the node whose URL comes first
        """
        return ",".join(node.url(vhost) for node in self.nodes[first:] + self.nodes[:first])

    def leader(self, vhost, queue):
        """Return the node that leads a quorum queue.

        :raises BrokerError: while no node serves clients
        """
        name = self.running().api("GET", "queues", vhost, queue)["leader"]
        return next(node for node in self.nodes if node.name == name)

    def running(self):
        """Return the first node that serves clients.

        :raises BrokerError: if none does
        """
        for node in self.nodes:
            if node.answers():
                return node
        raise BrokerError("No node of the cluster serves clients.")

    def running_nodes(self):
        """Return how many nodes run, whichever process has started them."""
        return sum(node.runs() for node in self.nodes)

    def runs(self):
        """Tell whether a node runs, whichever process has started it."""
        return self.running_nodes() > 0

    def wait_until_whole(self):
        """Wait until each node has started to the end, and sees all others running.

        A virtual host that is made a moment before hangs for 45 s on RabbitMQ 3.10, and fails.
        """
        for node in self.nodes:
            wait_until(node.sees_all, "the nodes to see each other", interval=0.5)
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda node: node.rabbitmqctl("await_startup"), self.nodes))
