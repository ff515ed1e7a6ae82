"""Accidents of every kind, at random, while tasks flow: none that was reported as sent is lost.

SOAK_SEED gives the seed of the randomness again that the head of a test run shows.
"""

import os
import random
import threading

import pika
import pytest
from broker import wait_until
from terminal import Terminal

TASKS = 300
WORKERS = 4
SENDERS = 3
ACCIDENTS = 12
BROKER_KILLS = 2


class Soak:
    """Senders and workers on one broker, and the accidents that befall them."""

    def __init__(self, broker, chance):
        self.broker, self.chance = broker, chance
        self.url = broker.add_vhost("soak")
        tasks = [f"task {number}{'.' * (chance.random() < 0.05)}" for number in range(TASKS)]
        self.waiting = list(reversed(tasks))
        self.sent = set()
        self.over = False
        self.workers = [Terminal("worker.py", url=self.url) for _ in range(WORKERS)]
        self.killed = []
        self.senders = [threading.Thread(target=self.send) for _ in range(SENDERS)]

    def send(self):
        """Send what is waiting; what new_task.py does not report as sent is sent again."""
        while self.waiting and not self.over:
            task = self.waiting.pop()
            with Terminal("new_task.py", *task.split(), url=self.url) as sender:
                if sender.wait(60) == 0:
                    assert sender.stdout == [f" [x] Sent {task}"]
                    self.sent.add(task)
                else:
                    assert sender.stdout == [], "it failed after it said Sent"
                    assert len(sender.stderr) == 1, sender
                    self.waiting.append(task)

    def done(self):
        """The tasks that some worker has finished; a killed one may have begun others."""
        finished = set()
        for worker in [*self.workers, *self.killed]:
            lines = list(worker.stdout)
            for line, following in zip(lines, lines[1:]):
                if following == " [x] Done":
                    finished.add(line[len(" [x] Received ") :])
        return finished

    def kill_a_worker(self):
        victim = self.workers.pop(self.chance.randrange(WORKERS))
        victim.kill()
        self.killed.append(victim)
        self.workers.append(Terminal("worker.py", url=self.url))

    def close_the_connections(self):
        self.broker.rabbitmqctl("close_all_connections", "--vhost", "soak", "an operator's whim")

    def kill_the_broker(self):
        self.broker.kill()
        self.broker.start()


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("second_own_broker")
def test_no_task_that_was_sent_is_lost(own_broker):
    chance = random.Random(int(os.environ["SOAK_SEED"]))
    soak = Soak(own_broker, chance)
    plan = chance.choices([soak.kill_a_worker, soak.close_the_connections], k=ACCIDENTS)
    # Not before a third is done: what happens to a queue that was only just declared when its
    # broker is killed, test_faults_of_the_broker.py tells.
    for place in chance.sample(range(ACCIDENTS // 3, ACCIDENTS), BROKER_KILLS):
        plan[place] = soak.kill_the_broker
    try:
        for sender in soak.senders:
            sender.start()
        for number, accident in enumerate(plan, 1):
            share = TASKS * number // (ACCIDENTS + 1)
            wait_until(lambda n=share: len(soak.done()) >= n, f"{share} tasks done")
            accident()
        for sender in soak.senders:
            sender.join(120)
        assert len(soak.sent) == TASKS
        wait_until(lambda: soak.sent <= soak.done(), "every task that was sent")
        for worker in soak.workers:
            worker.wait_for("Waiting")
            worker.press_ctrl_c()
            assert worker.wait() == 0, worker
            assert all(line.startswith(" [!] ") for line in worker.stderr), worker
        with pika.BlockingConnection(pika.URLParameters(soak.url)) as connection:
            assert connection.channel().basic_get("task_queue") == (None, None, None)
    finally:
        soak.over = True
        for worker in soak.workers:
            worker.__exit__()
