"""What the tests of faults share: the scripts by kind, and what "it gives up" means."""

import pytest
from terminal import DEADLINE

# Each consumer, the producer that makes it print something, and what it prints then.
LESSONS = [
    (("receive.py",), ("send.py",), " [x] Received 'Hello World!'"),
    (("worker.py",), ("new_task.py", "task"), " [x] Done"),
    (("receive_logs.py",), ("emit_log.py",), " [x] 'info: Hello World!'"),
    (
        ("receive_logs_direct.py", "error"),
        ("emit_log_direct.py", "error"),
        " [x] 'error':'Hello World!'",
    ),
    (
        ("receive_logs_topic.py", "#"),
        ("emit_log_topic.py",),
        " [x] 'anonymous.info':'Hello World!'",
    ),
    (("rpc_server.py",), ("rpc_client.py",), " [.] fib(30)"),
]
CONSUMERS = [consumer for consumer, _, _ in LESSONS]
PRODUCERS = [producer for _, producer, _ in LESSONS]
# All producers begin and end in the same words, all consumers too. What concerns only these, or
# costs more than it tells, is tried with one of each.
EXAMPLES = [("send.py",), ("receive.py",)]
READY = "aiting"  # in every consumer's first line: Waiting or Awaiting

# What each script declares: the queue or the exchange of this name.
NAMES = {
    "receive.py": "hello",
    "send.py": "hello",
    "worker.py": "task_queue",
    "new_task.py": "task_queue",
    "receive_logs.py": "logs",
    "emit_log.py": "logs",
    "receive_logs_direct.py": "direct_logs",
    "emit_log_direct.py": "direct_logs",
    "receive_logs_topic.py": "topic_logs",
    "emit_log_topic.py": "topic_logs",
    "rpc_server.py": "rpc_queue",
    "rpc_client.py": "rpc_queue",
}

# What a consumer says when it has no connection, before the reason that pika gives.
LOST = " [!] The connection failed; next try in 3 s. "

SECRET = "s3same"  # a password, or the end of one; no script may ever show it
# A consumer leaves within a second; the other second is for a busy machine.
SOON = 2


def connections(broker, vhost):
    """The number of connections to a virtual host."""
    return broker.rabbitmqctl("-q", "list_connections", "vhost").split().count(vhost)


def for_each(scripts):
    """Parametrise a test by script."""
    return pytest.mark.parametrize("script", scripts, ids=[script[0] for script in scripts])


def gives_up(terminal, *parts, seconds=20):
    """Wait until a script has given up: with exit status 1, and one sentence that has all `parts`.

    :returns: the sentence
    """
    assert terminal.wait(seconds) == 1, terminal
    assert len(terminal.stderr) == 1, terminal
    sentence = terminal.stderr[0]
    assert sentence.startswith(" [!] "), terminal
    assert len(sentence) > len(" [!] 12345"), terminal
    for part in parts:
        assert part in sentence, terminal
    claims = [line for line in terminal.stdout if "Sent" in line or "Got" in line]
    assert claims == [], terminal
    assert SECRET not in repr(terminal), terminal
    return sentence


def fails(terminal, *parts, seconds=30):
    """Wait until a script has failed with exit status 1; its last line has all `parts`.

    That line may end a traceback: for what is wrong in the program or its settings.
    """
    assert terminal.wait(seconds) == 1, terminal
    assert all(part in terminal.stderr[-1] for part in parts), terminal
    claims = [line for line in terminal.stdout if "Sent" in line or "Got" in line]
    assert claims == [], terminal


def tries_again(terminal, *parts, seconds=30):
    """Wait until a consumer has said twice what is wrong, with all `parts`; it goes on trying."""
    sentence = terminal.wait_for(LOST, count=2, stream="stderr", seconds=seconds)
    assert all(part in sentence for part in parts), terminal
    goes_on(terminal)


def goes_on(terminal):
    """Check that a consumer still runs, and has said nothing but sentences."""
    assert terminal.process.poll() is None, terminal
    assert all(line.startswith(" [!] ") for line in terminal.stderr), terminal
    assert SECRET not in repr(terminal), terminal


def leaves(terminal, seconds=SOON):
    """Press CTRL+C, and check that the consumer leaves as it should."""
    terminal.press_ctrl_c()
    assert terminal.wait(seconds) == 0, terminal
    assert all(line.startswith(" [!] ") for line in terminal.stderr), terminal


def works(start, url, lesson, consumer, seconds=DEADLINE):
    """Send something with the producer of a lesson, and wait until the consumer has printed it."""
    _, producer, line = lesson
    before = consumer.stdout.count(line)
    sender = start(*producer, url=url)
    assert sender.wait(30) == 0, sender
    consumer.wait_for(line, count=before + 1, seconds=seconds)
