"""Accidents of every kind, at random, while tasks flow: none that was reported as sent is lost.

TEST_SEED, which the head of a test run shows, repeats the accidents.
"""

import os
import random

import pika
import pytest

from brokers.tools import wait_until
from helpers.stream import Stream

TASKS = 40
WORKERS = 4
SENDERS = 3
ACCIDENTS = 6
BROKER_KILLS = 1


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("second_own_broker")
def test_no_task_that_was_sent_is_lost(own_broker):
    chance = random.Random(int(os.environ["TEST_SEED"]))
    url = own_broker.add_vhost("soak")
    tasks = [f"task {number}{'.' * (chance.random() < 0.05)}" for number in range(TASKS)]

    def kill_a_worker():
        stream.kill_a_worker(chance.randrange(WORKERS))

    def close_the_connections():
        own_broker.close_connections("soak", "an operator's whim")

    def kill_the_broker():
        own_broker.kill()
        own_broker.start()

    plan = chance.choices([kill_a_worker, close_the_connections], k=ACCIDENTS)
    # Not before a third is done: what happens to a queue that was only just declared when its
    # broker is killed, test_lost_connection.py tells.
    for place in chance.sample(range(ACCIDENTS // 3, ACCIDENTS), BROKER_KILLS):
        plan[place] = kill_the_broker
    with Stream(tasks, [url] * WORKERS, SENDERS) as stream:
        for number, accident in enumerate(plan, 1):
            share = TASKS * number // (ACCIDENTS + 1)
            wait_until(lambda n=share: len(stream.done()) >= n, f"{share} tasks done")
            accident()
        stream.join()
        assert len(stream.sent) == TASKS
        wait_until(lambda: stream.sent <= stream.done(), "every task that was sent")
        for worker in stream.workers:
            worker.wait_until_ready()
            worker.press_ctrl_c()
            assert worker.wait() == 0, worker
            assert all(line.startswith(" [!] ") for line in worker.stderr), worker
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            assert connection.channel().basic_get("task_queue") == (None, None, None)
