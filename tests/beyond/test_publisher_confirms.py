"""publisher_confirms.py. What it has in common with all producers is tested with them."""

import re
import time

import pytest

from brokers.tools import wait_until
from support.expectations import SOON, assert_ends_with_a_sentence
from support.list_of_lessons import path_of

WAYS = [
    "Published {} messages individually in {} ms",
    "Published {} messages in batch in {} ms",
    "Published {} messages and handled confirms asynchronously in {} ms",
]
AGAIN = r" \[!\] (\d+) refused or returned, now sent again"


def assert_published(script, count):
    """Check that a script has printed what the other languages' tutorial seven does."""
    assert len(script.stdout) == len(WAYS), script
    for line, way in zip(script.stdout, WAYS):
        assert re.fullmatch(way.format(count, r"[\d,]+"), line), line


@pytest.mark.parametrize(("word", "count"), [("2500", "2,500"), ("1", "1")])
def test_what_it_prints(run, word, count):
    script = run("publisher_confirms.py", word)
    assert script.wait() == 0, script
    assert_published(script, count)
    assert script.stderr == []


def test_no_message_at_all(run):
    script = run("publisher_confirms.py", "0")
    assert script.wait() == 0, script
    assert_published(script, "0")


def test_the_broker_gets_them_all_and_confirms(run, broker, vhost):
    """Counted by the broker, over the connections of the three ways."""
    script = run("publisher_confirms.py", "300")
    assert script.wait() == 0

    def statistics():
        return broker.api("GET", "vhosts", vhost).get("message_stats", {})

    def all_counted():
        counted = statistics()
        return (counted.get("publish"), counted.get("confirm")) == (900, 900)

    wait_until(all_counted, "900 messages and 900 confirms", 30, interval=0.3)
    counted = statistics()
    assert counted.get("return_unroutable", 0) == counted.get("drop_unroutable", 0) == 0


def policy(broker, vhost, **definition):
    body = {"pattern": "^amq[.]gen", "definition": definition}
    broker.api("PUT", "policies", vhost, "refuses", body=body)


def test_what_the_broker_refuses_is_sent_again(run, broker, vhost):
    """A queue that takes ten messages or some more, refuses the others, and soon forgets all."""
    limits = {"max-length": 10, "overflow": "reject-publish", "message-ttl": 200}
    policy(broker, vhost, **limits)
    script = run("publisher_confirms.py", "25")
    assert script.wait(60) == 0, script
    assert_published(script, "25")
    again = [int(re.fullmatch(AGAIN, line)[1]) for line in script.stderr]
    assert len(again) >= 3, script  # once or more in each way
    assert all(0 < count <= 15 for count in again), script


def test_what_no_queue_takes_is_sent_again(run, tmp_path):
    """Every tenth message of this copy goes to a queue that does not exist."""
    source = path_of("publisher_confirms.py").read_text()
    before = 'basic_publish("", queue,'
    assert source.count(before) == 1
    accident = 'basic_publish("", queue if tag % 10 else "nowhere",'
    (tmp_path / "publisher_confirms.py").write_text(source.replace(before, accident))
    script = run("publisher_confirms.py", "90", cwd=tmp_path)
    assert script.wait() == 0, script
    assert_published(script, "90")
    again = [int(re.fullmatch(AGAIN, line)[1]) for line in script.stderr]
    assert again == [9] * 3


def test_ctrl_c_while_the_broker_refuses(run, broker, vhost):
    """It goes on for ever, says so, and makes pauses."""
    policy(broker, vhost, **{"max-length": 5, "overflow": "reject-publish"})
    times = []
    script = run("publisher_confirms.py", "25", on_line=lambda *_: times.append(time.monotonic()))
    script.wait_for("refused", count=2, stream="stderr")
    assert times[1] - times[0] > 0.9
    script.press_ctrl_c()
    assert script.wait(SOON) == 1, script
    assert script.stdout == []
    assert script.stderr[-1] == " [!] Interrupted"


def test_connection_closed_in_the_middle(run, broker, vhost):
    script = run("publisher_confirms.py", "1000000")
    wait_until(lambda: broker.connections(vhost) == 1, "the connection", 15)
    broker.close_connections(vhost, "operator's wish")
    assert_ends_with_a_sentence(script, "operator's wish")


def test_without_a_number_it_is_50_000(run):
    script = run("publisher_confirms.py")
    assert "50,000 messages individually" in script.wait_for("Published", seconds=90)
    script.press_ctrl_c()
    assert script.wait(SOON) == 1
