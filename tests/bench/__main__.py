"""`make bench`: how fast the scripts are, against the shortest programs that do the same.

Everything runs on a private broker, which is gone afterwards. What is compared is measured in
turns, because a machine is not equally fast at all times. What counts is their ratio. It prints
tables; a time that is bad is no failure.

    python -m bench --picture FILE      draws the README's plot as well
"""

import argparse
import contextlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles

import matplotlib
import pika
import psutil
from rich.console import Console
from rich.table import Table

from brokers.docker_or_local import broker_class
from brokers.tools import ROOT, wait_until
from support.list_of_lessons import CONSUMERS
from support.script_process import Script

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

PYTHON = sys.executable
SHORTEST = [PYTHON, "tests/bench/shortest_programs.py"]
ROUNDS = 15  # of each one-shot program
TURNS = 3  # of each measurement of throughput
MESSAGES, TASKS, CALLS, LATENCIES = 20_000, 2_000, 400, 300
CONFIRMED, PUBLISHED = 50_000, 3_000
IDLE = 5  # seconds
BODY = b"x" * 100
STARTER = """
import os, sys, time
began = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
print(time.perf_counter() - began, usage.ru_maxrss, status)
"""
THREADS = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
import pika
from background_publisher import Publisher
threads, each = map(int, sys.argv[1:])
publisher = Publisher([pika.URLParameters(os.environ["AMQP_URL"])])
publisher.publish("", "task_queue", "first")
def publish(_):
    for _ in range(each):
        publisher.publish("", "task_queue", "x" * 100)
