"""Beyond lesson 2, threads: a publisher for programs that have threads, or are often idle.
Start it: python background_publisher.py First. Second."""

import contextlib
import logging
import os
import queue
import sys
import threading
from concurrent import futures

import pika


def main():
    publisher = Publisher(declare)
    for task in sys.argv[1:] or ["Hello World!"]:
        try:
            publisher.publish(exchange="", routing_key="task_queue", body=task)
        except (NotSent, PerhapsSent) as error:
            sys.exit(f" [!] {type(error).__name__}: {error}")
        print(f" [x] Sent {task!r}", flush=True)
    publisher.close()


def declare(channel):
    channel.queue_declare(queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"})


class NotSent(Exception):
    """RabbitMQ does not have the message, and will not get it; the text says why."""


class PerhapsSent(Exception):
    """Nobody knows whether RabbitMQ has the message: published again, it may be there twice."""


class Publisher:
    """Publishes for all threads of a process, one message at a time, in a thread of its own."""

    def __init__(self, declare):
        self.declare = declare  # is called with each new channel, to declare queues or exchanges
        self.connection = self.channel = None
        self.jobs = queue.SimpleQueue()  # what the thread has to call
        self.thread = threading.Thread(target=self._work, daemon=True)
        logging.getLogger("pika").propagate = False  # or a log handler that publishes would hang
        self.thread.start()

    def publish(self, *, timeout=20, **message):
        """Return when RabbitMQ has confirmed the message, or raise NotSent or PerhapsSent."""
        if not self.thread.is_alive():
            raise NotSent("The publisher's thread is gone. After a fork, make a new Publisher.")
        if self.thread is threading.current_thread():
            raise NotSent("The publisher's own thread cannot wait for itself.")
        outcome = futures.Future()
        self.jobs.put(lambda: self._send(message, outcome))
        futures.wait([outcome], timeout)
        if outcome.cancel():  # _send() has not published it yet, and will not do so
            raise NotSent(f"There was no time for it in {timeout} seconds.")
        if not outcome.done():
            raise PerhapsSent(f"No confirm in {timeout} seconds.")
        outcome.result()  # or raises what _send() has set

    def close(self, timeout=20):
        """Close the connection when all is sent, and tell whether that was in time."""
        closed = threading.Event()
        self.jobs.put(lambda: self.connection and self.connection.close())
        self.jobs.put(closed.set)
        alive = self.thread.is_alive() and self.thread is not threading.current_thread()
        return closed.wait(timeout if alive else 0)

    def _work(self):
        while True:
            with contextlib.suppress(Exception):  # _send() has told its caller, or will find out
                try:
                    self.jobs.get(timeout=1)()
                except queue.Empty:
                    self.connection.process_data_events()  # answers heartbeats

    def _send(self, message, outcome):
        try:
            channel = None if outcome.cancelled() else self._open_channel()
            if outcome.set_running_or_notify_cancel():  # unless its caller has given up
                channel.basic_publish(mandatory=True, **message)
                outcome.set_result(None)
        except Exception as error:
            nobody_knows = (pika.exceptions.AMQPConnectionError, pika.exceptions.NackError)
            kind = PerhapsSent if outcome.running() and isinstance(error, nobody_knows) else NotSent
            failure = kind(f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            outcome.set_exception(failure)
            if isinstance(error, pika.exceptions.UnroutableError):
                self.channel.close()  # so that the next one declares again

    def _open_channel(self):
        if not self.connection or not self.connection.is_open:
            self.connection = connect()
        if not self.channel or not self.channel.is_open:
            channel = self.connection.channel()
            try:
                channel.confirm_delivery()
                self.declare(channel)
            except Exception:
                if channel.is_open:
                    channel.close()
                raise
            self.channel = channel
        return self.channel


# The lesson ends here. What follows is the same in every script that sends.


def connect():
    # The environment variable AMQP_URL says where RabbitMQ is. Commas separate several URLs.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    try:
        if not all(url.strip().startswith(("amqp://", "amqps://")) for url in urls):
            raise ValueError  # pika would connect to localhost instead
        targets = [pika.URLParameters(url.strip()) for url in urls]
    except Exception:  # not shown, because it may contain the password
        raise ValueError("AMQP_URL should be like amqp://user:password@host:5672/vhost") from None
    causes = []
    for target in targets:  # one by one, because pika stops at a host name that does not exist
        # RabbitMQ takes no messages while it is short of memory or disk: give up after 10 s.
        if target.blocked_connection_timeout is None:
            target.blocked_connection_timeout = 10
        try:
            return pika.BlockingConnection(target)
        except Exception as error:  # an unknown host, TLS and time-outs are not AMQPErrors
            cause = str(error) or error.args[0].exception  # where pika keeps "Connection refused"
            causes.append(f"{target.host}: {cause}")
    raise pika.exceptions.AMQPConnectionError("; ".join(causes))


if __name__ == "__main__":
    try:
        main()
    except (pika.exceptions.AMQPConnectionError, pika.exceptions.AMQPChannelError) as error:
        sys.exit(f" [!] RabbitMQ does not answer, or refuses: {error}")
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
