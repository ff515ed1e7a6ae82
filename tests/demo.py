"""`make demo`: plays the six lessons with real processes on a broker of their own.

Each line that a script prints is shown as soon as it is there, marked with the terminal that it
came from. The exit status is 0 only if everything arrived that should have.
"""

import collections
import itertools
import sys
import threading

from broker import BrokerError, kind, wait_until
from rich.console import Console
from rich.text import Text
from terminal import Terminal

COLOURS = ["cyan", "magenta", "green", "yellow", "blue", "red"]


class Stage:
    """The terminals of one lesson, side by side in ours.

    :param Console console: where to show them
    :param str url: the broker's AMQP URL
    """

    def __init__(self, console, url):
        self.console, self.url = console, url
        self.terminals = []
        colours = itertools.cycle(COLOURS)
        self.colour = collections.defaultdict(lambda: next(colours))  # of each terminal
        self.lock = threading.Lock()

    def open(self, name, *script, until=None):
        """Start a script in a terminal called `name`, and wait until it prints `until`."""

        def show(_, line):
            with self.lock:
                mark = Text(f"{name:>9} │ ", style=self.colour[name])
                self.console.print(mark.append(line, style="default"), soft_wrap=True)

        command = " ".join(f'"{word}"' if set(word) & set("#* ") else word for word in script)
        show("", f"$ python {command}")
        terminal = Terminal(*script, url=self.url, on_line=show)
        self.terminals.append(terminal)
        if until:
            terminal.wait_for(until)
        return terminal

    def play(self, name, *script):
        """Run a script that ends by itself; it must succeed."""
        terminal = self.open(name, *script)
        assert terminal.wait() == 0, f"This failed: {terminal}"

    def close(self):
        """Press CTRL+C wherever something still runs; the scripts must leave in good order."""
        for terminal in self.terminals:
            if terminal.process.poll() is None:
                terminal.press_ctrl_c()
                assert terminal.wait() == 0, f"This did not end well: {terminal}"


def hello_world(stage):
    """1 Hello World: a message waits in a queue until somebody receives it."""
    stage.play("send", "send.py")
    receiver = stage.open("receive", "receive.py", until="Received Hello World!")
    stage.play("send", "send.py")
    receiver.wait_for("Received Hello World!", count=2)


def work_queues(stage):
    """2 Work queues: two workers share five tasks; one that is busy gets no other meanwhile."""
    workers = [stage.open(f"worker {n}", "worker.py", until="Waiting") for n in (1, 2)]
    for number, word in enumerate(["First", "Second", "Third", "Fourth", "Fifth"], 1):
        stage.play("new task", "new_task.py", f"{word} message{'.' * number}")
    done = " [x] Done"
    wait_until(lambda: sum(w.stdout.count(done) for w in workers) == 5, "five tasks done", 30)
    assert all(done in worker.stdout for worker in workers), "one worker did nothing"


def publish_subscribe(stage):
    """3 Publish/subscribe: each of three receivers gets a copy of every log."""
    receivers = [stage.open(f"logs {n}", "receive_logs.py", until="Waiting") for n in (1, 2, 3)]
    stage.play("emit", "emit_log.py")
    stage.play("emit", "emit_log.py", "warning: the disk is almost full")
    for receiver in receivers:
        receiver.wait_for(" [x] info: Hello World!")
        receiver.wait_for(" [x] warning: the disk is almost full")


def routing(stage):
    """4 Routing: each receiver gets only the severities that it named; "debug" has no taker."""
    serious = stage.open("serious", "receive_logs_direct.py", "warning", "error", until="Waiting")
    errors = stage.open("errors", "receive_logs_direct.py", "error", until="Waiting")
    stage.play("emit", "emit_log_direct.py", "debug", "Nobody is interested")
    stage.play("emit", "emit_log_direct.py", "warning", "Disk almost full")
    stage.play("emit", "emit_log_direct.py", "error", "Disk full")
    for receiver, expected in ((serious, ["warning:Disk almost full"]), (errors, [])):
        receiver.wait_for("error:Disk full")
        got = [line[len(" [x] ") :] for line in receiver.stdout[1:]]
        assert got == [*expected, "error:Disk full"], f"more or less than expected: {receiver}"


def topics(stage):
    """5 Topics: * stands for one word, # for any number; what fits twice arrives once."""
    keys = {"all": ["#"], "kern": ["kern.*"], "critical": ["*.critical"]}
    keys["both"] = ["kern.*", "*.critical"]
    receivers = {
        name: stage.open(name, "receive_logs_topic.py", *keys[name], until="Waiting")
        for name in keys
    }
    for topic in ("kern.info", "cron.critical", "kern.critical"):
        stage.play("emit", "emit_log_topic.py", topic, "Boom")
    counts = {"all": 3, "kern": 2, "critical": 2, "both": 3}
    for name, receiver in receivers.items():
        receiver.wait_for("kern.critical:Boom")
        assert len(receiver.stdout) == 1 + counts[name], f"not what was expected: {receiver}"


def rpc(stage):
    """6 RPC: four clients ask two servers; each gets the answer to its own question."""
    servers = [stage.open(f"server {n}", "rpc_server.py", until="Awaiting") for n in (1, 2)]
    answers = {0: 0, 10: 55, 30: 832040, 90: 2880067194370816120}
    clients = {n: stage.open(f"client {n}", "rpc_client.py", str(n)) for n in answers}
    for n, client in clients.items():
        assert client.wait() == 0, f"This failed: {client}"
        client.wait_for(f" [.] Got {answers[n]}")
    assert all(len(server.stdout) > 1 for server in servers), "one server did nothing"


def main():
    """Play the lessons one after the other, on a broker that is gone afterwards."""
    console = Console(highlight=False)
    broker = kind()()
    console.print(f"Starting RabbitMQ, {broker.description}; this takes some seconds ...")
    try:
        with console.status("Waiting until it answers ..."):
            broker.start()
        for lesson in (hello_world, work_queues, publish_subscribe, routing, topics, rpc):
            console.print(f"\nLesson {lesson.__doc__}", style="bold", soft_wrap=True)
            stage = Stage(console, broker.url())
            try:
                lesson(stage)
                stage.close()
            finally:
                for terminal in stage.terminals:
                    terminal.__exit__()
        console.print("\nAll six lessons are played, and everything arrived.", style="bold green")
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
