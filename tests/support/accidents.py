"""Accidents that more than one test causes, to a broker or to a copy of a script."""

import re
from contextlib import contextmanager

import pika

from brokers.tools import wait_until
from support.list_of_lessons import path_of

REPLY_QUEUE = {"queue": "", "exclusive": True}


def take(channel, queue):
    """Wait for a message in a queue, and take it, so that no script gets it.

    :returns: its method, properties and body
    """
    found = []

    def taken():
        found[:] = channel.basic_get(queue, auto_ack=True)
        return found[0]

    wait_until(taken, f"a message in {queue}", 15)
    return found


def ask(channel, body, **properties):
    """Send a request as a client of another language would."""
    channel.basic_publish("", "rpc_queue", body, pika.BasicProperties(**properties))


def is_empty(channel, queue):
    """Tell whether no message of a queue waits for a consumer."""
    return channel.queue_declare(queue, passive=True).method.message_count == 0


def let_queues_refuse_messages(broker, vhost):
    """Let each queue of a virtual host hold one message, and refuse what is too much."""
    policy = {"pattern": "", "definition": {"max-length": 1, "overflow": "reject-publish"}}
    broker.api("PUT", "policies", vhost, "full", body=policy)


def changed_copy(folder, name, changes):
    """Copy a script into a folder, with changes.

    :param dict changes: what to put in the place of what; each of these stands there once
    """
    source = path_of(name).read_text()
    for old, new in changes.items():
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    (folder / name).write_text(source)


def copy_that_loses_its_queue(folder):
    """Copy new_task.py into a folder, so that its queue vanishes after it has declared it."""
    line = "    channel.confirm_delivery()\n"
    accident = '    channel.queue_delete("task_queue")\n'
    changed_copy(folder, "new_task.py", {line: accident + line})


def patient_copy(folder, name):
    """Copy a producer into a folder, and let it wait a minute for the broker, or for an answer."""
    limit = r"\b(blocked_connection_timeout = |timeout=)(10|20)\b"
    source, count = re.subn(limit, r"\g<1>60", path_of(name).read_text())
    assert count >= 1
    (folder / name).write_text(source)


def copy_with_a_bug(folder, name, function, bug):
    """Copy a script into a folder, with a function that raises an exception first of all.

    :param str function: the function's name, as a regular expression
    :param str bug: the exception's class; its text is "a bug"
    """
    source = path_of(name).read_text()
    broken, count = re.subn(
        rf"^(def (?:{function})\(.*\):\n)", rf"\1    raise {bug}('a bug')\n", source, flags=re.M
    )
    assert count == 1
    (folder / name).write_text(f"import socket\n{broken}")


@contextmanager
def short_of_memory(broker):
    """Let a broker believe that its memory is used up, so that it blocks who publishes."""
    broker.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
    try:
        yield
    finally:
        broker.rabbitmqctl("set_vm_memory_high_watermark", "0.6")


def until_a_silent_connection_is_dropped(broker, vhost, url):
    """Open a connection that answers no heartbeats, and wait until the broker drops it.

    :param str url: an AMQP URL with a short heartbeat
    """
    before = broker.connections(vhost)
    silent = pika.BlockingConnection(pika.URLParameters(url))
    assert broker.connections(vhost) == before + 1
    wait_until(lambda: broker.connections(vhost) == before, "the end of the silent one", 40)
    assert silent.is_open  # it has closed nothing itself, and does not know yet


def until_blocked(broker, vhost, count):
    """Wait until `count` connections of a virtual host have published, and are blocked for it."""

    def blocked():
        table = broker.rabbitmqctl("-q", "list_connections", "vhost", "state")
        return [line.split() for line in table.splitlines()].count([vhost, "blocked"]) >= count

    wait_until(blocked, f"{count} blocked connections", 30, interval=1)
