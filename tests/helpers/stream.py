"""Senders and workers that keep a stream of tasks flowing while a test causes accidents."""

import ast
import threading
import time
from urllib.parse import urlsplit

from brokers.tools import listens, wait_until
from helpers.process import Script


class Stream:
    """Tasks, the new_task.py that send them one after the other, and the worker.py that do them.

    :param list tasks: the texts of the tasks, each different
    :param urls: the value of AMQP_URL for each worker; the senders take them in turn
    :param int senders: how many send at the same time

    `sent` is the set of the tasks that new_task.py has reported as sent, `failures` a list of what
    it said of the others, `workers` that of the workers. With `over`, no more is sent.
    """

    def __init__(self, tasks, urls, senders):
        self.waiting = list(reversed(tasks))
        self.urls = urls
        self.ports = {urlsplit(one).port for url in urls for one in url.split(",")}
        self.sent, self.failures = set(), []
        self.over = False
        self.done_at = []  # time.monotonic() of each task
        self.workers = [self.worker(url) for url in urls]
        self.killed = []
        self.senders = [
            threading.Thread(target=self._send, args=[urls[number % len(urls)]])
            for number in range(senders)
        ]
        for sender in self.senders:
            sender.start()

    def worker(self, url):
        """Start a worker and return it."""

        def note(_, line):
            if line == " [x] Done":
                self.done_at.append(time.monotonic())

        return Script("worker.py", url=url, on_line=note)

    def _send(self, url):
        """Send what is waiting; what new_task.py does not report as sent is sent again."""
        while self.waiting and not self.over:
            task = self.waiting.pop()
            with Script("new_task.py", *task.split(), url=url) as sender:
                status = sender.wait(120)
                assert (status == 0) == (sender.stderr == []), sender
                if sender.stdout:  # said before it closed its connection, which may fail, too
                    assert sender.stdout == [f" [x] Sent {task!r}"]
                    self.sent.add(task)
                else:
                    assert len(sender.stderr) == 1, sender
                    self.failures += sender.stderr
                    self.waiting.append(task)
                    wait_until(lambda: any(map(listens, self.ports)), "a broker to come back")

    def done(self):
        """Return the tasks that some worker has finished; a killed one may have begun others."""
        finished = set()
        for worker in [*self.workers, *self.killed]:
            lines = list(worker.stdout)
            for line, following in zip(lines, lines[1:]):
                if following == " [x] Done":
                    finished.add(ast.literal_eval(line[len(" [x] Received ") :]))
        return finished

    def kill_a_worker(self, place):
        """Kill the worker at a place in the list, and start another instead."""
        victim = self.workers.pop(place)
        victim.kill()
        self.killed.append(victim)
        self.workers.append(self.worker(self.urls[place]))

    def join(self, seconds=120):
        """Wait until the senders have ended."""
        for sender in self.senders:
            sender.join(seconds)
            assert not sender.is_alive(), "a sender does not end"

    def longest_pause(self):
        """Return the longest time between two tasks that were done, in seconds."""
        return max(after - before for before, after in zip(self.done_at, self.done_at[1:]))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.over = True
        for worker in self.workers:
            worker.__exit__()
