"""What tests expect of a script when things go wrong."""

import pytest

from support.list_of_lessons import lesson_of
from support.script_process import DEADLINE

# What a consumer says when it has no connection, before the reason that pika gives.
CONNECTION_FAILED = " [!] No connection to RabbitMQ; next try in 3 s: "
SECRET = "s3same"  # a password, or the end of one; no script may ever show it
# A consumer leaves within a second; the other second is for a busy machine.
SOON = 2


def for_each(scripts):
    """Parametrise a test by script."""
    return pytest.mark.parametrize("words", scripts, ids=[words[0] for words in scripts])


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
    assert len(sentence) > len(" [!] 12345"), script
    assert all(part in sentence for part in parts), script
    assert_claims_nothing(script)
    return sentence


def assert_fails(script, *parts, seconds=30):
    """Wait until a script has ended with exit status 1; its last line has all `parts`.

    That line may end a traceback: for what is wrong in the program or its settings.
    """
    assert script.wait(seconds) == 1, script
    assert all(part in script.stderr[-1] for part in parts), script
    assert [line for line in script.stdout if "Sent" in line or "Got" in line] == [], script


def assert_shows_the_bug(script, bug):
    """Wait until a script has ended with the traceback of an exception, and said nothing else.

    :param str bug: the exception's class; its text has to be "a bug"
    """
    assert script.wait(20) == 1, script
    assert script.stderr[0].startswith("Traceback"), script
    assert script.stderr[-1] in (f"{bug}: a bug", f"{bug}: 'a bug'"), script
    assert " [!] " not in "".join(script.stderr), script


def assert_tries_again(consumer, *parts, seconds=30):
    """Wait until a consumer has said twice what is wrong, with all `parts`, and still runs.

    :returns: the sentence
    """
    sentence = consumer.wait_for(CONNECTION_FAILED, count=2, stream="stderr", seconds=seconds)
    assert all(part in sentence for part in parts), consumer
    assert_still_runs(consumer)
    return sentence


def assert_still_runs(consumer):
    """Check that a consumer runs, and has said nothing but sentences."""
    assert consumer.process.poll() is None, consumer
    assert all(line.startswith(" [!] ") for line in consumer.stderr), consumer
    assert SECRET not in repr(consumer), consumer


def assert_leaves_with_ctrl_c(consumer, seconds=SOON):
    """Press CTRL+C, and check that the consumer ends as it should."""
    consumer.press_ctrl_c()
    assert consumer.wait(seconds) == 0, consumer
    assert all(line.startswith(" [!] ") for line in consumer.stderr), consumer


def assert_gets_messages(start, url, consumer, seconds=DEADLINE):
    """Send something with the consumer's producer, and wait until the consumer has printed it.

    :param start: what starts the producer, with its words and `url`
    """
    lesson = lesson_of(consumer.words[0])
    before = consumer.stdout.count(lesson.prints)
    producer = start(*lesson.producer, url=url)
    assert producer.wait(30) == 0, producer
    consumer.wait_for(lesson.prints, count=before + 1, seconds=seconds)
