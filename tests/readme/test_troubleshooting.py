"""The table of the section Troubleshooting: each message is printed when its cause is there."""

import ast
import inspect
import re
import socket
import sys

import pytest

from brokers.tools import wait_until
from support.accidents import (
    copy_that_loses_its_queue,
    let_queues_refuse_messages,
    short_of_memory,
    take,
)
from support.expectations import SECRET, assert_fails, for_each
from support.list_of_lessons import CONSUMERS, SCRIPTS, path_of
from support.markdown_page import PAGES, Page, code
from support.real_terminal import pattern

PAGE = Page()
TROUBLES = PAGE.rows("Troubleshooting")
COURSE = "".join(path.read_text(encoding="utf-8") for path in PAGES)


def no_broker(start):
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"amqp://127.0.0.1:{server.getsockname()[1]}"
    return start("send.py", url=nobody), start("receive.py", url=nobody)


def no_host(start):
    url = "amqp://no-such-host.invalid"
    return start("send.py", url=url), start("receive.py", url=url)


def wrong_password(start, broker):
    url = broker.url("/", "guest", SECRET)
    return start("send.py", url=url), start("receive.py", url=url)


def unknown_vhost(start, broker):
    return start("send.py", url=broker.url("nowhere")), start(
        "receive.py", url=broker.url("nowhere")
    )


def no_permission(start, user):
    url = user(configure="^$")
    return start("send.py", url=url), start("receive.py", url=url)


def unknown_authority(start, own_broker):
    url = f"amqps://guest:guest@localhost:{own_broker.tls_port}"
    return start("send.py", url=url), start("receive.py", url=url)


def other_properties(run, channel):
    channel.queue_declare("hello", durable=True, arguments={"x-queue-type": "classic"})
    return run("send.py"), run("receive.py")


def wrong_port(start, broker):
    url = f"amqp://127.0.0.1:{broker.management_port}"
    return start("send.py", url=url), start("receive.py", url=url)


def no_tls(start, broker):
    url = broker.url().replace("amqp://", "amqps://")
    return start("send.py", url=url), start("receive.py", url=url)


def not_readable(start):
    return start("send.py", url='"amqp://localhost"'), start("receive.py", url="localhost")


def refused_by_rabbitmq(start, user):
    return (start("rpc_client.py", url=user(write="^$")),)


def operator(run, broker, vhost):
    receiver = run("receive.py")
    receiver.wait_until_ready()
    broker.close_connections(vhost, "the operator's wish")
    return (receiver,)


def silence(start, silent):
    url = f"amqp://127.0.0.1:{silent}"
    return start("send.py", url=url), start("receive.py", url=url)


def blocked(start, own_broker):
    with short_of_memory(own_broker):
        sender = start("send.py", url=own_broker.url())
        sender.wait(30)
    return (sender,)


def queue_deleted(run, channel):
    receiver = run("receive.py")
    receiver.wait_until_ready()
    channel.queue_delete("hello")
    return (receiver,)


def full_queue(run, broker, vhost):
    let_queues_refuse_messages(broker, vhost)
    return tuple(run("send.py") for _ in range(10))


def queue_gone(run, tmp_path):
    copy_that_loses_its_queue(tmp_path)
    return (run("new_task.py", cwd=tmp_path),)


def no_server(run):
    return (run("rpc_client.py"),)


def refused_request(run):
    server = run("rpc_server.py")
    server.wait_until_ready()
    return run("rpc_client.py", "-1"), server


def ctrl_c(run, channel):
    client = run("rpc_client.py")
    client.wait_for("Requesting")
    take(channel, "rpc_queue")
    client.press_ctrl_c()
    return (client,)


CAUSES = {
    "Name or service": no_host,
    "Login was refused": wrong_password,
    "NOT_ALLOWED": unknown_vhost,
    "access to queue": no_permission,
    "CERTIFICATE": unknown_authority,
    "inequivalent": other_properties,
    "CONNECTION_FORCED": operator,
    "Transport indicated EOF": wrong_port,
    "WRONG_VERSION_NUMBER": no_tls,
    "Timeout": silence,
    "Blocked": blocked,
    "NACK": full_queue,
    "unroutable": queue_gone,
    "no more messages": queue_deleted,
    "No answer": no_server,
    "The server answered": refused_request,
    "Interrupted": ctrl_c,
    "Connection refused": no_broker,
    "AMQP_URL": not_readable,
    "amq.default": refused_by_rabbitmq,
}
OWN_BROKER = re.compile("CERTIFICATE|Blocked")  # what needs a broker that may be disturbed


@pytest.fixture
def silent():
    """A port that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row,
            marks=[pytest.mark.xdist_group("own_broker")] * bool(OWN_BROKER.search(row[0].content)),
            id=code(row[0])[0],
        )
        for row in TROUBLES
    ],
)
def test_troubleshooting(request, row):
    """Each message of the table is printed when its cause is there, and nothing else is.

    A script that is the cause, and has nothing to say itself, runs until the others have spoken.
    """
    messages = code(row[0])
    cause = next(cause for part, cause in CAUSES.items() if part in messages[0])
    fixtures = inspect.signature(cause).parameters
    scripts = cause(**{name: request.getfixturevalue(name) for name in fixtures})

    def seen():
        found = set()
        for line in [line for script in scripts for line in script.stderr]:
            fitting = [text for text in messages if re.fullmatch(rf" \[!\] {pattern(text)}", line)]
            assert fitting, f"not in the table: {line!r}"
            found.update(fitting)
        return found

    wait_until(lambda: seen() == set(messages), f"{messages} from {scripts}", 30)


def sentences(words):
    """Return the pieces of text that a script can print to stderr."""
    found = set()
    for node in ast.walk(ast.parse(path_of(words[0]).read_text())):
        said = isinstance(node, ast.Raise)
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            to_stderr = any(keyword.arg == "file" for keyword in node.keywords)
            said = name == "sys.exit" or (name == "print" and to_stderr)
        for part in ast.walk(node) if said else []:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                found.add(part.value.replace("[!]", "").strip(" .;:"))
    return {text for text in found if " " in text}


def test_a_python_without_pika(start):
    script = start("-S", "receive.py", command=(sys.executable, "-I"))
    assert_fails(script, "ModuleNotFoundError: No module named 'pika'")
    assert script.stderr[-1] in {piece.content for piece in PAGE.inline("code_inline")}


@for_each(SCRIPTS)
def test_everything_that_a_script_says_is_on_the_page(words):
    assert len(sentences(words)) >= (3 if words in CONSUMERS else 1), "they are not found any more"
    assert {text for text in sentences(words) if text not in COURSE} == set()
