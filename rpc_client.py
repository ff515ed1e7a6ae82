"""Lesson 6, RPC (remote procedure call): asks rpc_server.py for a Fibonacci number.
Start it: python rpc_client.py 30
"""

import contextlib
import os
import sys
import time
import uuid

import pika


def main():
    n = sys.argv[1] if len(sys.argv) > 1 else "30"
    client = FibonacciRpcClient()
    print(f" [x] Requesting fib({n})", flush=True)
    try:
        print(f" [.] Got {client.call(n)}", flush=True)
    except (TimeoutError, ValueError, pika.exceptions.AMQPChannelError) as error:
        print(f" [!] The request failed: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        client.close()


class FibonacciRpcClient:
    def __init__(self):
        self.connection = connect()
        self.channel = self.connection.channel()
        try:
            quorum = {"x-queue-type": "quorum"}
            self.channel.queue_declare(queue="rpc_queue", durable=True, arguments=quorum)
            self.reply_queue = self.channel.queue_declare(queue="", exclusive=True).method.queue
            self.channel.basic_consume(
                queue=self.reply_queue, on_message_callback=self.on_response, auto_ack=True
            )
        except pika.exceptions.AMQPChannelError:
            self.close()
            raise

    def call(self, n, timeout=10):
        """Return fib(n). Raise TimeoutError after `timeout` seconds, ValueError or AMQPError."""
        self.response = None
        self.correlation_id = str(uuid.uuid4())
        request = pika.BasicProperties(
            reply_to=self.reply_queue,  # the client's own queue, in which it waits for the answer
            correlation_id=self.correlation_id,  # the server copies it into the answer
            expiration=str(int(timeout * 1000)),  # milliseconds; then no server gets it any more
        )
        self.channel.basic_publish(
            exchange="", routing_key="rpc_queue", body=str(n), properties=request
        )
        deadline = time.monotonic() + timeout
        while self.response is None:
            left = deadline - time.monotonic()  # seconds
            self.connection.process_data_events(time_limit=max(left, 0))  # calls on_response()
            if not self.channel.is_open:  # amq.default: the exchange with the empty name
                raise pika.exceptions.AMQPChannelError("Refused. May we write to amq.default?")
            if self.response is None and left < 0:
                raise TimeoutError(f"No answer in {timeout} seconds. Does rpc_server.py run?")
        if not self.response.isdigit():
            raise ValueError(f"The server answered {self.response.decode(errors='replace')!r}")
        return int(self.response)

    def on_response(self, channel, method, properties, body):
        if properties.correlation_id == self.correlation_id:  # others answer earlier calls
            self.response = body

    def close(self):
        with contextlib.suppress(pika.exceptions.AMQPError):  # it may be lost, or closed already
            self.connection.close()


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
