"""What tests expect of a script when something goes wrong.

Each sentence that they see has to be in a row of docs/troubleshooting.md, too.
"""

import re

from brokers.tools import ROOT
from course.markdown_page import Page, code, pattern
from helpers.process import DEADLINE
from helpers.scripts import PRODUCERS, pair_of

# What a consumer says when it has no connection, before the reason.
NO_CONNECTION = " [!] No connection to RabbitMQ; next try in 3 s: "
SECRET = "s3same"  # a password, or the end of one; no script may ever show it
SOON = 2  # seconds; a consumer leaves within one, the other is for a busy machine


TROUBLES = [
    code(row[0]) for row in Page(ROOT / "docs" / "troubleshooting.md").rows("Troubleshooting")
]


def row_of(line):
    """Return the row of the page in which a line can be found: what it has to contain.

    :raises AssertionError: if it is in none
    """
    for texts in TROUBLES:
        if any(re.search(pattern(text), line) for text in texts):
            return texts
    raise AssertionError(f"docs/troubleshooting.md does not have: {line}")


def assert_claims_nothing(script):
    """Check that a script has not said that it was done, and has not shown a password."""
    assert [line for line in script.stdout if "Sent" in line or "Got" in line] == [], script
    assert SECRET not in repr(script), script


def assert_ends_with_a_sentence(script, *parts, seconds=20):
    """Wait until a script has ended: with exit status 1, and one sentence that has all `parts`.

    :returns: the sentence
    """
    assert script.wait(seconds) == 1, script
    assert len(script.stderr) == 1, script
    sentence = script.stderr[0]
    assert sentence.startswith(" [!] "), script
    assert all(part in sentence for part in parts), script
    assert row_of(sentence)
    assert_claims_nothing(script)
    return sentence


def assert_fails(script, *parts, seconds=30):
    """Wait until a script has ended with exit status 1; its last line has all `parts`.

    That line may end a traceback: for what is wrong in the program or its settings.
    """
    assert script.wait(seconds) == 1, script
    assert all(part in script.stderr[-1] for part in parts), script
    assert row_of(script.stderr[-1])
    assert_claims_nothing(script)


def assert_shows_the_bug(script, bug):
    """Wait until a script has ended with the traceback of an exception, and said nothing else.

    :param str bug: the exception's class; its text has to be "a bug"
    """
    assert script.wait() == 1, script
    assert script.stderr[0].startswith("Traceback"), script
    assert script.stderr[-1] in (f"{bug}: a bug", f"{bug}: 'a bug'"), script
    assert " [!] " not in "".join(script.stderr), script


def assert_tries_again(consumer, *parts, seconds=40):
    """Wait until a consumer has said twice what is wrong, with all `parts`, and still runs.

    :returns: the sentence
    """
    sentence = consumer.wait_for(NO_CONNECTION, count=2, stream="stderr", seconds=seconds)
    assert all(part in sentence for part in parts), consumer
    assert row_of(sentence)
    assert_still_runs(consumer)
    return sentence


def assert_has_no_connection(script, *parts, seconds=40):
    """Check what a script does without a connection: a producer ends, a consumer tries again.

    :returns: the sentence
    """
    producer = script.words in PRODUCERS
    check = assert_ends_with_a_sentence if producer else assert_tries_again
    return check(script, *parts, seconds=seconds)


def assert_still_runs(consumer):
    """Check that a consumer runs, and has said nothing but sentences."""
    assert consumer.process.poll() is None, consumer
    assert all(line.startswith(" [!] ") for line in consumer.stderr), consumer
    assert SECRET not in repr(consumer), consumer


def assert_leaves_with_ctrl_c(consumer):
    """Press CTRL+C, and check that the consumer ends as it should."""
    consumer.press_ctrl_c()
    assert consumer.wait(SOON) == 0, consumer
    assert all(line.startswith(" [!] ") for line in consumer.stderr), consumer


def assert_gets_messages(start, url, consumer, seconds=DEADLINE):
    """Send something with the consumer's producer, and wait until the consumer has printed it.

    :param start: what starts the producer, with its words and `url`
    """
    pair = pair_of(consumer.words[0])
    before = consumer.stdout.count(pair.prints)
    producer = start(*pair.producer, url=url)
    assert producer.wait(30) == 0, producer
    consumer.wait_for(pair.prints, count=before + 1, seconds=seconds)
