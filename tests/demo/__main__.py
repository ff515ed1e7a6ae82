"""`make demo`: plays the README's main session of each lesson, on a broker of its own.

Each is the first session of its section. What a terminal shows is compared with the page, and
shown here, marked with the terminal's number. The exit status is 0 only if all was as on the page.

    python -m demo --beyond            plays the pages about the scripts beyond the lessons
    python -m demo --picture FILE      plays two lessons, and saves the README's picture
"""

import argparse
import re
import sys

from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.text import Text

from brokers.docker_or_local import broker_class
from brokers.tools import ROOT, BrokerError, end_in_good_order_when_the_terminal_closes
from course.markdown_page import blocks
from course.real_terminal import environment
from course.session_player import Player

COLOURS = ["cyan", "magenta", "green", "yellow"]
PICTURED = 2  # lessons
BEYOND = {  # the pages, with the heading under which the main session of a script stands
    "publisher-confirms.md": "Publish many messages, with confirms",
    "web-applications.md": "Publish from threads",
    "failed-tasks.md": "Try a failed task again, later: any RabbitMQ",
    "headers-exchange.md": "The headers exchange",
    "long-tasks.md": "Several tasks at once, and long ones",
    "containers.md": "A worker that finishes its task",
}


def lessons():
    """Return the main session of each lesson, by the lesson's heading in the README."""
    found = {}
    for block in blocks():
        if block.language == "console" and block.heading[0].isdigit():
            found.setdefault(block.heading, block)
    return found


def beyond():
    """Return the main session of each script beyond the lessons, by the heading it belongs to.

    :raises AssertionError: if a page has no such heading, or no session under it
    """
    found = {}
    for page, heading in BEYOND.items():
        sessions = [
            block
            for block in blocks(ROOT / "docs" / page)
            if block.language == "console" and block.heading == heading
        ]
        assert sessions, f"docs/{page} has no session under the heading {heading!r}"
        found[heading] = sessions[0]
    return found


def play(console, broker, url, sessions):
    """Play sessions, and show what happens in the terminals.

    :param Console console: where to show it
    :param Broker broker: to show its ports as the README does
    :param str url: the AMQP URL that the scripts are to use
    :param sessions: some items of `lessons()` or `beyond()`
    :raises AssertionError: if a terminal does not show what the README shows
    """

    def show(terminal, line):
        mark = Text(f"terminal {terminal} │ ", style=COLOURS[int(terminal) - 1])
        console.print(mark.append(line, style="default"), soft_wrap=True)

    for heading, block in sessions:
        lesson = "Lesson " if heading[0].isdigit() else ""
        console.print(f"\n{lesson}{heading}", style="bold")
        player = Player(environment(url), ROOT, broker, show)
        try:
            player.play(block)
            player.leave()
        finally:
            player.close()


def main():
    """Play the lessons one after the other, on a broker that is gone afterwards."""
    parser = argparse.ArgumentParser(description="Play the main session of each lesson.")
    parser.add_argument("--picture", metavar="FILE", help="play two lessons, and save them as SVG")
    parser.add_argument("--beyond", action="store_true", help="play what goes beyond the lessons")
    arguments = parser.parse_args()
    picture = arguments.picture
    end_in_good_order_when_the_terminal_closes()
    sys.stdout.reconfigure(errors="replace")  # not every terminal has every character
    console = Console(highlight=False, record=bool(picture), width=90 if picture else None)
    sessions = beyond() if arguments.beyond else lessons()
    sessions = list(sessions.items())[: PICTURED if picture else None]
    broker = broker_class()()
    console.print(f"Starting RabbitMQ, {broker.description}; this takes some seconds ...")
    try:
        with console.status("Waiting until it answers ..."):
            broker.start()
        play(console, broker, broker.url(), sessions)
        if picture:
            form = re.sub(r"@font-face {{.*?}}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
            console.save_svg(picture, title="make demo", code_format=form, unique_id="demo")
        else:
            what = "scripts" if arguments.beyond else "lessons"
            console.print(
                f"\nAll {len(sessions)} {what} are played: every line was as on the page."
            )
            console.print("To follow them by hand: make broker")
    finally:
        with console.status("Stopping RabbitMQ ..."):
            broker.destroy()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (AssertionError, BrokerError, TimeoutError) as error:
        sys.exit(f"\nThe demo has failed. {error}")
