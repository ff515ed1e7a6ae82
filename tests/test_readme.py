"""README.md does what it says: every session, snippet, table, name and link of it."""

import ast
import contextlib
import inspect
import io
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import demo
import pika
import pytest
import requests
from broker import DockerBroker, LocalBroker, compose_command, kind
from faults import READY, SECRET
from markdown_it import MarkdownIt
from rich.console import Console
from sessions import README, Player, as_on_the_page, blocks, environment, pattern
from terminal import ROOT
from test_6_rpc import get

BLOCKS = blocks()
CLUSTER = "Past one machine"
SESSIONS = [b for b in BLOCKS if b.language == "console" and b.heading != CLUSTER]
CLUSTER_SESSIONS = [b for b in BLOCKS if b.language == "console" and b.heading == CLUSTER]
SNIPPETS = [block for block in BLOCKS if block.language == "python"]
TOKENS = MarkdownIt().enable("table").parse(README.read_text())


def titles(things):
    return [f"{thing.heading} (line {thing.line})" for thing in things]


# The sessions


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A player in a copy of the project, as after `git clone`, with the snippets as files.

    What `make broker` starts in it has ports and data of its own, and is gone afterwards.
    """
    folder = tmp_path_factory.mktemp("lessons") / "lessons"
    private = shutil.ignore_patterns(".git", ".venv", ".broker", "try_*", ".*_cache", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=private)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".venv" / ".ready").touch()  # make need not install anything
    for snippet in SNIPPETS:
        if name := re.match(r"# (try_\w+\.py)\n", snippet.text):
            (folder / name[1]).write_text(snippet.text)
    project = folder.parent.name
    broker = (
        DockerBroker(project=project)
        if kind() is DockerBroker
        else LocalBroker(folder=folder / ".broker")
    )
    env = {
        **environment(f"amqp://guest:guest@localhost:{broker.amqp_port}/%2F"),
        "AMQP_PORT": str(broker.amqp_port),
        "MANAGEMENT_PORT": str(broker.management_port),
        "COMPOSE_PROJECT_NAME": project,
    }
    if kind() is DockerBroker and compose_command() != ["docker", "compose"]:
        # An engine without Compose: what is installed beside this Python becomes its plugin.
        plugins = folder.parent / "docker" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(shutil.which(compose_command()[0]))
        env["DOCKER_CONFIG"] = str(plugins.parent)
    player = Player(env, folder, broker)
    player.played, player.failed = [], False
    yield player
    player.close()
    subprocess.run(["make", "stop"], cwd=folder, env=env, check=True, capture_output=True)
    broker.destroy()


def play(page, session, sessions):
    """Play a session, and before it those that have to come first: the page is read in order."""
    assert not page.failed, "a session before this one has failed"
    page.failed = True
    while session not in page.played:
        following = sessions[len(page.played)]
        page.play(following)
        page.played.append(following)
    if session is sessions[-1]:
        busy = [number for number, window in page.windows.items() if window.busy]
        assert not busy, f"something still runs in terminal {busy}, and the page does not say so"
    page.failed = False


@pytest.mark.xdist_group("readme")
@pytest.mark.parametrize("session", SESSIONS, ids=titles(SESSIONS))
def test_session(page, session):
    play(page, session, SESSIONS)


@pytest.mark.cluster
@pytest.mark.timeout(300)
@pytest.mark.parametrize("session", CLUSTER_SESSIONS, ids=titles(CLUSTER_SESSIONS))
def test_cluster_session(page, session):
    play(page, session, CLUSTER_SESSIONS)


def test_the_demo_plays_the_first_session_of_each_lesson(broker, url):
    console = Console(file=io.StringIO(), width=200)
    assert [heading[0] for heading in demo.lessons()] == list("123456")
    heading, session = next(iter(demo.lessons().items()))
    demo.play(console, broker, url, [(heading, session)])
    shown = console.file.getvalue()
    for step in session.steps:
        for line in step.output:
            assert f"terminal {step.terminal} │ {line}" in shown


def test_the_picture_shows_what_the_demo_shows():
    svg = xml.etree.ElementTree.parse(ROOT / ".github" / "demo.svg")
    lines = {}
    for text in svg.iter("{http://www.w3.org/2000/svg}text"):
        lines.setdefault(text.get("y"), []).append(text.text or "")
    shown = ["".join(parts).replace("\xa0", " ").strip() for parts in lines.values()]
    wanted = [
        f"terminal {step.terminal} │ {line}".strip()
        for session in list(demo.lessons().values())[: demo.PICTURED]
        for step in session.steps
        for line in ([f"$ {step.command}"] if step.command else []) + step.output
    ]
    assert [line for line in shown if line.startswith("terminal")] == wanted


# The snippets


@pytest.mark.parametrize("snippet", SNIPPETS, ids=titles(SNIPPETS))
def test_snippet(snippet):
    """Each is a file that a session runs, or stands in a script; the third kind, which replaces a
    function, is run by test_2_work_queues.py."""
    first, rest = snippet.text.split("\n", 1)
    if run := re.fullmatch(r"# (try_\w+\.py)", first):
        assert any(f"$ python {run[1]}" in session.text for session in SESSIONS)
    elif source := re.fullmatch(r"# in (\w+\.py)", first):
        lines = [line.strip() for line in (ROOT / source[1]).read_text().splitlines()]
        assert "\n".join(map(str.strip, rest.splitlines())) in "\n".join(lines)
    else:
        assert first == "# instead of work in worker.py"


# The tables


def rows(heading):
    """The rows of the first table under a heading; each is a list of cells, as inline tokens."""
    start = next(n for n, token in enumerate(TOKENS) if token.content == heading)
    end = next(n for n, token in enumerate(TOKENS) if n > start and token.type == "tbody_close")
    start = next(n for n, token in enumerate(TOKENS) if n > start and token.type == "tbody_open")
    table = []
    for token in TOKENS[start:end]:
        if token.type == "tr_open":
            table.append([])
        elif token.type == "inline":
            table[-1].append(token)
    return table


def code(cell):
    """The pieces of code in a cell."""
    return [child.content for child in cell.children if child.type == "code_inline"]


OLD = rows("If you come from an older tutorial")
TROUBLES = rows("Troubleshooting")
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
    elif not code(gives) or ("4.3 or newer" in gives.content and broker.version() < (4, 3)):
        assert result.returncode == 0, result.stderr
    else:
        last = result.stderr.splitlines()[-1]
        assert re.fullmatch(pattern(code(gives)[0]), last), last
    for line in code(today):
        channel.queue_delete("hello")
        result = run(line)
        assert result.returncode == 0, result.stderr


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
    return (start("receive.py", url=url),)


def other_properties(run, channel):
    channel.queue_declare("hello", durable=True, arguments={"x-queue-type": "classic"})
    return run("send.py"), run("receive.py")


def operator(run, broker, vhost):
    receiver = run("receive.py")
    receiver.wait_for(READY)
    broker.rabbitmqctl("close_all_connections", "--vhost", vhost, "the operator's wish")
    return (receiver,)


def silence(start, silent):
    url = f"amqp://127.0.0.1:{silent}"
    return (start("receive.py", url=url),)


def blocked(start, own_broker):
    own_broker.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
    try:
        sender = start("send.py", url=own_broker.url())
        sender.wait(30)
    finally:
        own_broker.rabbitmqctl("set_vm_memory_high_watermark", "0.6")
    return (sender,)


def queue_deleted(run, channel):
    receiver = run("receive.py")
    receiver.wait_for(READY)
    channel.queue_delete("hello")
    return (receiver,)


def full_queue(run, broker, vhost):
    full = {"pattern": "", "definition": {"max-length": 1, "overflow": "reject-publish"}}
    broker.api("PUT", "policies", vhost, "full", json=full)
    return tuple(run("send.py") for _ in range(10))


def queue_gone(run, tmp_path):
    before = "    channel.confirm_delivery()\n"
    source = (ROOT / "new_task.py").read_text()
    accident = '    channel.queue_delete("task_queue")\n'
    (tmp_path / "new_task.py").write_text(source.replace(before, accident + before))
    return (run("new_task.py", cwd=tmp_path),)


def no_server(run):
    return (run("rpc_client.py"),)


def refused_request(run):
    server = run("rpc_server.py")
    server.wait_for(READY)
    return run("rpc_client.py", "-1"), server


def ctrl_c(run, channel):
    client = run("rpc_client.py")
    client.wait_for("Requesting")
    get(channel, "rpc_queue")
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
    "Timeout": silence,
    "Blocked": blocked,
    "NACK": full_queue,
    "unroutable": queue_gone,
    "no more messages": queue_deleted,
    "No answer": no_server,
    "The server answered": refused_request,
    "Interrupted": ctrl_c,
    "refuses. ": no_broker,  # last, because it begins other rows as well
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
    """Each message of the table is printed when its cause is there, and nothing else is."""
    messages = code(row[0])
    cause = next(cause for part, cause in CAUSES.items() if part in messages[0])
    fixtures = inspect.signature(cause).parameters
    terminals = cause(**{name: request.getfixturevalue(name) for name in fixtures})
    seen = set()
    for terminal in terminals:
        with contextlib.suppress(AssertionError):  # a sender into a queue that is not yet full
            terminal.wait_for("", stream="stderr", seconds=30)
        for line in terminal.stderr:
            fitting = [text for text in messages if re.fullmatch(rf" \[!\] {pattern(text)}", line)]
            assert fitting, f"not in the table: {line!r}"
            seen.update(fitting)
    assert seen == set(messages)


def sentences(script):
    """The pieces of text that a script can print to stderr."""
    for node in ast.walk(ast.parse(script.read_text())):
        said = isinstance(node, ast.Raise)
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            to_stderr = any(keyword.arg == "file" for keyword in node.keywords)
            said = name == "sys.exit" or (name == "print" and to_stderr)
        for part in ast.walk(node) if said else []:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value.replace("[!]", "").strip(" .;:")


@pytest.mark.parametrize("script", sorted(ROOT.glob("[a-z]*.py")), ids=lambda path: path.name)
def test_everything_that_a_script_says_is_on_the_page(script):
    page = README.read_text()
    missing = {text for text in sentences(script) if " " in text and text not in page}
    assert missing == set()


# Names and links


def inline(kind):
    return [child for token in TOKENS for child in token.children or [] if child.type == kind]


def test_every_link_resolves(broker):
    headings = [
        following.content
        for token, following in zip(TOKENS, TOKENS[1:])
        if token.type == "heading_open"
    ]
    # https://docs.github.com/get-started/writing-on-github: how GitHub makes anchors of headings
    anchors = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
    targets = [link.attrs["href"] for link in inline("link_open")]
    targets += [image.attrs["src"] for image in inline("image")]
    assert len(targets) > 20
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif target.startswith("http://localhost"):
            local = target.replace(":15672", f":{broker.management_port}")
            assert requests.get(local, timeout=30).ok, target
            assert as_on_the_page(local, broker) == target
        elif not target.startswith("https://"):
            assert (ROOT / target).exists(), target


def test_every_name_exists():
    pieces = [child.content for child in inline("code_inline")]
    makefile = (ROOT / "Makefile").read_text()
    here = [path for path in [*ROOT.iterdir(), *(ROOT / "tests").iterdir()] if path.is_file()]
    everything = "".join(
        path.read_text(errors="replace") for path in here if path.name != "README.md"
    )
    for piece in pieces:
        for target in re.findall(r"\bmake ([a-z-]+)", piece):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), piece
        for name in re.findall(r"\b(?!try_)[a-z_]+\.py\b", piece):
            assert (ROOT / name).exists(), piece
        for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)*(?==)|^[A-Z_]{4,}$", piece):
            assert name in everything, piece
    assert any("pip install pika" in piece for piece in pieces)


def test_the_tests_that_contributors_are_told_to_run():
    (command,) = [c.content for c in inline("code_inline") if "-m pytest" in c.content]
    words = command.split()
    assert words[0] == ".venv/bin/python"
    result = subprocess.run(
        [sys.executable, *words[1:], "--collect-only", "-q", "-n0"], cwd=ROOT, capture_output=True
    )
    assert result.returncode == 0


def test_it_names_every_file_of_the_tests():
    text = README.read_text()
    helpers = [path.name for path in (ROOT / "tests").glob("*.py") if "test_" not in path.name]
    assert all(f"tests/{name}" in text for name in helpers)
    assert Path(ROOT / "LICENSE").exists()
    assert pika.__version__.startswith("1."), "the page says what pika 1 does"
