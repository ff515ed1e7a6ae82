"""The one list of the scripts: who sends to whom, what they declare and print, and their kinds.

A new script is entered here; the tests in lessons/test_every_script.py and faults/ then find it.
"""

from dataclasses import dataclass

import pytest

from brokers.tools import ROOT

BEYOND = ROOT / "beyond"
MESSAGES = " [*] Waiting for messages. To exit press CTRL+C"
LOGS = " [*] Waiting for logs. To exit press CTRL+C"
REQUESTS = " [x] Awaiting RPC requests"


@dataclass(frozen=True)
class Pair:
    """A consumer, and the producer that makes it print something.

    `consumer` and `producer` are scripts with their arguments, `declares` is the name of the queue
    or exchange that both declare, `ready` the consumer's first line, `prints` the last that it
    prints for what the producer sends. Where a body is printed, `exchange` and `routing_key` lead
    to the consumer, and `prefix` is what its line begins with; elsewhere `prefix` is None.
    """

    consumer: tuple
    producer: tuple
    declares: str
    ready: str
    prints: str
    exchange: str = ""
    routing_key: str = ""
    prefix: str = None

    def __str__(self):
        return self.consumer[0]

    @property
    def named_queue(self):
        """The name of the queue that both declare; None if they meet at an exchange."""
        return None if self.exchange else self.declares


def tasks(script, prints=" [x] Done"):
    """Return the pair of new_task.py and a worker."""
    key, prefix = "task_queue", " [x] Received "
    return Pair((script,), ("new_task.py", "task"), key, MESSAGES, prints, "", key, prefix)


LESSONS = [
    Pair(
        consumer=("receive.py",),
        producer=("send.py",),
        declares="hello",
        ready=MESSAGES,
        prints=" [x] Received 'Hello World!'",
        routing_key="hello",
        prefix=" [x] Received ",
    ),
    tasks("worker.py"),
    Pair(
        consumer=("receive_logs.py",),
        producer=("emit_log.py",),
        declares="logs",
        ready=LOGS,
        prints=" [x] 'info: Hello World!'",
        exchange="logs",
        prefix=" [x] ",
    ),
    Pair(
        consumer=("receive_logs_direct.py", "error"),
        producer=("emit_log_direct.py", "error"),
        declares="direct_logs",
        ready=LOGS,
        prints=" [x] 'error':'Hello World!'",
        exchange="direct_logs",
        routing_key="error",
        prefix=" [x] 'error':",
    ),
    Pair(
        consumer=("receive_logs_topic.py", "#"),
        producer=("emit_log_topic.py",),
        declares="topic_logs",
        ready=LOGS,
        prints=" [x] 'anonymous.info':'Hello World!'",
        exchange="topic_logs",
        routing_key="a.topic",
        prefix=" [x] 'a.topic':",
    ),
    Pair(
        consumer=("rpc_server.py",),
        producer=("rpc_client.py",),
        declares="rpc_queue",
        ready=REQUESTS,
        prints=" [.] fib(30)",
    ),
]
BEYOND_LESSONS = [
    Pair(
        consumer=("receive_headers.py", "all", "severity=info"),
        producer=("emit_headers.py", "severity=info"),
        declares="headers_logs",
        ready=LOGS,
        prints=" [x] {'severity': 'info'}:'Hello World!'",
        exchange="headers_logs",
    ),
    tasks("retry_worker.py"),
    tasks("threads_worker.py", " [x] Done 'task'"),
    tasks("graceful_worker.py"),
]
# Producers without a consumer of their own, and what they declare (a made-up name has a "gen").
PUBLISHERS = {
    ("background_publisher.py", "task"): "task_queue",
    ("publisher_confirms.py", "100"): "amq.gen",
}
PAIRS = LESSONS + BEYOND_LESSONS
TWELVE = [words for pair in LESSONS for words in (pair.producer, pair.consumer)]
CONSUMERS = [pair.consumer for pair in PAIRS]
PRODUCERS = list(dict.fromkeys(pair.producer for pair in PAIRS)) + list(PUBLISHERS)
SCRIPTS = PRODUCERS + CONSUMERS
# Below their line, all producers are the same word for word, and all consumers too: lessons/
# test_every_script.py holds them to it. So what happens there is caused for one of each.
SENDER, RECEIVER = LESSONS[0].producer, LESSONS[0].consumer
ONE_OF_EACH = [SENDER, RECEIVER]
# Those whose own part waits for a confirm or an answer, acknowledges, or deals with errors. What
# happens to a connection or a task is caused for each of them, too.
WORKERS = [pair.consumer for pair in PAIRS if pair.declares == "task_queue"]
SOME_PRODUCERS = [SENDER, LESSONS[-1].producer, *PUBLISHERS]
SOME_CONSUMERS = [RECEIVER, *WORKERS, LESSONS[-1].consumer]


def path_of(name):
    """Return where a script is: at the root, or in the folder for those beyond the lessons."""
    return BEYOND / name if (BEYOND / name).exists() else ROOT / name


def pair_of(consumer):
    """Return the pair of a consumer: pair_of("worker.py")."""
    return {pair.consumer[0]: pair for pair in PAIRS}[consumer]


def declared_by(name):
    """Return the name of the queue or exchange that a script declares."""
    names = {words[0]: pair.declares for pair in PAIRS for words in (pair.consumer, pair.producer)}
    return (names | {words[0]: declared for words, declared in PUBLISHERS.items()})[name]


def for_each(scripts):
    """Parametrise a test by script."""
    return pytest.mark.parametrize("words", scripts, ids=[words[0] for words in scripts])
