"""Every link, name and command of the course exists, and the front page is short."""

import re
from urllib.parse import unquote

import pytest

from brokers.broker import DIRECT
from brokers.tools import ROOT
from course.markdown_page import (
    CONTRIBUTING,
    PAGES,
    README,
    TRANSLATIONS,
    Page,
    anchor_of,
    blocks,
)
from course.real_terminal import as_on_the_page
from helpers.scripts import path_of

# Variables that are not ours, and whose they are.
FOREIGN = {"SSL_CERT_FILE": "OpenSSL"}
# What reads a variable: a program, Docker Compose, make.
READS = r"environ(?:\.\w+\(|\[)\"([A-Z_]+)\"|\$\{([A-Z_]+)[:}]|\$\(([A-Z_]+)\)|\bor ,\$\(([A-Z]+)\)"
each_page = pytest.mark.parametrize(
    "page", [Page(path) for path in [*PAGES, *TRANSLATIONS]], ids=lambda page: page.path.name
)


def test_the_front_page_is_short():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 750
    first_session = next(block for block in blocks() if block.language == "console")
    assert first_session.line + len(first_session.text.splitlines()) < 30
    scripts = [block for block in blocks() if block.text.startswith('"""Lesson 1')]
    assert [block.line + len(block.text.splitlines()) <= 90 for block in scripts] == [True, True]


def test_the_other_pages_are_not_longer_than_they_were():
    pages = [path for path in PAGES if path.parent != ROOT]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in pages) <= 1260


def links(page):
    """Return where a page links to."""
    targets = [unquote(link.attrs["href"]) for link in page.inline("link_open")]
    return targets + [image.attrs["src"] for image in page.inline("image")]


def anchors(path):
    """Return the anchors of a page's headings."""
    return {anchor_of(heading) for heading in Page(path).headings()}


@each_page
def test_every_link_resolves(broker, page):
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


@each_page
def test_there_is_a_way_back_and_a_way_on(page):
    """From each page under docs to the course, and at its end to another page."""
    if page.path.parent != ROOT and page.path not in TRANSLATIONS:
        first, last = links(page)[0], page.text.strip().splitlines()[-1]
        assert first == "../README.md"
        assert last.startswith("Next: ")


def test_every_page_is_one_click_from_the_front():
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(Page())}
    assert {*PAGES, *TRANSLATIONS} - linked - {README} == set()


@each_page
def test_every_name_exists(page):
    makefile = (ROOT / "Makefile").read_text()
    obey = [ROOT / "Makefile", ROOT / "tests" / "conftest.py"]
    obey += [*ROOT.glob("*.py"), *ROOT.glob("tests/brokers/*.py")]
    obey += [*ROOT.glob("docker-*.yml"), *ROOT.glob("tests/brokers/docker-*.yml")]
    read = {
        name
        for path in obey
        for found in re.findall(READS, path.read_text(encoding="utf-8"))
        for name in found
    }
    for piece in [child.content for child in page.inline("code_inline")]:
        for target in re.findall(r"(?:^|[A-Z]=\S+ )make ([a-z-]+)", piece):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), piece
        for name in re.findall(r"\b(?!try_|test_|pika)[a-z_]+\.py\b", piece):
            assert path_of(name).exists(), piece
        for name in re.findall(r"\b[A-Z]+(?:_[A-Z0-9]+)+(?==)", piece):
            assert name in read or name in FOREIGN, piece


def test_contributors_are_shown_every_room_of_the_tests():
    rooms = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/*.py")}
    assert rooms - set(links(Page(CONTRIBUTING))) == set()
