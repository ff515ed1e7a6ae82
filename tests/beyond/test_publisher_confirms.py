"""publisher_confirms.py. What it has in common with all producers is tested with them."""

import re
import sys

import pytest

from brokers.tools import wait_until
from helpers.accidents import changed_copy
from helpers.expectations import SOON, assert_ends_with_a_sentence
from helpers.messages import take
from helpers.scripts import BEYOND

WAYS = ["publish_individually", "publish_in_batches", "publish_asynchronously"]


def assert_published(script, count):
    """Check that a script has said for each way how many messages it has published."""
    assert len(script.stdout) == len(WAYS), script
    for line, way in zip(script.stdout, WAYS):
        assert re.fullmatch(rf"{way}: {count} in \d+\.\d\d s", line), line


@pytest.mark.parametrize(("words", "count"), [(["2500"], "2,500"), (["1"], "1"), (["0"], "0")])
def test_what_it_prints(run, words, count):
    script = run("publisher_confirms.py", *words)
    assert script.wait() == 0, script
    assert_published(script, count)
    assert script.stderr == []


@pytest.mark.parametrize("word", ["10,000", "-5", "-h", "many", "1.5", ""])
def test_usage(run, word):
    script = run("publisher_confirms.py", word)
    assert script.wait() == 1
    assert script.stdout == []
    assert script.stderr[0].startswith("Usage: ")


def test_without_a_number_it_is_50_000(start):
    code = """
import publisher_confirms
publisher_confirms.run = lambda way, messages: print(way.__name__, len(messages))
publisher_confirms.main()
"""
    script = start("-c", code, command=(sys.executable,), cwd=BEYOND)
    assert script.wait() == 0, script
    assert script.stdout == [f"{way} 50000" for way in WAYS]


def test_ctrl_c(run, broker, vhost):
    script = run("publisher_confirms.py", "1000000")
    wait_until(lambda: broker.connections(vhost), "the connection", 20)
    script.press_ctrl_c()
    assert script.wait(SOON) == 1
    assert script.stderr == [" [!] Interrupted"]


def test_the_broker_gets_them_all_and_confirms(run, broker, vhost):
    """Counted by the broker, over the connections of the three ways."""
    assert run("publisher_confirms.py", "300").wait() == 0

    def counted():
        found = broker.api("GET", "vhosts", vhost).get("message_stats", {})
        return (found.get("publish"), found.get("confirm")) == (900, 900) and found

    found = wait_until(counted, "900 messages and 900 confirms", 30, interval=0.3)
    assert found.get("return_unroutable", 0) == found.get("drop_unroutable", 0) == 0


def let_queues_refuse(broker, vhost, **definition):
    definition = {"max-length": 10, "overflow": "reject-publish", **definition}
    body = {"pattern": "^amq[.]gen", "definition": definition}
    broker.api("PUT", "policies", vhost, "refuses", body=body)


def test_what_the_broker_refuses_is_published_again(run, broker, vhost):
    """A queue that takes ten messages, or some more, refuses the others, and soon forgets all."""
    let_queues_refuse(broker, vhost, **{"message-ttl": 200})
    script = run("publisher_confirms.py", "25")
    assert script.wait(30) == 0, script
    assert_published(script, "25")


def test_what_the_broker_always_refuses(run, broker, vhost):
    """It is published three times, and then told by number."""
    let_queues_refuse(broker, vhost)
    script = run("publisher_confirms.py", "25")
    sentence = assert_ends_with_a_sentence(script, "refused, 0 returned")
    refused = int(re.search(r"(\d+) refused", sentence)[1])
    assert 0 < refused <= 15
    assert re.fullmatch(rf"publish_individually: {25 - refused} in \d.*", script.stdout[0])


def test_messages_that_are_published_again_keep_their_order(run, tmp_path, channel):
    """This copy takes every third confirm for a refusal, once, and uses a queue that stays."""
    line = "            settled = "
    third = "{n: self.unconfirmed[n] for n in numbers if n % 3 == 0 and n <= 27}"
    changed_copy(
        tmp_path,
        "publisher_confirms.py",
        {
            'queue="", exclusive=True': 'queue="kept", durable=True',
            line: f"            self.refused.update({third})\n{line}",
        },
    )
    assert run("publisher_confirms.py", "27", cwd=tmp_path).wait(30) == 0
    bodies = [int(take(channel, "kept")[-1]) for _ in range(3 * (27 + 9))]
    assert bodies == 3 * [*range(27), *range(2, 27, 3)]


def test_the_queue_is_deleted_in_the_middle(run, tmp_path):
    """What no queue takes is not published again, for it would come back for ever."""
    line = "        self.number += 1\n"
    accident = f"{line}        self.number == 99 and self.channel.queue_delete(queue=self.queue)\n"
    changed_copy(tmp_path, "publisher_confirms.py", {line: accident})
    script = run("publisher_confirms.py", "250", cwd=tmp_path)
    assert_ends_with_a_sentence(script, "0 refused, 151 returned")
    assert script.stdout[0].startswith("publish_individually: 99 in ")


def test_no_connection_is_left_after_an_error(start, user, broker, vhost):
    """... in a program that has copied run(), and goes on."""
    code = """
import signal, pika, publisher_confirms
for _ in range(3):
    try:
        publisher_confirms.run(publisher_confirms.publish_individually, ["body"])
    except pika.exceptions.ChannelClosedByBroker as error:
        print(error.reply_code, flush=True)
signal.pause()
"""
    program = start("-c", code, command=(sys.executable,), cwd=BEYOND, url=user(configure="^$"))
    program.wait_for("403", count=3)
    wait_until(lambda: not broker.connections(vhost), "the end of the connections", 15)


def test_the_connection_is_closed_in_the_middle(run, broker, vhost):
    script = run("publisher_confirms.py", "1000000")
    wait_until(lambda: broker.connections(vhost), "its connection", 20)
    broker.close_connections(vhost, "operator's wish")
    assert_ends_with_a_sentence(script, "operator's wish")


def test_a_program_whose_event_loops_are_not_what_pika_likes(run):
    """As on Windows, where asyncio's are of another kind: the script uses none."""
    code = """
import asyncio, sys
class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        raise NotImplementedError
asyncio.set_event_loop_policy(Policy())
sys.platform = "win32"
import publisher_confirms
publisher_confirms.run(publisher_confirms.publish_in_batches, ["body"])
"""
    program = run("-c", code, command=(sys.executable, "-W", "ignore"), cwd=BEYOND)
    assert program.wait() == 0, program


def test_nothing_is_confirmed(run, tmp_path, broker, vhost):
    """Every wait has a limit: this copy waits for a confirm of messages that it does not send."""
    changed_copy(
        tmp_path,
        "publisher_confirms.py",
        {"seconds=30": "seconds=3", "        self.channel.basic_publish(": "        dict("},
    )
    script = run("publisher_confirms.py", "1", cwd=tmp_path)
    assert_ends_with_a_sentence(script, "No answer in 3 seconds")
