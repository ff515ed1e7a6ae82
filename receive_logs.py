# /// script
# requires-python = ">=3.9"
# dependencies = ["pika>=1.3,<2"]
# ///
"""Lesson 3, Publish/subscribe: prints every log message sent while it runs.

$ python receive_logs.py
"""

import itertools
import os
import re
import sys
import time

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException


def consume(channel):
    channel.exchange_declare(exchange="logs", exchange_type="fanout")
    # A queue of our own: the broker chooses its name, and deletes it when we leave.
    queue = channel.queue_declare(queue="", exclusive=True).method.queue
    channel.queue_bind(exchange="logs", queue=queue)
    channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
    print(" [*] Waiting for logs. To exit press CTRL+C")
    channel.start_consuming()


def callback(channel, method, properties, body):
    print(f" [x] {printable(body)}")


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