began = time.perf_counter()
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(publish, range(threads)))
print(threads * each / (time.perf_counter() - began))
"""
console = Console(highlight=False, width=100)


def percentile_99(values):
    """Return what 99 of 100 values are below."""
    return quantiles(values, n=100)[98]


def in_turns(measurements, turns):
    """Measure several things in turns: {name: what to call}; return {name: results}."""
    results = {name: [] for name in measurements}
    for _ in range(turns):
        for name, measure in measurements.items():
            results[name].append(measure())
    return results


def table(title, *columns):
    made = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(column, justify="left" if column == columns[0] else "right")
    return made


class Bench:
    """The measurements.

    :param str url: the AMQP URL of a broker that nobody else uses
    """

    def __init__(self, url):
        self.url = url
        self.env = {**os.environ, "AMQP_URL": url}
        self.env.pop("PYTHONUNBUFFERED", None)  # as in a learner's terminal
        self.channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
        self.costs = {}  # what the plot shows: {group: {name: messages per second}}

    def declare(self, queue, kind="quorum"):
        """Make an empty queue."""
        self.channel.queue_delete(queue)
        arguments = {"x-queue-type": kind}
        self.channel.queue_declare(queue, durable=True, arguments=arguments)

    def fill(self, queue, count, body=BODY):
        """Make a queue that holds `count` messages."""
        self.declare(queue)
        properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        for _ in range(count):
            self.channel.basic_publish("", queue, body, properties)

        def held():
            return self.channel.queue_declare(queue, passive=True).method.message_count

        wait_until(lambda: held() == count, f"{count} messages in {queue}")

    # One-shot programs

    def run(self, command):
        """Run a program to its end; return its time in seconds and its peak memory in MiB.

        A small process starts it: a child's peak includes that of the process that has forked it.
        """
        output = subprocess.check_output([PYTHON, "-c", STARTER, *command], env=self.env, cwd=ROOT)
        seconds, memory, status = map(float, output.split()[-3:])
        assert status == 0, command
        return seconds, memory / (1024**2 if sys.platform == "darwin" else 1024)

    def one_shot(self):
        result = table(
            "One-shot programs (goal: within 5 % of the shortest)",
            "program", "wall time", "of the shortest", "of import pika", "memory", "shortest's",
        )  # fmt: skip
        for name in ("send", "new_task", "emit_log"):
            runs = in_turns(
                {
                    "import": lambda: self.run([PYTHON, "-c", "import pika"]),
                    "ours": lambda name=name: self.run([PYTHON, f"{name}.py"]),
                    "shortest": lambda name=name: self.run([*SHORTEST, name]),
                },
                ROUNDS,
            )
            times = {of: [seconds for seconds, _ in runs[of]] for of in runs}
            memory = {of: median([mib for _, mib in runs[of]]) for of in runs}
            ratio = {
                of: median([a / b for a, b in zip(times["ours"], times[of])])
                for of in ("shortest", "import")
            }
            result.add_row(
                f"{name}.py",
                f"{median(times['ours']) * 1000:.0f} ms",
                f"{ratio['shortest']:.0%}",
                f"{ratio['import']:.0%}",
                f"{memory['ours']:.1f} MiB",
                f"{memory['shortest']:.1f} MiB",
            )
        console.print(result)

    # Throughput

    @contextlib.contextmanager
    def programs(self, commands):
        """Run consumers with their output in files, and yield them and the files."""
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            running = []
            for number, command in enumerate(commands):
                path = Path(folder) / str(number)
                output = stack.enter_context(path.open("wb"))
                process = subprocess.Popen(command, env=self.env, cwd=ROOT, stdout=output)
                stack.callback(process.wait)
                stack.callback(process.kill)
                running.append((process, path))
            yield running

    def consume(self, commands, lines, then=lambda processes: None):
        """Return how long consumers take from their first message to the last, in seconds.

        :param int lines: how many lines they print for all messages together
        :param then: is called with the processes when they are done
        """
        with self.programs(commands) as running:

            def printed():
                return sum(path.read_bytes().count(b"\n") - 1 for _, path in running)

            def size():
                return sum(path.stat().st_size for _, path in running)

            wait_until(lambda: printed() > 0, "the first message", interval=0.001)
            began, before = time.perf_counter(), printed()
            per_line, last = 0, size()
            while (now := printed()) < lines:
                assert now >= before
                time.sleep(0.005 + per_line)
                per_line = 0.02 if size() - last > 100_000 else 0
                last = size()
            seconds = time.perf_counter() - began
            then([process for process, _ in running])
        return seconds

    def throughput(self):
        result = table(
            "Consumers with a full queue (goal: 90 % of the shortest; two workers 1.3 × one)",
            "program", "messages/s", "of the shortest",
        )  # fmt: skip

        def rate(queue, count, commands, lines):
            self.fill(queue, count)
            return count / self.consume(commands, lines)

        measured = in_turns(
            {
                "receive.py": lambda: rate("hello", MESSAGES, [[PYTHON, "receive.py"]], MESSAGES),
                "receive": lambda: rate(
                    "hello", MESSAGES, [[*SHORTEST, "receive", str(MESSAGES)]], 2
                ),
                "printer": lambda: rate("hello", MESSAGES, [[*SHORTEST, "printer"]], MESSAGES),
                "worker.py": lambda: rate("task_queue", TASKS, [[PYTHON, "worker.py"]], 2 * TASKS),
                "worker": lambda: rate("task_queue", TASKS, [[*SHORTEST, "worker", str(TASKS)]], 2),
                "two worker.py": lambda: rate(
                    "task_queue", TASKS, [[PYTHON, "worker.py"]] * 2, 2 * TASKS
                ),
            },
            TURNS,
        )
        for ours, shortest in (("receive.py", "receive"), ("worker.py", "worker")):
            ratio = median([a / b for a, b in zip(measured[ours], measured[shortest])])
            result.add_row(ours, f"{median(measured[ours]):.0f}", f"{ratio:.0%}")
        ratio = median([a / b for a, b in zip(measured["receive.py"], measured["printer"])])
        result.add_row("receive.py, if the shortest prints", "", f"{ratio:.0%}")
        ratio = median([a / b for a, b in zip(measured["two worker.py"], measured["worker.py"])])
        result.add_row(
            "two worker.py", f"{median(measured['two worker.py']):.0f}", f"{ratio:.2f} × one"
        )
        console.print(result)

    # Latency

    def latencies(self, script, count, exchange, key, properties=None):
        """Return the times from publishing a message to its line at each of `count` receivers."""
        seen, times = {}, []  # by text: when it was printed

        def note(_, line):
            text = re.split("[ :]", line)[-1].strip("'")
            seen.setdefault(text, []).append(time.perf_counter())

        with contextlib.ExitStack() as stack:
            for _ in range(count):
                receiver = stack.enter_context(Script(*script, url=self.url, on_line=note))
                receiver.wait_until_ready()
            for number in range(LATENCIES):
                text = f"message-{number}"
                began = time.perf_counter()
                self.channel.basic_publish(exchange, key, text, properties)
                wait_until(lambda t=text: len(seen.get(t, [])) == count, text, interval=0.001)
                times += [at - began for at in seen[text]]
        return times

    def latency(self):
        result = table("From publish to printed", "receivers", "median", "99th percentile")
        self.declare("hello")
        for script, count, exchange, key in (
            (["receive.py"], 1, "", "hello"),
            (["receive_logs.py"], 10, "logs", ""),
            (["receive_logs_topic.py", "#"], 1, "topic_logs", "bench.info"),
        ):
            measured = self.latencies(script, count, exchange, key)
            result.add_row(
                f"{count} {script[0]}",
                f"{median(measured) * 1000:.1f} ms",
                f"{percentile_99(measured) * 1000:.1f} ms",
            )
        console.print(result)

    # RPC

    def rpc(self):
        result = table(
            "RPC: fib(10) (goal: 90 % of the shortest)",
            "clients, servers", "calls/s", "of the shortest", "median", "99th percentile",
        )  # fmt: skip

        def calls(server, client, clients, servers):
            self.declare("rpc_queue")
            with contextlib.ExitStack() as stack:
                for _ in range(servers):
                    process = subprocess.Popen(
                        server, env=self.env, cwd=ROOT, stdout=subprocess.PIPE, text=True
                    )
                    stack.callback(process.wait)
                    stack.callback(process.kill)
                    process.stdout.readline()
                    # Nobody reads on; a few kilobytes fit into the pipe, so let it be emptied.
                    stack.enter_context(drained(process.stdout))
                running = [
                    subprocess.Popen(
                        [*SHORTEST, client, str(CALLS)],
                        env=self.env,
                        cwd=ROOT,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                    for _ in range(clients)
                ]
                outputs = [process.communicate()[0].splitlines()[1:] for process in running]
            times = [list(map(float, lines)) for lines in outputs]
            return sum(len(each) / sum(each) for each in times), sum(times, [])

        ours = ([PYTHON, "rpc_server.py"], "fibonacci_client")
        shortest = ([*SHORTEST, "rpc_server"], "rpc_client")
        for clients, servers in ((1, 1), (4, 1), (4, 2)):
            measured = in_turns(
                {
                    "ours": lambda c=clients, s=servers: calls(*ours, c, s),
                    "shortest": lambda c=clients, s=servers: calls(*shortest, c, s),
                },
                TURNS,
            )
            rates = {name: [rate for rate, _ in measured[name]] for name in measured}
            ratio = median([a / b for a, b in zip(rates["ours"], rates["shortest"])])
            times = sum((times for _, times in measured["ours"]), [])
            result.add_row(
                f"{clients}, {servers}",
                f"{median(rates['ours']):.0f}",
                f"{ratio:.0%}",
                f"{median(times) * 1000:.2f} ms",
                f"{percentile_99(times) * 1000:.2f} ms",
            )
        console.print(result)

    # Idle, growth

    def idle(self):
        result = table(f"Idle for {IDLE} s (goal: nothing)", "consumer", "CPU", "memory")
        self.declare("hello")
        self.declare("task_queue")
        with contextlib.ExitStack() as stack:
            consumers = []
            for words in CONSUMERS:
                consumer = stack.enter_context(Script(*words, url=self.url))
                consumer.wait_until_ready()
                consumers.append((words[0], psutil.Process(consumer.process.pid)))
            before = [sum(process.cpu_times()[:2]) for _, process in consumers]
            time.sleep(IDLE)
            for (name, process), used in zip(consumers, before):
                share = (sum(process.cpu_times()[:2]) - used) / IDLE
                memory = process.memory_info().rss / 1024**2
                result.add_row(name, f"{share:.1%}", f"{memory:.1f} MiB")
        console.print(result)

    def growth(self):
        result = table("Growth: receive.py", "backlog", "body", "per message", "memory afterwards")
        for count, size in (
            (1_000, 100), (10_000, 100), (100_000, 100),
            (2_000, 10_000), (50, 1_000_000),
        ):  # fmt: skip
            self.fill("hello", count, b"x" * size)
            memory = []
            seconds = self.consume(
                [[PYTHON, "receive.py"]],
                count,
                lambda processes, memory=memory: memory.append(
                    psutil.Process(processes[0].pid).memory_info().rss
                ),
            )
            result.add_row(
                f"{count}",
                f"{size} bytes",
                f"{seconds / count * 1e6:.0f} µs",
                f"{memory[0] / 1024**2:.1f} MiB",
            )
        console.print(result)

    # What the teaching choices cost

    def choices(self):
        result = table("What the lessons' choices cost", "choice", "messages/s")

        def publish(kind, confirm, count=1000):
            self.declare("bench", kind)
            channel = self.channel.connection.channel()
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

        def consume(prefetch, auto_ack, count=5000):
            self.fill("bench", count)
            command = [*SHORTEST, "receive", str(count), "bench", str(prefetch), auto_ack]
            return count / self.consume([command], 2)

        measured = in_turns(
            {
                ("publish", "quorum, confirm each"): lambda: publish("quorum", True),
                ("publish", "quorum, no confirms"): lambda: publish("quorum", False),
                ("publish", "classic, confirm each"): lambda: publish("classic", True),
                ("publish", "classic, no confirms"): lambda: publish("classic", False),
                ("consume", "ack, prefetch_count 1"): lambda: consume(1, "no"),
                ("consume", "ack, prefetch_count 10"): lambda: consume(10, "no"),
                ("consume", "ack, prefetch_count 100"): lambda: consume(100, "no"),
                ("consume", "auto_ack"): lambda: consume(0, "yes"),
            },
            TURNS,
        )
        for (group, name), rates in measured.items():
            self.costs.setdefault(group, {})[name] = median(rates)
            result.add_row(f"{group}: {name}", f"{median(rates):.0f}")
        console.print(result)

    # The scripts beyond the lessons

    def beyond(self):
        result = table("Beyond the six", "what", "messages/s", "compared")

        def confirms():
            """Return the messages per second of each of the three ways."""
            command = [PYTHON, "beyond/publisher_confirms.py", str(CONFIRMED)]
            lines = subprocess.check_output(command, env=self.env, cwd=ROOT, text=True).splitlines()
            times = [float(line.split()[-2].replace(",", "")) / 1000 for line in lines]
            return [CONFIRMED / seconds for seconds in times]

        def printed(command, cwd=ROOT):
            """Return what a program prints: messages per second."""
            return float(subprocess.check_output(command, env=self.env, cwd=cwd))

        def threads(count):
            code = [PYTHON, "-c", THREADS, str(count), str(PUBLISHED // count)]
            return printed(code, ROOT / "beyond")

        def tasks(script):
            self.fill("task_queue", TASKS)
            return TASKS / self.consume([[PYTHON, script]], 2 * TASKS)

        self.declare("task_queue")
        measured = in_turns(
            {
                "confirms": confirms,
                "unconfirmed": lambda: printed([*SHORTEST, "publish_many", str(CONFIRMED)]),
                "one thread": lambda: threads(1),
                "a hundred threads": lambda: threads(100),
                "confirm each": lambda: printed([*SHORTEST, "publish_tasks", str(PUBLISHED)]),
                "retry_worker.py": lambda: tasks("beyond/retry_worker.py"),
                "worker.py": lambda: tasks("worker.py"),
            },
            TURNS,
        )

        def row(what, rates, others, form, of):
            ratio = median([a / b for a, b in zip(rates, others)])
            result.add_row(what, f"{median(rates):.0f}", f"{ratio:{form}} {of}")

        each, batch, asynchronous = zip(*measured["confirms"])
        script, none = "publisher_confirms.py", measured["unconfirmed"]
        row(f"{script}, individually", each, none, ".0%", "of no confirms")
        row(f"{script}, in batch (goal: 8 ×)", batch, each, ".1f", "× individually")
        row(f"{script}, asynchronously (70 %)", asynchronous, none, ".0%", "of no confirms")
        for name in ("one thread", "a hundred threads"):
            others = measured["confirm each"]
            row(f"background_publisher.py, {name}", measured[name], others, ".0%", "of no thread")
        ours, others = measured["retry_worker.py"], measured["worker.py"]
        row("retry_worker.py, a full queue", ours, others, ".0%", "of worker.py")
        headers = pika.BasicProperties(headers={"severity": "info"})
        script = ("receive_headers.py", "all", "severity=info")
        measured = self.latencies(script, 1, "headers_logs", "", headers)
        result.add_row("receive_headers.py, from publish to printed", "", milliseconds(measured))
        console.print(result)


def milliseconds(times):
    return f"{median(times) * 1000:.1f} ms (99 %: {percentile_99(times) * 1000:.1f} ms)"


@contextlib.contextmanager
def drained(pipe):
    """Read a pipe in the background, so that who writes never waits."""
    reader = threading.Thread(target=pipe.read, daemon=True)
    reader.start()
    yield


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


def processor():
    """Return the processor's name."""
    with contextlib.suppress(OSError):  # Linux
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        return names[0] if names else platform.machine()
    return platform.processor()


def machine(broker):
    """Say on what it was measured."""
    return (
        f"{psutil.cpu_count()} × {processor()}, Python {platform.python_version()}, "
        f"pika {pika.__version__}, RabbitMQ {broker.version()} ({broker.description})"
    )


def main():
    """Measure everything, print it, and draw the plot if that is wanted."""
    parser = argparse.ArgumentParser(description="Measure how fast the scripts are.")
    parser.add_argument("--picture", metavar="FILE", help="draw the README's plot as SVG")
    picture = parser.parse_args().picture
    began = time.perf_counter()
    broker = broker_class()()
    console.print(f"Starting RabbitMQ, {broker.description} ...")
    with broker:
        where = machine(broker)
        bench = Bench(broker.url())
        for measure in (
            bench.one_shot, bench.throughput, bench.latency, bench.rpc, bench.idle,
            bench.growth, bench.choices, bench.beyond,
        ):  # fmt: skip
            measure()
            bench.channel.connection.process_data_events()
        console.print(f"{where}; {time.perf_counter() - began:.0f} s in all.")
        if picture:
            plot(bench.costs, where, picture)
            console.print(f"The plot is in {picture}.")


if __name__ == "__main__":
    main()
