"""`make cost`: what a quorum queue costs on the learner's cluster, against a classic one."""

import statistics
import sys
import time

import pika

from brokers.__main__ import cluster_to_use
from brokers.tools import BrokerError

MESSAGES = 1000


def main():
    """Print how many messages a second each type of queue takes, each confirmed by itself."""
    url = cluster_to_use().running().url()
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        for queue in ("classic", "quorum"):
            channel = connection.channel()
            channel.queue_declare(queue, durable=True, arguments={"x-queue-type": queue})
            channel.confirm_delivery()
            times = []
            for _ in range(MESSAGES):
                began = time.perf_counter()
                channel.basic_publish("", queue, b"x" * 100, persistent)
                times.append(time.perf_counter() - began)
            channel.queue_delete(queue)
            print(
                f"{queue} queue: {MESSAGES / sum(times):.0f} messages/s, "
                f"{statistics.median(times) * 1000:.2f} ms each (median)"
            )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokerError as error:
        sys.exit(f"{error}")
    except pika.exceptions.AMQPError as error:
        sys.exit(f"The cluster takes no messages: {error!r}")
