"""`make bench`: how fast the scripts are, against the shortest programs that do the same.

Everything runs on a broker of its own. What is compared is measured in turns, because a machine is
not equally fast at all times: what counts is the ratio. A figure that misses its goal is no error.

    python -m bench --picture FILE      draws the course's plot of what choices cost as well
"""

import argparse
import contextlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import matplotlib
import pika
from rich.console import Console
from rich.table import Table

from brokers.docker_or_local import broker_class
from brokers.tools import ROOT, wait_until
from helpers.network import Network

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

PYTHON = sys.executable
SHORTEST = [PYTHON, "tests/bench/shortest_programs.py"]
ROUNDS = 15  # of each one-shot program
TURNS = 3  # of all others
MESSAGES, TASKS, CALLS = 20_000, 2_000, 1_000
CONFIRMED, PUBLISHED = 50_000, 3_000
DELAYS = (0, 1, 5)  # milliseconds by which confirms come later
BODY = b"x" * 100
THREADS = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from background_publisher import Publisher, declare
publishers, threads, each = map(int, sys.argv[1:])
made = [Publisher(declare) for _ in range(publishers)]
def publish(number, count=each):
    for _ in range(count):
        made[number % publishers].publish(exchange="", routing_key="task_queue", body="x" * 100)
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(publish, range(publishers), [1] * publishers))
    began = time.perf_counter()
    list(pool.map(publish, range(threads)))
