"""Accidents that more than one test causes, to a broker or to a copy of a script."""

import re
from contextlib import contextmanager

import pika

from brokers.tools import wait_until
from helpers.scripts import path_of


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

    :param str function: the function's name
    :param str bug: the exception's class; its text is "a bug"
    """
    source = path_of(name).read_text()
    broken, count = re.subn(
        rf"^(def {function}\(.*\):\n)", rf"\1    raise {bug}('a bug')\n", source, flags=re.M
    )
    assert count == 1
    (folder / name).write_text(f"import socket\n{broken}")


def callback_of(name):
    """Return the name of the function that a consumer gives to basic_consume()."""
    return re.search(r"on_message_callback=(\w+)", path_of(name).read_text())[1]


@contextmanager
def alarm(broker, words=("set_vm_memory_high_watermark", "0.0000001", "0.6")):
    """Let a broker believe that its memory is used up: it blocks everybody who publishes.

    :param words: rabbitmqctl's command, with the limit that causes it and the limit that ends it
    """
    command, cause, end = words
    broker.rabbitmqctl(command, cause)
    try:
        wait_until(broker.in_alarm, "the alarm", 30)
        yield
    finally:
        if broker.runs():  # a broker that starts has no alarm
            broker.rabbitmqctl(command, end)
            wait_until(lambda: not broker.in_alarm(), "the end of the alarm", 30)


OUT_OF_DISK_SPACE = ("set_disk_free_limit", "1000000GB", "50MB")


def until_a_silent_connection_is_dropped(broker, vhost, url):
    """Open a connection that answers no heartbeats, and wait until the broker drops it.

    :param str url: an AMQP URL with a short heartbeat
    """
    others = len(broker.connections(vhost))
    silent = pika.BlockingConnection(pika.URLParameters(url))
    wait_until(lambda: len(broker.connections(vhost)) == others + 1, "the silent one", 10)
    wait_until(lambda: len(broker.connections(vhost)) == others, "its end", 40)
    assert silent.is_open  # it has closed nothing itself, and does not know yet


def until_blocked(broker, scripts):
    """Wait until each script has published, and its connection is blocked for it."""
    vhosts = {script.vhost for script in scripts}

    def blocked():
        all_of_them = broker.api("GET", "connections")
        return vhosts <= {one["vhost"] for one in all_of_them if one.get("state") == "blocked"}

    wait_until(blocked, "blocked connections", 30, interval=0.5)
