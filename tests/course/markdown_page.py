"""Reads the blocks of a Markdown page, and the steps of the sessions among them.

A session is a block of the language `console`. In it,

    # terminal 1                      says where the following happens; after a comma may stand a
                                      condition: "RabbitMQ 4.3 or newer", "RabbitMQ older than 4.3",
                                      "with Docker Compose", "without Docker". All up to the next
                                      such line is only for those who meet it. After a last comma,
                                      "repeat until it shows this" lets the command be typed again
                                      and again
    $ python send.py                  is typed; the command ends by itself if another follows
                                      in the same terminal before a key is pressed there
    ^C                                a key is pressed, and this is what the terminal shows then
    anything else                     is what the terminal shows, whole and in this order

In what is shown, … stands for whatever differs from one time to the next, and a line of it alone
for any number of lines. The ports of the broker at hand are shown as 5672 and 15672.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

from brokers.tools import ROOT

README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
# The front page in other languages; its code is that of the English one, which is played.
TRANSLATIONS = sorted((ROOT / "docs").glob("README.*.md"))
PAGES = [README, *(set((ROOT / "docs").glob("*.md")) - set(TRANSLATIONS)), CONTRIBUTING]
PAGES.sort(key=lambda page: (page.parent != ROOT, page))
HEADER = r"# terminal (\d)(?:, (?!repeat)(.*?))?(, repeat until .*)?"
KEYS = {"^C": "\x03", "^\\": "\x1c"}


@dataclass
class Step:
    """Something typed or pressed in a terminal, and what that terminal shows then."""

    terminal: str
    condition: str = ""
    repeat: bool = False  # the command is typed until it shows the output
    command: str = ""
    key: str = ""
    output: list = field(default_factory=list)
    stays: bool = False  # the command does not end by itself


@dataclass
class Block:
    """A fenced block of the page: its text, its language, its place and what it belongs to."""

    page: Path
    heading: str
    language: str
    text: str
    line: int
    steps: list = field(default_factory=list)


def blocks(path=README):
    """Return the fenced blocks of a Markdown file in order, the sessions with their steps."""
    found, heading = [], ""
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    for token, following in zip(tokens, [*tokens[1:], None]):
        if token.type == "heading_open" and token.tag in ("h1", "h2"):
            heading = following.content
        elif token.type == "fence":
            found.append(Block(path, heading, token.info, token.content, token.map[0] + 1))
    sessions = [block for block in found if block.language == "console"]
    for block in sessions:
        block.steps = steps(block.text)
    # What a terminal is asked next tells whether its command has to end before.
    following = {}
    for step in reversed([step for block in sessions for step in block.steps]):
        after = following.get(step.terminal)
        step.stays = bool(after and not after.command)
        following[step.terminal] = step
    return found


def steps(text):
    """Return the steps of a session."""
    result, where = [], ("1", "", False)
    for line in text.splitlines():
        if header := re.fullmatch(HEADER, line):
            where = (header[1], header[2] or "", bool(header[3]))
            result.append(Step(*where))
        elif line.startswith("$ "):
            result.append(Step(*where, command=line[2:]))
        elif line[:2] in KEYS:
            result.append(Step(*where, key=line[:2], output=[line]))
        elif result:
            result[-1].output.append(line)
        else:
            result.append(Step(*where, output=[line]))
    return [step for step in result if step.command or step.output]


class Page:
    """A Markdown page: its text, and what stands in its tables, links and names.

    :param Path path: the file
    """

    def __init__(self, path=README):
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.tokens = MarkdownIt().enable("table").parse(self.text)

    def headings(self):
        """Return the texts of the headings."""
        following = zip(self.tokens, self.tokens[1:])
        return [after.content for token, after in following if token.type == "heading_open"]

    def rows(self, heading):
        """Return the rows of the first table under a heading, as lists of cells: inline tokens."""
        start = next(n for n, token in enumerate(self.tokens) if token.content == heading)
        end = next(n for n in self.all_from(start, "tbody_close"))
        start = next(n for n in self.all_from(start, "tbody_open"))
        table = []
        for token in self.tokens[start:end]:
            if token.type == "tr_open":
                table.append([])
            elif token.type == "inline":
                table[-1].append(token)
        return table

    def all_from(self, start, kind):
        """Return the places of the tokens of one kind, from a place on."""
        return [n for n in range(start, len(self.tokens)) if self.tokens[n].type == kind]

    def inline(self, kind):
        """Return the inline tokens of one kind: "code_inline", "link_open"."""
        children = (child for token in self.tokens for child in token.children or [])
        return [child for child in children if child.type == kind]


def code(cell):
    """Return the pieces of code in a cell of a table."""
    return [child.content for child in cell.children if child.type == "code_inline"]


def pattern(line):
    """Return the regular expression for a line of the page."""
    return ".*".join(map(re.escape, line.split("…")))


def anchor_of(heading):
    """Return the anchor that GitHub makes of a heading.

    https://docs.github.com/get-started/writing-on-github
    """
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
