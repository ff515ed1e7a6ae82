"""`make demo` shows what the README shows, and so does its picture."""

import io
import xml.etree.ElementTree

from rich.console import Console

from brokers.tools import ROOT
from demo.__main__ import PICTURED, lessons, play


def test_the_demo_plays_the_first_session_of_each_lesson(broker, url):
    console = Console(file=io.StringIO(), width=200)
    assert [heading[0] for heading in lessons()] == list("123456")
    heading, session = next(iter(lessons().items()))
    play(console, broker, url, [(heading, session)])
    shown = console.file.getvalue()
    for step in session.steps:
        for line in step.output:
            assert f"terminal {step.terminal} │ {line}" in shown


def test_the_picture_shows_what_the_demo_shows():
    svg = xml.etree.ElementTree.parse(ROOT / "docs" / "pictures" / "demo.svg")
    lines = {}
    for text in svg.iter("{http://www.w3.org/2000/svg}text"):
        lines.setdefault(text.get("y"), []).append(text.text or "")
    shown = ["".join(parts).replace("\xa0", " ").strip() for parts in lines.values()]
    wanted = [
        f"terminal {step.terminal} │ {line}".strip()
        for session in list(lessons().values())[:PICTURED]
        for step in session.steps
        for line in ([f"$ {step.command}"] if step.command else []) + step.output
    ]
    assert [line for line in shown if line.startswith("terminal")] == wanted
