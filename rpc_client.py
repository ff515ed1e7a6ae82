# /// script
# requires-python = ">=3.9"
# dependencies = ["pika>=1.3,<2"]
# ///
"""Lesson 6, RPC: asks rpc_server.py for a Fibonacci number: $ python rpc_client.py 30"""

import contextlib
import os
import re
import sys
import time
import uuid

import pika


class FibonacciRpcClient(contextlib.ExitStack):  # has close(), and works in a `with`
    """Calls rpc_server.py; without a broker it raises pika.exceptions.AMQPError."""

    def __init__(self):
        super().__init__()
        self.channel = channel = self.enter_context(connect()).channel()
        channel.queue_declare(queue="rpc_queue", durable=True, arguments={"x-queue-type": "quorum"})
        self.reply_queue = channel.queue_declare(queue="", exclusive=True).method.queue

    def call(self, n, timeout=10):
        """Return fib(n). Raise TimeoutError after `timeout` seconds, ValueError if refused."""
        request = pika.BasicProperties(reply_to=self.reply_queue, correlation_id=uuid.uuid4().hex)
        request.expiration = str(int(timeout * 1000))  # milliseconds; later nobody waits for it
        self.channel.basic_publish("", "rpc_queue", body=str(n), properties=request)
        deadline = time.monotonic() + timeout
        replies = self.channel.consume(self.reply_queue, auto_ack=True, inactivity_timeout=1)
        for _, properties, body in replies:
            if properties and properties.correlation_id == request.correlation_id:
                if properties.type == "error" or not body.isdigit():
                    raise ValueError(f"The server answered {body.decode(errors='replace')!r}")
                return int(body)
            if time.monotonic() > deadline:
                break
        raise TimeoutError(f"No answer in {timeout} seconds: rpc_server.py may not be running")


def main():
    n = sys.argv[1] if len(sys.argv) > 1 else 30
    client = FibonacciRpcClient()
    print(f" [x] Requesting fib({n})")
    print(f" [.] Got {client.call(n)}")
    client.close()


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
