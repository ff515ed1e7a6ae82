"""Beyond lesson 2, publisher confirms, in three ways. Start it: python publisher_confirms.py 50000
On pika's main branch, a pika.Connection will make Publisher simpler."""

import contextlib
import os
import sys
import time

import pika


def main():
    count = sys.argv[1] if len(sys.argv) > 1 else "50000"
    if not count.isdecimal():
        sys.exit(f"Usage: {sys.argv[0]} [NUMBER_OF_MESSAGES]")
    for way in (publish_individually, publish_in_batches, publish_asynchronously):
        run(way, [str(number) for number in range(int(count))])


def publish_individually(publisher, messages):  # the slowest: each message waits for the last one
    for message in messages:
        publisher.publish(message)
        publisher.wait_for_confirms()


def publish_in_batches(publisher, messages):  # waits once for a thousand
    for start in range(0, len(messages), 1000):
        for message in messages[start : start + 1000]:
            publisher.publish(message)
        publisher.wait_for_confirms()


def publish_asynchronously(publisher, messages):
    for message in messages:
        publisher.publish(message)
        publisher.wait_for_confirms(at_most=1000)  # only if more than that are not confirmed yet
    publisher.wait_for_confirms()


def run(way, messages):
    with contextlib.closing(connect()) as publisher:
        publisher.open_channel()
        began = time.monotonic()
        way(publisher, messages)
        for _ in range(2):  # what was refused, once more: a queue that was full may have room now
            time.sleep(1 if publisher.refused else 0)
            way(publisher, [publisher.refused.pop(n) for n in sorted(publisher.refused)])
    done = len(messages) - len(publisher.refused) - len(publisher.returned)
    print(f"{way.__name__}: {done:,} in {time.monotonic() - began:.2f} s", flush=True)
    if done < len(messages):
        sys.exit(f" [!] {len(publisher.refused):,} refused, {len(publisher.returned):,} returned")


class Publisher:
    def __init__(self, target):
        self.answers = []  # confirms and other answers of RabbitMQ, or why it closed the channel
        self.number = 0  # of the last message; RabbitMQ counts in the same way
        self.unconfirmed = {}  # messages by number
        self.refused = {}
        self.returned = []
        self.ioloop = pika.adapters.select_connection.IOLoop()
        self.ioloop.activate_poller()
        pika.SelectConnection.create_connection([target], self.answers.append, self.ioloop)
        self.connection = self.answer()

    def open_channel(self):
        self.connection.channel(on_open_callback=self.answers.append)
        self.channel = self.answer()
        self.channel.add_on_close_callback(lambda channel, reason: self.answers.insert(0, reason))
        self.channel.add_on_return_callback(lambda *returned: self.returned.append(returned[-1]))
        self.channel.queue_declare(queue="", exclusive=True, callback=self.answers.append)
        self.queue = self.answer().method.queue
        self.channel.confirm_delivery(self.answers.append)

    def publish(self, body):  # pika keeps the message until work_until() runs, and sends it then
        self.channel.basic_publish(exchange="", routing_key=self.queue, body=body, mandatory=True)
        self.number += 1
        self.unconfirmed[self.number] = body

    def wait_for_confirms(self, at_most=0):
        while len(self.unconfirmed) > at_most or self.channel.is_closed:
            confirm = self.answer().method
            last = confirm.delivery_tag  # multiple: this message, and all before it
            numbers = [n for n in self.unconfirmed if n <= last] if confirm.multiple else [last]
            settled = self.refused if isinstance(confirm, pika.spec.Basic.Nack) else {}
            settled.update({number: self.unconfirmed.pop(number) for number in numbers})

    def answer(self):
        self.work_until(lambda: self.answers)
        answer = self.answers.pop(0)
        if not isinstance(answer, Exception):
            return answer
        causes = getattr(answer, "exceptions", None)  # if there is no connection
        raise pika.exceptions.AMQPConnectionError(causes[-1]) if causes else answer

    def work_until(self, done, seconds=30):
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise pika.exceptions.AMQPConnectionError(f"No answer in {seconds} seconds")
            self.ioloop.poll()  # sends, receives, and calls what pika was told to call
            self.ioloop.process_timeouts()

    def close(self):
        if self.connection.is_open:
            self.connection.close()
            self.work_until(lambda: self.connection.is_closed)
        self.ioloop.close()


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
            return Publisher(target)
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
