# /// script
# requires-python = ">=3.9"
# dependencies = ["pika>=1.3,<2"]
# ///
"""Lesson 2, Work queues: does the tasks of new_task.py, a second of work for each dot.

$ python worker.py
"""

import itertools
import os
import re
import sys
import time

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException


def consume(channel):
    # The same declaration as in new_task.py: either may be started first.
    channel.queue_declare(queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"})
    # Fair dispatch: a worker that is busy gets no further task.
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue="task_queue", on_message_callback=work)
    print(" [*] Waiting for messages. To exit press CTRL+C")
    channel.start_consuming()


def work(channel, method, properties, body):
    print(f" [x] Received {printable(body)}")
    # Stands for the work. Unlike time.sleep, it answers the broker's heartbeats meanwhile;
    # work that computes belongs in a thread (see the README).
    channel.connection.sleep(body.count(b"."))
    print(" [x] Done")
    # Last of all: if we die before this, the broker gives the task to another worker.
    channel.basic_ack(delivery_tag=method.delivery_tag)


def printable(body):
    """The body as one line of text: what is not UTF-8, or not printable, is escaped."""
    text = body.decode(errors="backslashreplace")
    escaped = (c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if text.isprintable() else "".join(escaped)


def brokers():
    """The brokers that AMQP_URL names: one URL, or several with commas between them."""
    try:
        urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
        matches = [re.fullmatch(r"amqps?://[^/?#]*([/?][^@]*)?", url.strip()) for url in urls]
        return [pika.URLParameters(match[0]) for match in matches]
    except Exception:  # its text could quote the password
        sys.exit(" [!] AMQP_URL is no amqp://user:p%40ssword@host:port/vhost")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    # What an error says when no retry mends it; after all others, the next broker is tried.
    final = "ACCESS_REFUSED|NOT_ALLOWED|PRECONDITION_FAILED|CERTIFICATE|FRAME_ERROR|TooLong"
    pause, why = 0, None
    for broker in itertools.cycle(brokers()):
        try:
            if why:
                print(f" [!] {why}. Next try in {pause} s.", file=sys.stderr)
            time.sleep(pause)
            connection = pika.BlockingConnection(broker)
            pause, why = 0, None
            consume(connection.channel())
            connection.close()
        except (KeyboardInterrupt, BrokenPipeError):
            print(" [!] Interrupted", file=sys.stderr)
            os._exit(0)  # at once: sys.exit would flush a stdout that nobody reads
        except (pika.exceptions.AMQPError, OSError, AMQPConnectorException) as error:
            why = getattr(error, "reply_text", str(error)) or "no RabbitMQ (try: make broker)"
            why = f"{broker.host}:{broker.port}: {why}"
            if re.search(final, repr(error)):
                hint = "Delete it (management page)" if "inequivalent" in why else "Check AMQP_URL"
                sys.exit(f" [!] {why}. {hint}, then start again.")
            pause = min(2 * pause + 1, 5)
