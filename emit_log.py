# /// script
# requires-python = ">=3.9"
# dependencies = ["pika>=1.3,<2"]
# ///
"""Lesson 3, Publish/subscribe: sends a log message to every receive_logs.py that runs.

$ python emit_log.py warning: disk almost full
"""

import os
import re
import sys

import pika


def main():
    message = " ".join(sys.argv[1:]) or "info: Hello World!"
    connection = connect()
    channel = connection.channel()
    # A fanout exchange copies each message to every queue that is bound to it. If there is
    # none, nobody is listening, and the message is dropped.
    channel.exchange_declare(exchange="logs", exchange_type="fanout")
    channel.basic_publish(exchange="logs", routing_key="", body=os.fsencode(message))
    # Waits for the broker, which says here if we may not send to this exchange.
    channel.close()
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
