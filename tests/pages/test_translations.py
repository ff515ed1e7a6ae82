"""The front page in other languages has the code, sessions, tables and links of the English one.

What its sentences say is for people to check: `make languages` lists those that have to follow.
"""

import re
from urllib.parse import unquote

import pytest

from brokers.tools import ROOT
from course.markdown_page import README, TRANSLATIONS, Page, anchor_of
from course.translations import behind, sections

ENGLISH = Page(README)
SEARCHED = {  # what people type, in the order of the names of the files
    "README.ja.md": ["RabbitMQ", "チュートリアル", "Python", "pika"],
    "README.zh-CN.md": ["RabbitMQ", "教程", "Python", "pika"],
}
each_translation = pytest.mark.parametrize(
    "page", [Page(path) for path in TRANSLATIONS], ids=lambda page: page.path.name
)


def test_which_languages_there_are():
    assert [path.name for path in TRANSLATIONS] == list(SEARCHED)


def pairs(page):
    """Return the sections of a translation, each with the English one."""
    ours, english = sections(page), sections(ENGLISH)
    assert [section.level for section in ours] == [section.level for section in english]
    return list(zip(ours, english))


def fences(section):
    """Return the blocks of a section, diagrams without their labels."""
    found = []
    for token in section.tokens:
        if token.type == "fence":
            text = token.content
            if token.info == "mermaid":
                text = re.sub(r"-- .*? -->", "-->", re.sub(r'"[^"]*"', '""', text))
            found.append((token.info, text))
    return found


@each_translation
def test_code_and_sessions_are_the_same(page):
    for section, english in pairs(page):
        assert fences(section) == fences(english), section.heading


@each_translation
def test_names_in_sentences_are_the_same(page):
    """... except that a translation may also explain what stands in its code blocks."""
    for section, english in pairs(page):
        ours = {token.content for token in section.inline("code_inline")}
        theirs = {token.content for token in english.inline("code_inline")}
        blocks = "".join(text for _, text in fences(english))
        assert theirs - ours == set(), section.heading
        others = [name for name in ours - theirs if name.removesuffix("()") not in blocks]
        assert others == [], section.heading


@each_translation
def test_tables_have_the_same_rows(page):
    def form(section):
        return [token.type for token in section.tokens if token.type in ("tr_open", "td_open")]

    for section, english in pairs(page):
        assert form(section) == form(english), section.heading


def targets(page, section):
    """Return where a section leads to: files as seen from the root, headings by their number."""
    links = [link.attrs["href"] for link in section.inline("link_open")]
    links += [image.attrs["src"] for image in section.inline("image")]
    numbers = {anchor_of(each.heading): n for n, each in enumerate(sections(page))}
    found = []
    for link in links:
        if link.startswith("#"):
            link = f"heading {numbers[unquote(link[1:])]}"
        elif "://" not in link:
            path, _, anchor = link.partition("#")
            path = (page.path.parent / path).resolve().relative_to(ROOT)
            link = f"{path}#{anchor}"
        found.append(link)
    return sorted(found)


@each_translation
def test_links_and_pictures_are_the_same(page):
    for n, (section, english) in enumerate(pairs(page)):
        ours, theirs = targets(page, section), targets(ENGLISH, english)
        if n == 0:  # each leads to the others
            languages = {f"{path.relative_to(ROOT)}#" for path in [README, *TRANSLATIONS]}
            assert languages - set(ours) == {f"{page.path.relative_to(ROOT)}#"}
            ours = [link for link in ours if link not in languages]
            theirs = [link for link in theirs if link not in languages]
        assert ours == theirs, section.heading


@each_translation
def test_each_section_says_which_english_one_it_follows(page):
    assert [section.heading for section in sections(page) if not section.follows()] == []


@each_translation
def test_a_paragraph_is_one_line(page):
    """A line break between two characters of these languages would become a space."""
    inline = [token.content for token in page.tokens if token.type == "inline"]
    assert [text for text in inline if "\n" in text] == []


@each_translation
def test_it_is_found_by_what_people_search_for(page):
    first_lines = " ".join(page.text.splitlines()[:6])
    assert [word for word in SEARCHED[page.path.name] if word not in first_lines] == []


@each_translation
def test_a_changed_sentence_names_its_section(page):
    changed = Page(README)
    changed.text = changed.text.replace("A queue of tasks", "A long queue of tasks")
    found = [english.heading for _, english in behind(page, changed)]
    before = [english.heading for _, english in behind(page, ENGLISH)]
    assert "2 Work queues" in found
    assert set(found) - {"2 Work queues"} == set(before) - {"2 Work queues"}
