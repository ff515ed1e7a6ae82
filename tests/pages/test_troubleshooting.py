"""docs/troubleshooting.md: what scripts say is on it, and what is on it is said.

The tests in faults/ and beyond/ cause what the scripts say, and expectations.py looks for each
sentence on the page. Here are the other rows: what other programs with pika say.
"""

import ast
import sys

import pytest

from brokers.tools import ROOT
from course.markdown_page import Page
from helpers.expectations import TROUBLES, row_of
from helpers.scripts import CONSUMERS, SCRIPTS, for_each, path_of

PAGE = Page(ROOT / "docs" / "troubleshooting.md").text
PRELUDE = """
import os, pika
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
quorum = {"x-queue-type": "quorum"}
channel.queue_declare("hello", durable=True, arguments=quorum)
"""
# Programs whose last line has the text of a row; some need a RabbitMQ of that version or newer.
CAUSES = {
    "object has no attribute 'encode'": 'channel.basic_publish("", "hello", {"a": 1})',
    "Channel is closed.": """
channel.basic_publish("nope", "", b"")
connection.process_data_events(1)
channel.basic_publish("nope", "", b"")
""",
    "invalid arg 'x-max-priority'": """
channel.queue_declare("q", durable=True, arguments={**quorum, "x-max-priority": 5})
""",
    "x-message-ttl": """
channel.queue_declare("q", durable=True, arguments={**quorum, "x-message-ttl": "5"})
""",
    "invalid property 'auto-delete'": """
channel.queue_declare("q", durable=True, auto_delete=True, arguments=quorum)
""",
    "message size": (
        (4, 0),
        """
channel.confirm_delivery()
channel.basic_publish("", "hello", bytes(2**24 + 1))
""",
    ),
    "NOT_FOUND - no exchange": """
channel.basic_publish("nope", "", b"")
channel.close()
""",
    "NOT_FOUND - no queue": 'channel.basic_consume("nope", print)',
    "transient_nonexcl_queues": ((4, 3), 'channel.queue_declare("q")'),
    "unknown delivery tag": """
def callback(channel, method, properties, body):
    channel.basic_ack(method.delivery_tag)
    channel.basic_ack(method.delivery_tag)
channel.basic_publish("", "hello", b"body")
channel.basic_consume("hello", callback)
channel.start_consuming()
""",
    "year 58122 is out of range": """
from datetime import datetime
class Far(datetime):
    def utctimetuple(self):
        return (58122, 1, 1, 0, 0, 0, 0, 0, 0)
properties = pika.BasicProperties(headers={"time": Far(2026, 1, 1)})
channel.basic_publish("", "hello", b"body", properties)
channel.basic_consume("hello", print)
channel.start_consuming()
""",
}
# What comes by chance, needs half an hour, or a script of another name (below).
NOT_CAUSED = {
    "delivery acknowledgement on channel 1 timed out.",
    "INTERNAL_ERROR",
    "module 'pika' has no attribute 'exceptions'",
    "ModuleNotFoundError: No module named 'pika'",
    "pop from an empty deque",
    "StreamLostError",
}


@pytest.mark.parametrize("text", CAUSES)
def test_what_other_programs_say(run, broker, text):
    version, program = CAUSES[text] if isinstance(CAUSES[text], tuple) else ((), CAUSES[text])
    if version and not broker.is_at_least(*version):
        pytest.skip(f"RabbitMQ says it from {version} on")
    script = run("-c", PRELUDE + program, command=(sys.executable,))
    assert script.wait() == 1, script
    said = " ".join(script.stderr[-3:])  # RabbitMQ's reason may have several lines
    assert text in said
    assert any(text in one for one in row_of(said)), said


def test_a_script_that_is_called_pika_py(start, tmp_path):
    (tmp_path / "pika.py").write_text("import pika\npika.exceptions\n")
    script = start("pika.py", cwd=tmp_path)
    assert script.wait() == 1
    assert row_of(script.stderr[-1])[0] == "module 'pika' has no attribute 'exceptions'"


def test_a_python_without_pika(start):
    script = start("-S", "receive.py", command=(sys.executable, "-I"))
    assert script.wait() == 1
    assert row_of(script.stderr[-1]) == ["ModuleNotFoundError: No module named 'pika'"]


def test_the_rows_are_sorted():
    """... as one looks for them: without case, and without what stands in front of the words."""
    keys = [row[0].lower().lstrip("'[… ") for row in TROUBLES]
    assert keys == sorted(keys)


def checked():
    """Return the texts that the tests look for in what scripts say."""
    for room in ("faults", "beyond"):
        for path in (ROOT / "tests" / room).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


@pytest.mark.parametrize("row", TROUBLES, ids=lambda row: row[0])
def test_each_row_is_caused_by_some_test(row):
    known = [*CAUSES, *NOT_CAUSED]
    texts = [text for text in checked() if len(text) > 3 and (" " in text or not text.islower())]
    pieces = [piece for text in row for piece in text.split("…") if len(piece.strip()) > 3]
    assert any(piece in text or text in piece for text in [*known, *texts] for piece in pieces), row


def sentences(words):
    """Return the pieces of text that a script can print to stderr."""
    found = set()
    for node in ast.walk(ast.parse(path_of(words[0]).read_text())):
        said = isinstance(node, ast.Raise)
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            to_stderr = any(keyword.arg == "file" for keyword in node.keywords)
            said = name in ("sys.exit", "NotSent", "PerhapsSent") or (name == "print" and to_stderr)
        said = said and "Usage: " not in ast.unparse(node)
        for part in ast.walk(node) if said else []:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                found.add(part.value.replace("[!]", "").strip(" .;:"))
    return {text for text in found if " " in text}


@for_each(SCRIPTS)
def test_everything_that_a_script_says_is_on_the_page(words):
    assert len(sentences(words)) >= (3 if words in CONSUMERS else 1), "they are not found any more"
    lesson = {"this task always fails"}  # what the work of retry_worker.py raises
    assert {text for text in sentences(words) - lesson if text not in PAGE} == set()
