# /// script
# requires-python = ">=3.9"
# dependencies = ["pika>=1.3,<2"]
# ///
"""Lesson 2, Work queues: sends a task that takes as many seconds as it has dots.

$ python new_task.py A hard task...
"""

import os
import re
import sys

import pika


def main():
    message = " ".join(sys.argv[1:]) or "Hello World!"
    connection = connect()
    channel = connection.channel()
    # A durable queue and a persistent message: both survive a restart of the broker.
    channel.queue_declare(queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"})
    # With confirms on, publishing waits until the broker holds the task; "mandatory" makes it
    # an error if no queue does.
    channel.confirm_delivery()
    channel.basic_publish(
        exchange="",
        routing_key="task_queue",
        body=os.fsencode(message),
        properties=pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent),
        mandatory=True,
    )
    connection.close()
    print(f" [x] Sent {message}")


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
