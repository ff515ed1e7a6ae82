"""Every link, name and command of the course exists, and the front page is short."""

import re
import subprocess
import sys

import pika
import pytest

from brokers.broker import DIRECT
from brokers.tools import ROOT
from support.list_of_lessons import path_of
from support.markdown_page import PAGES, README, Page
from support.real_terminal import as_on_the_page

CONTRIBUTING = Page(ROOT / "docs" / "contributing.md")
# Names that are not ours, and whose they are; other tests use them.
FOREIGN = {"SSL_CERT_FILE": "OpenSSL", "PYTHONUTF8": "Python", "INTERNAL_ERROR": "AMQP"}
each_page = pytest.mark.parametrize(
    "page", [Page(path) for path in PAGES], ids=lambda page: page.path.stem
)


def test_the_front_page_is_short():
    assert len(Page().text.splitlines()) <= 750


def links(page):
    """Return where a page links to."""
    targets = [link.attrs["href"] for link in page.inline("link_open")]
    return targets + [image.attrs["src"] for image in page.inline("image")]


def anchors(path):
    """Return the anchors that GitHub makes of a page's headings.

    https://docs.github.com/get-started/writing-on-github
    """
    headings = Page(path).headings()
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@each_page
def test_every_link_resolves(broker, page):
    assert links(page)
    for target in links(page):
        name, _, anchor = target.partition("#")
        path = (page.path.parent / name).resolve() if name else page.path
        if target.startswith("http://localhost"):
            local = target.replace(":15672", f":{broker.management_port}")
            assert DIRECT.open(local, timeout=30).status == 200, target
            assert as_on_the_page(local, broker) == target
        elif not target.startswith("https://"):
            assert path.exists(), target
            assert not anchor or anchor in anchors(path), target


def test_every_page_is_one_click_from_the_front():
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(Page())}
    assert set(PAGES) - linked - {README} == set()


@each_page
def test_every_name_exists(page):
    makefile = (ROOT / "Makefile").read_text()
    obey = [ROOT / "Makefile", ROOT / "docker-compose.yml", ROOT / "tests" / "conftest.py"]
    obey += [
        path for room in (".", "beyond", "tests/brokers") for path in ROOT.glob(f"{room}/*.py")
    ]
    everything = "".join(path.read_text(encoding="utf-8") for path in obey)
    for piece in [child.content for child in page.inline("code_inline")]:
        for target in re.findall(r"\bmake ([a-z-]+)", piece):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), piece
        for name in re.findall(r"\b(?!try_)[a-z_]+\.py\b", piece):
            assert path_of(name).exists(), piece
        for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\d*(?==)|^[A-Z_]{4,}$", piece):
            assert name in everything or name in FOREIGN, piece


def test_the_tests_that_contributors_are_told_to_run():
    (command,) = [c.content for c in CONTRIBUTING.inline("code_inline") if "-m pytest" in c.content]
    words = command.split()
    assert words[0] == ".venv/bin/python"
    result = subprocess.run(
        [sys.executable, *words[1:], "--collect-only", "-q", "-n0"], cwd=ROOT, capture_output=True
    )
    assert result.returncode == 0


def test_contributors_are_shown_every_room_of_the_tests():
    rooms = {f"../tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/*.py")}
    assert rooms - set(links(CONTRIBUTING)) == set()


def test_it_says_what_pika_1_does():
    assert pika.__version__.startswith("1.")
