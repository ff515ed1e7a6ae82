"""Beyond lesson 2, threads: a publisher for programs that have threads, or are often idle."""

import os
import socket
import sys
import threading
import time
from multiprocessing.pool import ThreadPool

import pika


def main():
    # AMQP_URL says where the broker is: one URL, or several with commas between them.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    brokers = [pika.URLParameters(url.strip()) for url in urls]
    for broker in brokers:
        broker.blocked_connection_timeout = 10  # seconds; then give up if it lacks memory or disk
    persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    publisher = Publisher(brokers)
    for task in sys.argv[1:] or ["Hello World!"]:
        publisher.publish("", "task_queue", task, persistent)
        print(f" [x] Sent {task!r}", flush=True)
    publisher.close()


class Publisher:
    """Publishes for all threads of a process, over one connection that it opens when needed."""

    def __init__(self, brokers):
        self.brokers, self.connection, self.channel = brokers, None, None
        self.pool = ThreadPool(1)  # one thread, in which all calls of pika happen in turn

    def publish(self, exchange, routing_key, body, properties=None, timeout=20):
        """Return when RabbitMQ has confirmed the message, which is never sent twice. Raise
        AMQPChannelError if it refuses, AMQPConnectionError or OSError if there is no connection,
        or no confirm in `timeout` seconds: then nobody knows whether RabbitMQ has the message."""
        deadline = time.monotonic() + timeout
        job = self.pool.apply_async(self._send, (deadline, exchange, routing_key, body, properties))
        job.wait(timeout)
        if not job.ready():
            raise pika.exceptions.AMQPConnectionError(f"No confirm in {timeout} seconds")
        job.get()  # raises what _send has raised

    def close(self):
        self.pool.apply_async(lambda: self.connection.close()).wait(20)

    def _send(self, deadline, *message):
        if time.monotonic() > deadline:
            raise pika.exceptions.AMQPConnectionError("No time was left")
        if not self.connection or not self.connection.is_open:
            self.connection = pika.BlockingConnection(self.brokers)
            threading.Thread(target=self._keep_alive, args=[self.connection], daemon=True).start()
        if not self.channel or not self.channel.is_open:
            self.channel = channel = self.connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("task_queue", durable=True, arguments={"x-queue-type": "quorum"})
        if time.monotonic() > deadline:  # nobody waits for it any more, so it must not be sent
            raise pika.exceptions.AMQPConnectionError("No time was left")
        self.channel.basic_publish(*message, mandatory=True)

    def _keep_alive(self, connection):
        while connection.is_open:
            time.sleep(1)
            self.pool.apply_async(connection.process_data_events)  # answers heartbeats


# The lesson ends here. What follows is the same in every producer.
if __name__ == "__main__":
    try:
        main()
    except (pika.exceptions.AMQPError, socket.gaierror) as error:
        sys.exit(f" [!] RabbitMQ does not answer, or refuses. {error}")
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
