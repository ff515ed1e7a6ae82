# /// script
# requires-python = ">=3.9"
# dependencies = ["pika>=1.3,<2"]
# ///
"""Lesson 4, Routing: sends a log message to those who asked for its severity.

$ python emit_log_direct.py error Disk full
"""

import os
import re
import sys

import pika


def main():
    severity = sys.argv[1] if len(sys.argv) > 1 else "info"
    message = " ".join(sys.argv[2:]) or "Hello World!"
    connection = connect()
    channel = connection.channel()
    # A direct exchange delivers to the queues bound with exactly the message's routing key.
    channel.exchange_declare(exchange="direct_logs", exchange_type="direct")
    channel.basic_publish(
        exchange="direct_logs", routing_key=os.fsencode(severity), body=os.fsencode(message)
    )
    # Waits for the broker, which says here if we may not send to this exchange.
    channel.close()
    connection.close()
    print(f" [x] Sent {severity}:{message}")


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
