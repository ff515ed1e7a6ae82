"""The twelve scripts, unchanged, on a cluster of three nodes, of which one or two fail."""

import contextlib
import uuid

import pika
import pytest

from brokers.cluster import SIZE
from brokers.tools import BrokerError, wait_until
from helpers.expectations import (
    NO_CONNECTION,
    assert_ends_with_a_sentence,
    assert_gets_messages,
    assert_still_runs,
)
from helpers.scripts import LESSONS
from helpers.stream import Stream

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
    pytest.mark.timeout(400),
]
# Seconds. RabbitMQ 4.3 gives itself a minute before it refuses for want of a majority, and another
# before it takes a message back from a consumer at a node that is lost (its setting
# consumer_disconnected_timeout, https://www.rabbitmq.com/docs/quorum-queues).
LONG = 100


@pytest.fixture
def cluster(shared_cluster):
    """A cluster in which all nodes run, also after a test that has failed in between."""
    yield shared_cluster
    for node in shared_cluster.nodes:
        if not node.runs():
            node.start()
    shared_cluster.wait_until_whole()


@pytest.fixture
def vhost(cluster):
    """The name of a fresh virtual host on the cluster."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.nodes[0].add_vhost(name)
    for node in cluster.nodes:
        wait_until(lambda node=node: opens(node, name), "the virtual host on each node")
    return name


def opens(node, vhost):
    """Tell whether a node lets clients into a virtual host yet."""
    with contextlib.suppress(pika.exceptions.AMQPError):
        pika.BlockingConnection(pika.URLParameters(node.url(vhost))).close()
        return True
    return False


def online(cluster, vhost):
    """The names of the nodes that have a running replica of task_queue."""
    with contextlib.suppress(OSError, BrokerError):
        return set(cluster.running().api("GET", "queues", vhost, "task_queue").get("online", []))
    return set()


def send_until_it_succeeds(start, url, words):
    """Start a producer again and again, until it succeeds; before, it has to fail as it should."""

    def sent():
        producer = start(*words, url=url)
        return producer.wait(LONG) == 0 or not assert_ends_with_a_sentence(producer)

    wait_until(sent, f"{words} to succeed")


def names(nodes):
    return {node.name for node in nodes}


@pytest.mark.parametrize("place", range(SIZE))
def test_all_lessons_pass_through_any_node(cluster, vhost, start, place):
    """The consumers are at one node, the producers at the next."""
    here, there = cluster.nodes[place], cluster.nodes[(place + 1) % SIZE]
    for pair in LESSONS:
        consumer = start(*pair.consumer, url=here.url(vhost))
        consumer.wait_until_ready()
        assert_gets_messages(start, there.url(vhost), consumer)
        assert consumer.stderr == []


def test_task_queue_has_a_replica_on_each_node(cluster, vhost, start):
    assert start("new_task.py", url=cluster.url(vhost)).wait() == 0
    members = cluster.nodes[0].api("GET", "queues", vhost, "task_queue")["members"]
    assert set(members) == names(cluster.nodes)


def test_the_leader_is_killed_and_comes_back_and_catches_up(cluster, vhost, start):
    """After it has come back, the next leader is killed: nothing is lost if it has caught up."""
    urls = [cluster.url(vhost, first=place) for place in range(SIZE)]
    assert start("new_task.py", "first", url=urls[0]).wait() == 0
    tasks = [f"task {number}" for number in range(60)]
    with Stream(tasks, urls, senders=2) as stream:
        wait_until(lambda: len(stream.done()) > 15, "some tasks")
        leader = wait_until(lambda: cluster.leader(vhost, "task_queue"), "a leader")
        leader.kill()
        stream.join()
        assert stream.sent == set(tasks)
        wait_until(lambda: stream.sent <= stream.done(), "every task that was sent")
    rest = [node for node in cluster.nodes if node is not leader]
    for task in ("while it is down 1", "while it is down 2"):
        sender = start("new_task.py", task, url=cluster.url(vhost))
        assert sender.wait(LONG) == 0, sender
    leader.start()
    wait_until(lambda: online(cluster, vhost) == names(cluster.nodes), "the replica", interval=1)
    rest[0].kill()
    worker = start("worker.py", url=leader.url(vhost))
    worker.wait_for("Done", count=2, seconds=LONG)
    assert " [x] Received 'while it is down 1'" in worker.stdout
    assert " [x] Received 'while it is down 2'" in worker.stdout


def test_a_node_is_cut_off_and_returns(cluster, vhost, start):
    """The others go on without it; when it is back, it has what they have done."""
    assert start("new_task.py", "before", url=cluster.url(vhost)).wait() == 0
    lost = wait_until(lambda: cluster.leader(vhost, "task_queue"), "a leader")
    first = (cluster.nodes.index(lost) + 1) % SIZE
    lost.cut_off()
    try:
        wait_until(lambda: lost.name not in online(cluster, vhost), "the cut", interval=1)
        worker = start("worker.py", url=cluster.url(vhost, first))
        worker.wait_for("Received 'before'", seconds=LONG)
        sender = start("new_task.py", "meanwhile", url=cluster.url(vhost, first))
        assert sender.wait(LONG) == 0, sender
        worker.wait_for("Received 'meanwhile'", seconds=LONG)
    finally:
        lost.reconnect()
    wait_until(lost.sees_all, "the node to see the others again", interval=1)
    wait_until(lambda: online(cluster, vhost) == names(cluster.nodes), "the replica", interval=1)
    sender = start("new_task.py", "after", url=lost.url(vhost))
    assert sender.wait(LONG) == 0, sender
    worker.wait_for("Received 'after'", seconds=LONG)


def test_two_nodes_are_down(cluster, vhost, start):
    """No majority, no `Sent`; and as soon as there is one again, all go on."""
    assert start("new_task.py", "before", url=cluster.url(vhost)).wait() == 0
    survivor, *others = cluster.nodes
    for node in others:
        node.kill()
    sender = start("new_task.py", "meanwhile", url=cluster.url(vhost))
    worker = start("worker.py", url=cluster.url(vhost))
    assert_ends_with_a_sentence(sender, seconds=LONG)
    assert_still_runs(worker)
    others[0].start()
    worker.wait_for("Received 'before'", seconds=LONG)
    send_until_it_succeeds(start, cluster.url(vhost), ("new_task.py", "after"))
    worker.wait_for("Received 'after'", seconds=LONG)
    assert_still_runs(worker)


def test_consumers_return_on_another_node(cluster, vhost, start):
    consumers = [start(*pair.consumer, url=cluster.url(vhost, first=1)) for pair in LESSONS]
    for consumer in consumers:
        consumer.wait_until_ready(seconds=30)
    cluster.nodes[1].kill()
    for consumer in consumers:
        consumer.wait_for(NO_CONNECTION, stream="stderr", seconds=30)
        consumer.wait_until_ready(count=2, seconds=LONG)
        assert_still_runs(consumer)
    for pair, consumer in zip(LESSONS, consumers):
        # At first the broker may refuse: the old queue of a receiver is still known, but gone.
        send_until_it_succeeds(start, cluster.url(vhost, first=2), pair.producer)
        consumer.wait_for(pair.prints, seconds=LONG)


def test_a_worker_starts_though_the_queue_of_the_dead_has_lost_a_node(cluster, vhost, start):
    first = start("retry_worker.py", url=cluster.url(vhost))
    first.wait_until_ready(seconds=30)
    first.kill()
    lost = wait_until(lambda: cluster.leader(vhost, "dead_tasks"), "a leader")
    lost.kill()
    second = start("retry_worker.py", url=cluster.url(vhost))
    second.wait_until_ready(seconds=LONG)


def test_an_rpc_client_whose_node_dies(cluster, vhost, start):
    """It has asked, and nobody has answered yet: a clear error, at once."""
    client = start("rpc_client.py", url=cluster.url(vhost, first=2))
    client.wait_for("Requesting", seconds=30)
    cluster.nodes[2].kill()
    assert_ends_with_a_sentence(client, seconds=20)


def test_a_rolling_restart_loses_no_task(cluster, vhost, capsys):
    urls = [cluster.url(vhost, first=place) for place in range(SIZE)]
    tasks = [f"task {number}" for number in range(100_000)]
    with Stream(tasks, urls, senders=1) as stream:
        for node in cluster.nodes:
            before = len(stream.done())
            wait_until(lambda n=before: len(stream.done()) > n + 5, "a stream of tasks", LONG)
            node.stop()
            node.start()
            cluster.wait_until_whole()
        before = len(stream.done())
        wait_until(lambda: len(stream.done()) > before + 5, "a stream of tasks", LONG)
        stream.over = True
        stream.join()
        wait_until(lambda: stream.sent <= stream.done(), "every task that was sent")
        with capsys.disabled():
            print(
                f"\nrolling restart of {SIZE} nodes: {len(stream.sent)} tasks sent, all done; "
                f"{len(stream.failures)} attempts failed and were repeated; "
                f"longest pause {stream.longest_pause():.1f} s"
            )
