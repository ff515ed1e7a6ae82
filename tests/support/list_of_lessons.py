"""The pairs of scripts: the one list of them, of what they declare, and of what they print."""

from dataclasses import dataclass

from brokers.tools import ROOT


@dataclass(frozen=True)
class Lesson:
    """A consumer, the producer that makes it print something, and how to tell.

    `consumer` and `producer` are scripts with their arguments, `declares` is the name of the queue
    or exchange that both declare, `ready` the consumer's first line, `prints` the last that it
    prints for what `producer` sends. Where a body is printed, `exchange` and `routing_key` lead to
    the consumer, and `prefix` is what its line begins with; elsewhere `prefix` is None.
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


BEYOND = ROOT / "beyond"
MESSAGES = " [*] Waiting for messages. To exit press CTRL+C"
LOGS = " [*] Waiting for logs. To exit press CTRL+C"
REQUESTS = " [x] Awaiting RPC requests"

LESSONS = [
    Lesson(
        consumer=("receive.py",),
        producer=("send.py",),
        declares="hello",
        ready=MESSAGES,
        prints=" [x] Received 'Hello World!'",
        routing_key="hello",
        prefix=" [x] Received ",
    ),
    Lesson(
        consumer=("worker.py",),
        producer=("new_task.py", "task"),
        declares="task_queue",
        ready=MESSAGES,
        prints=" [x] Done",
        routing_key="task_queue",
        prefix=" [x] Received ",
    ),
    Lesson(
        consumer=("receive_logs.py",),
        producer=("emit_log.py",),
        declares="logs",
        ready=LOGS,
        prints=" [x] 'info: Hello World!'",
        exchange="logs",
        prefix=" [x] ",
    ),
    Lesson(
        consumer=("receive_logs_direct.py", "error"),
        producer=("emit_log_direct.py", "error"),
        declares="direct_logs",
        ready=LOGS,
        prints=" [x] 'error':'Hello World!'",
        exchange="direct_logs",
        routing_key="error",
        prefix=" [x] 'error':",
    ),
    Lesson(
        consumer=("receive_logs_topic.py", "#"),
        producer=("emit_log_topic.py",),
        declares="topic_logs",
        ready=LOGS,
        prints=" [x] 'anonymous.info':'Hello World!'",
        exchange="topic_logs",
        routing_key="a.topic",
        prefix=" [x] 'a.topic':",
    ),
    Lesson(
        consumer=("rpc_server.py",),
        producer=("rpc_client.py",),
        declares="rpc_queue",
        ready=REQUESTS,
        prints=" [.] fib(30)",
    ),
]
TWELVE = [words for lesson in LESSONS for words in (lesson.producer, lesson.consumer)]
# Pairs beyond the lessons, with the same manners: what is tested of all scripts is tested of them.
LESSONS += [
    Lesson(
        consumer=("receive_headers.py", "all", "severity=info"),
        producer=("emit_headers.py", "severity=info"),
        declares="headers_logs",
        ready=LOGS,
        prints=" [x] {'severity': 'info'}:'Hello World!'",
        exchange="headers_logs",
    ),
]
# Further producers: one for the consumer of a lesson, one whose messages nobody consumes. The name
# of its queue is made up by the broker.
FURTHER = {
    ("background_publisher.py", "task"): LESSONS[1],
    ("publisher_confirms.py", "100"): Lesson((), ("publisher_confirms.py",), "amq.gen", "", ""),
}
CONSUMERS = [lesson.consumer for lesson in LESSONS]
PRODUCERS = [lesson.producer for lesson in LESSONS] + list(FURTHER)
SCRIPTS = PRODUCERS + CONSUMERS
# All producers begin and end in the same words, all consumers too. What concerns only these, or
# costs more than it tells, is tried with one of each.
ONE_OF_EACH = [LESSONS[0].producer, LESSONS[0].consumer]


def path_of(name):
    """Return where a script is: at the root, or in the folder for those beyond the lessons."""
    return BEYOND / name if (BEYOND / name).exists() else ROOT / name


def lesson_of(script):
    """Return the lesson to which a script belongs: lesson_of("worker.py")."""
    pairs = [
        (words[0], lesson) for lesson in LESSONS for words in (lesson.consumer, lesson.producer)
    ]
    return dict(pairs, **{words[0]: lesson for words, lesson in FURTHER.items()})[script]
