# /// script
# requires-python = ">=3.9"
# dependencies = ["pika>=1.3,<2"]
# ///
"""Lesson 6, RPC: answers rpc_client.py; start several to share the work: $ python rpc_server.py"""

import itertools
import os
import re
import sys
import time

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException

MAX_N = 1000  # the largest request: no client shall keep a server busy


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def consume(channel):
    channel.queue_declare(queue="rpc_queue", durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue="rpc_queue", on_message_callback=on_request)
    print(" [x] Awaiting RPC requests")
    channel.start_consuming()


def on_request(channel, method, properties, body):
    if body.isdigit() and len(body) < 10 and int(body) <= MAX_N:  # int() of a megabyte is slow
        print(f" [.] fib({int(body)})")
        kind, answer = "number", str(fib(int(body)))
    else:
        print(f" [!] Refused {body[:60]}", file=sys.stderr)
        kind, answer = "error", f"error: fib takes a whole number from 0 to {MAX_N}"
    if properties.reply_to:
        reply = pika.BasicProperties(correlation_id=properties.correlation_id, type=kind)
        channel.basic_publish("", properties.reply_to, body=answer, properties=reply)
    channel.basic_ack(delivery_tag=method.delivery_tag)


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
