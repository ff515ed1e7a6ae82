"""The table of what older tutorials say: each line of it gives what the README says."""

import os
import re
import resource
import signal
import subprocess
import sys

import pytest

from brokers.tools import ROOT
from course.markdown_page import Page, code, pattern

OLD = Page(ROOT / "docs" / "older-tutorials.md").rows("If you come from an older tutorial")
PRELUDE = """
import os, pika
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare("task_queue", durable=True, arguments={"x-queue-type": "quorum"})
callback_queue = channel.queue_declare("", exclusive=True).method.queue
callback = lambda *arguments: None
body, response = b"Hello World!", None
"""


@pytest.mark.parametrize("row", OLD, ids=[code(row[0])[0] for row in OLD])
def test_what_older_tutorials_say(broker, url, channel, row):
    old, gives, today = row

    def run(line):
        program = PRELUDE
        if "basic_consume(" in line:
            program += 'channel.queue_declare("hello", durable=True)\n'
        return subprocess.run(
            [sys.executable, "-c", program + line],
            env={**os.environ, "AMQP_URL": url},
            capture_output=True,
            text=True,
            timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (2, 3)),  # seconds
        )

    (line,) = code(old)
    result = run(line)
    if "keeps a processor busy" in gives.content:
        assert result.returncode == -signal.SIGXCPU
    elif not code(gives) or ("4.3 or newer" in gives.content and not broker.is_at_least(4, 3)):
        assert result.returncode == 0, result.stderr
    else:
        last = result.stderr.splitlines()[-1]
        assert re.fullmatch(pattern(code(gives)[0]), last), last
    for line in code(today):
        channel.queue_delete("hello")
        result = run(line)
        assert result.returncode == 0, result.stderr