print(threads * each / (time.perf_counter() - began))
"""
console = Console(highlight=False, width=100)


def in_turns(measurements, turns=TURNS):
    """Measure several things in turns: {name: what to call}; return {name: results}."""
    results = {name: [] for name in measurements}
    for _ in range(turns):
        for name, measure in measurements.items():
            results[name].append(measure())
    return results


def ratio(ours, others):
    """Return the median of the ratios of two lists that were measured in turns."""
    return median(a / b for a, b in zip(ours, others))


def table(title, *columns):
    made = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(column, justify="left" if column == columns[0] else "right")
    return made


class Bench:
    """The measurements.

    :param Broker broker: one that nobody else uses
    """

    def __init__(self, broker):
        self.broker = broker
        self.env = {**os.environ, "AMQP_URL": broker.url()}
        self.env.pop("PYTHONUNBUFFERED", None)  # as in a learner's terminal
        self.channel = pika.BlockingConnection(pika.URLParameters(broker.url())).channel()
        self.costs = {}  # what the plot shows: {group: {name: messages per second}}

    def declare(self, queue, kind="quorum"):
        """Make an empty queue."""
        self.channel.queue_delete(queue)
        arguments = {"x-queue-type": kind}
        self.channel.queue_declare(queue, durable=True, arguments=arguments)

    def fill(self, queue, count, kind="quorum"):
        """Make a queue that holds `count` messages."""
        self.declare(queue, kind)
        properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        for _ in range(count):
            self.channel.basic_publish("", queue, BODY, properties)

        def held():
            return self.channel.queue_declare(queue, passive=True).method.message_count

        wait_until(lambda: held() == count, f"{count} messages in {queue}")

    def output(self, command, cwd=ROOT, **env):
        """Run a program to its end, and return what it prints."""
        return subprocess.check_output(command, env={**self.env, **env}, cwd=cwd, text=True)

    def one_shot(self):
        result = table("From start to end (goal: 105 %)", "program", "time", "of the shortest")
        for name in ("send", "new_task", "emit_log"):

            def seconds(*command):
                began = time.perf_counter()
                self.output(command)
                return time.perf_counter() - began

            ours = [PYTHON, f"{name}.py"]
            runs = in_turns(
                {
                    "ours": lambda ours=ours: seconds(*ours),
                    "shortest": lambda name=name: seconds(*SHORTEST, name),
                },
                ROUNDS,
            )
            share = ratio(runs["ours"], runs["shortest"])
            result.add_row(f"{name}.py", f"{median(runs['ours']) * 1000:.0f} ms", f"{share:.0%}")
        console.print(result)

    def consume(self, command, queue, count, lines, kind="quorum"):
        """Fill a queue, and return how many messages a second a consumer takes.

        :param int lines: how many lines it prints after its first, which is only read
        """
        self.fill(queue, count, kind)
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, env=self.env, cwd=ROOT, stdout=output)
            try:

                def printed():
                    return os.pread(output.fileno(), 10**8, 0).count(b"\n") - 1

                wait_until(lambda: printed() > 0, "the first message", interval=0.001)
                began, before = time.perf_counter(), printed()
                wait_until(lambda: printed() >= lines, "the last message", interval=0.02)
                done = count * (lines - before) / (lines - 1)
                return done / (time.perf_counter() - began)
            finally:
                process.kill()
                process.wait()

    def throughput(self):
        result = table("A full queue", "program", "messages/s", "compared", "goal")
        hello, tasks = ("hello", MESSAGES), ("task_queue", TASKS)
        measured = in_turns(
            {
                "receive.py": lambda: self.consume([PYTHON, "receive.py"], *hello, MESSAGES),
                "printer": lambda: self.consume([*SHORTEST, "printer"], *hello, MESSAGES),
                "worker.py": lambda: self.consume([PYTHON, "worker.py"], *tasks, 2 * TASKS),
                "worker": lambda: self.consume([*SHORTEST, "worker", str(TASKS)], *tasks, 2),
                "retry_worker.py": lambda: self.consume(
                    [PYTHON, "beyond/retry_worker.py"], *tasks, 2 * TASKS
                ),
            }
        )
        for ours, other, goal in (
            ("receive.py", "printer", "95 % of one that prints"),
            ("worker.py", "worker", "90 % of the shortest"),
            ("retry_worker.py", "worker.py", ""),
        ):
            share = ratio(measured[ours], measured[other])
            result.add_row(ours, f"{median(measured[ours]):.0f}", f"{share:.0%}", goal)
        console.print(result)

    def rpc(self):
        result = table("call(), one client, one server", "calls/s", "of the shortest", "goal")

        def calls(server, client):
            self.declare("rpc_queue")
            process = subprocess.Popen(server, env=self.env, cwd=ROOT, stdout=subprocess.DEVNULL)
            try:
                seconds = float(self.output([*SHORTEST, client, str(CALLS)]).splitlines()[-1])
                return CALLS / seconds
            finally:
                process.kill()
                process.wait()

        measured = in_turns(
            {
                "ours": lambda: calls([PYTHON, "rpc_server.py"], "fibonacci_client"),
                "shortest": lambda: calls([*SHORTEST, "rpc_server"], "rpc_client"),
            }
        )
        share = ratio(measured["ours"], measured["shortest"])
        result.add_row(f"{median(measured['ours']):.0f}", f"{share:.0%}", "90 %")
        console.print(result)

    def choices(self):
        result = table("What the lessons' choices cost", "choice", "messages/s")

        def consume(prefetch, auto_ack, count=5000):
            command = [*SHORTEST, "receive", str(count), "bench", str(prefetch), auto_ack]
            return self.consume(command, "bench", count, 2)

        measured = in_turns(
            {
                **{
                    ("publish", f"{kind}, {how}"): lambda kind=kind, confirm=confirm: self.publish(
                        self.channel.connection, kind, confirm
                    )
                    for kind in ("quorum", "classic")
                    for how, confirm in (("confirm each", True), ("no confirms", False))
                },
                **{
                    ("consume", f"ack, prefetch_count {n}"): lambda n=n: consume(n, "no")
                    for n in (1, 10, 100)
                },
                ("consume", "auto_ack"): lambda: consume(0, "yes"),
            }
        )
        for (group, name), rates in measured.items():
            self.costs.setdefault(group, {})[name] = median(rates)
            result.add_row(f"{group}: {name}", f"{median(rates):.0f}")
        console.print(result)

    def publish(self, connection, kind, confirm, count=1000):
        """Return how many persistent messages a second go into a queue of a kind."""
        channel = connection.channel()
        channel.queue_delete("bench")
        channel.queue_declare("bench", durable=True, arguments={"x-queue-type": kind})
        if confirm:
            channel.confirm_delivery()
        properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        began = time.perf_counter()
        for _ in range(count):
            channel.basic_publish("", "bench", BODY, properties)
        channel.queue_declare("bench", passive=True)  # answered after all that came before
        seconds = time.perf_counter() - began
        channel.close()
        return count / seconds

    def confirms(self):
        result = table("publisher_confirms.py", "way", "messages/s", "compared", "goal")

        def ways():
            printed = self.output([PYTHON, "beyond/publisher_confirms.py", str(CONFIRMED)])
            return [CONFIRMED / float(seconds) for seconds in re.findall(r"in (\S+) s", printed)]

        many = [*SHORTEST, "publish_many", str(CONFIRMED)]
        measured = in_turns({"ways": ways, "none": lambda: float(self.output(many))})
        each, batches, window = zip(*measured["ways"])
        result.add_row("publish_individually", f"{median(each):.0f}", "", "")
        share = f"{ratio(batches, each):.1f} × individually"
        result.add_row("publish_in_batches", f"{median(batches):.0f}", share, "8 ×")
        share = f"{ratio(window, measured['none']):.0%} of no confirms"
        result.add_row("publish_asynchronously", f"{median(window):.0f}", share, "70 %")
        console.print(result)

    def background(self):
        result = table(
            "background_publisher.py, messages/s, when confirms come later by",
            "publishers, threads", *(f"{delay} ms" for delay in DELAYS)
        )  # fmt: skip

        def rate(delay, publishers, threads):
            count = PUBLISHED // (1 + delay) // threads
            numbers = map(str, (publishers, threads, count))
            command = [PYTHON, "-c", THREADS, *numbers]
            if not delay:
                return float(self.output(command, ROOT / "beyond"))
            with Network(self.broker.amqp_port, delay=delay / 1000) as network:
                url = self.broker.url().replace(f":{self.broker.amqp_port}", f":{network.port}")
                return float(self.output(command, ROOT / "beyond", AMQP_URL=url))

        self.declare("task_queue")
        for publishers, threads in ((1, 1), (1, 100), (4, 100)):
            rates = [median(rate(d, publishers, threads) for _ in range(TURNS)) for d in DELAYS]
            result.add_row(f"{publishers}, {threads}", *(f"{each:.0f}" for each in rates))
        console.print(result)


def plot(costs, caption, path):
    """Draw the costs as bars into an SVG file; grey text is readable on white and on black."""
    grey = "#808080"
    pyplot.rcParams.update({"svg.hashsalt": "bench", "text.color": grey, "axes.labelcolor": grey})
    pyplot.rcParams.update({"xtick.color": grey, "ytick.color": grey, "axes.edgecolor": grey})
    figure, axes = pyplot.subplots(len(costs), figsize=(8, 4), layout="constrained")
    for axis, (group, rates) in zip(axes, costs.items()):
        bars = axis.barh(list(rates), list(rates.values()), color="#d97706")
        axis.bar_label(bars, fmt="{:,.0f}", padding=3)
        axis.invert_yaxis()
        axis.set_title(f"{group}: messages per second", loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    figure.supxlabel(caption, fontsize=8)
    figure.savefig(path, transparent=True, metadata={"Date": None})


def machine(broker):
    """Say on what it was measured."""
    processor = platform.processor()
    with contextlib.suppress(OSError, IndexError):  # Linux
        processor = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[0]
    return (
        f"{os.cpu_count()} × {processor}, Python {platform.python_version()}, "
        f"pika {pika.__version__}, RabbitMQ {broker.version()} ({broker.description})"
    )


def main():
    """Measure, print it, and draw the plot if that is wanted."""
    parser = argparse.ArgumentParser(description="Measure how fast the scripts are.")
    parser.add_argument("--picture", metavar="FILE", help="draw the course's plot as SVG")
    arguments = parser.parse_args()
    began = time.perf_counter()
    broker = broker_class()()
    console.print(f"Starting RabbitMQ, {broker.description} ...")
    with broker:
        where, bench = machine(broker), Bench(broker)
        whole = (bench.one_shot, bench.throughput, bench.rpc, bench.choices)
        for measure in (*whole, bench.confirms, bench.background):
            measure()
            bench.channel.connection.process_data_events()
        console.print(f"{where}; {time.perf_counter() - began:.0f} s in all.")
        if arguments.picture:
            plot(bench.costs, where, arguments.picture)
            console.print(f"The plot is in {arguments.picture}.")


if __name__ == "__main__":
    main()
