"""Every link, name and command of the README exists."""

import re
import subprocess
import sys

import pika

from brokers.broker import DIRECT
from brokers.tools import ROOT
from support.markdown_page import Page
from support.real_terminal import as_on_the_page

PAGE = Page()


# Names of other programs, and who obeys them; tests use both.
FOREIGN = {"SSL_CERT_FILE": "OpenSSL", "PYTHONUTF8": "Python"}


def test_every_link_resolves(broker):
    # https://docs.github.com/get-started/writing-on-github: how GitHub makes anchors of headings
    anchors = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in PAGE.headings()}
    targets = [link.attrs["href"] for link in PAGE.inline("link_open")]
    targets += [image.attrs["src"] for image in PAGE.inline("image")]
    assert len(targets) > 20
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif target.startswith("http://localhost"):
            local = target.replace(":15672", f":{broker.management_port}")
            assert DIRECT.open(local, timeout=30).status == 200, target
            assert as_on_the_page(local, broker) == target
        elif not target.startswith("https://"):
            assert (ROOT / target).exists(), target


def test_every_name_exists():
    pieces = [child.content for child in PAGE.inline("code_inline")]
    makefile = (ROOT / "Makefile").read_text()
    obey = [ROOT / "Makefile", ROOT / "docker-compose.yml", ROOT / "tests" / "conftest.py"]
    obey += [*ROOT.glob("*.py"), *(ROOT / "tests" / "brokers").glob("*.py")]
    everything = "".join(path.read_text(encoding="utf-8") for path in obey)
    for piece in pieces:
        for target in re.findall(r"\bmake ([a-z-]+)", piece):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), piece
        for name in re.findall(r"\b(?!try_)[a-z_]+\.py\b", piece):
            assert (ROOT / name).exists(), piece
        for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\d*(?==)|^[A-Z_]{4,}$", piece):
            assert name in everything or name in FOREIGN, piece
    assert any("pip install pika" in piece for piece in pieces)


def test_the_tests_that_contributors_are_told_to_run():
    (command,) = [c.content for c in PAGE.inline("code_inline") if "-m pytest" in c.content]
    words = command.split()
    assert words[0] == ".venv/bin/python"
    result = subprocess.run(
        [sys.executable, *words[1:], "--collect-only", "-q", "-n0"], cwd=ROOT, capture_output=True
    )
    assert result.returncode == 0


def test_it_names_every_room_of_the_tests():
    rooms = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/*.py")}
    linked = {link.attrs["href"] for link in PAGE.inline("link_open")}
    assert rooms - linked == set()


def test_it_says_what_pika_1_does():
    assert pika.__version__.startswith("1.")
