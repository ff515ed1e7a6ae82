"""The front page in other languages, beside the English one that it follows.

Under each heading of a translation, a comment has the hash of the English section that it says:
`<!-- follows 1a2b3c4d -->`. `make languages` lists the sections whose English has changed since.
"""

import hashlib
import re
from dataclasses import dataclass

from course.markdown_page import README, TRANSLATIONS, Page

FOLLOWS = r"<!-- follows ([0-9a-f]{8}) -->"


@dataclass
class Section:
    """A heading, with what stands below it up to the next heading of any level."""

    heading: str
    level: str  # "h1", "h2" ...
    line: int  # where the heading stands, from 1 on
    text: str  # with the heading
    tokens: list  # of markdown-it

    def hash(self):
        """Return eight hexadecimal digits that change with the words, not with line breaks."""
        words = " ".join(self.text.split())
        return hashlib.sha256(words.encode()).hexdigest()[:8]

    def follows(self):
        """Return the hash in the section's comment; None if it has no comment."""
        found = re.search(FOLLOWS, self.text)
        return found and found[1]

    def inline(self, kind):
        """Return the inline tokens of one kind: "code_inline", "link_open"."""
        children = (child for token in self.tokens for child in token.children or [])
        return [child for child in children if child.type == kind]


def sections(page):
    """Return the sections of a `Page`, in order."""
    starts = [n for n, token in enumerate(page.tokens) if token.type == "heading_open"]
    lines = page.text.splitlines(keepends=True)
    found = []
    for start, end in zip(starts, [*starts[1:], None]):
        token = page.tokens[start]
        last = page.tokens[end].map[0] if end else None
        text = "".join(lines[token.map[0] : last])
        tokens = page.tokens[start:end]
        found.append(Section(tokens[1].content, token.tag, token.map[0] + 1, text, tokens))
    return found


def behind(translation, english):
    """Return the sections of a translation whose English has changed, each with that section.

    :param Page translation: a page with the same headings as the English one
    :param Page english: the English page
    """
    pairs = zip(sections(translation), sections(english))
    return [(section, origin) for section, origin in pairs if section.follows() != origin.hash()]


def main():
    """Print what has to follow, and the comment to write when it does."""
    for path in TRANSLATIONS:
        found = behind(Page(path), Page(README))
        print(f"{path.name}: {len(found)} sections to look at")
        for section, origin in found:
            print(f"  line {section.line}, {origin.heading}: <!-- follows {origin.hash()} -->")


if __name__ == "__main__":
    main()
