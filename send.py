# /// script
# requires-python = ">=3.9"
# dependencies = ["pika>=1.3,<2"]
# ///
"""Lesson 1, Hello World: sends one message, which receive.py prints.

$ python send.py
"""

import os
import re
import sys

import pika


def main():
    connection = connect()
    channel = connection.channel()
    # Whoever comes first creates the queue; declaring it again changes nothing.
    channel.queue_declare(queue="hello", durable=True, arguments={"x-queue-type": "quorum"})
    # With confirms on, publishing waits until the broker has the message: "Sent" is true.
    channel.confirm_delivery()
    # The default exchange, "", delivers to the queue that the routing key names.
    channel.basic_publish(exchange="", routing_key="hello", body="Hello World!")
    connection.close()
    print(" [x] Sent 'Hello World!'")


def connect():
    """Connect to the first broker that answers, of the URLs in AMQP_URL (commas between them)."""
    tried = []
    for url in (os.environ.get("AMQP_URL") or "amqp://localhost").split(","):
        match = re.fullmatch(r"amqps?://[^/?#]*([/?][^@]*)?", url.strip())
        try:
            broker = pika.URLParameters(match[0])
        except Exception:  # its text could quote the password
            raise ValueError("AMQP_URL is no amqp://user:p%40ssword@host:port/vhost") from None
        broker.blocked_connection_timeout = 10  # seconds without memory or disk space
        try:
            return pika.BlockingConnection(broker)
        except Exception as error:
            tried.append(f"{broker.host}:{broker.port}: {str(error) or 'no RabbitMQ'}")
    raise pika.exceptions.AMQPConnectionError("; ".join(tried) + ". Check AMQP_URL, or make broker")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
    except (pika.exceptions.ConnectionBlockedTimeout, pika.exceptions.NackError):
        sys.exit(" [!] RabbitMQ is short of memory, disk or nodes, or a queue is full. Try again.")
    except (pika.exceptions.AMQPError, OSError, ValueError) as error:
        reason = getattr(error, "reply_text", str(error))
        hint = "Delete it (management page), then try" if "inequivalent" in reason else "Try"
        print(f" [!] {reason}. {hint} again.", file=sys.stderr)
        os._exit(1)  # at once: sys.exit would flush a stdout that nobody reads
