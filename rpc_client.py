"""Lesson 6, RPC: asks rpc_server.py for a Fibonacci number: $ python rpc_client.py 30"""

import os
import socket
import sys
import time

import pika


class FibonacciRpcClient:
    def __init__(self):
        urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
        brokers = [pika.URLParameters(url.strip()) for url in urls]
        for broker in brokers:
            broker.blocked_connection_timeout = 10  # seconds; then give up if it lacks memory
        self.connection = pika.BlockingConnection(brokers)
        try:
            self.channel = channel = self.connection.channel()
            channel.queue_declare("rpc_queue", durable=True, arguments={"x-queue-type": "quorum"})
            self.queue = channel.queue_declare("", exclusive=True).method.queue  # our own
        except pika.exceptions.AMQPChannelError:
            self.close()
            raise

    def call(self, n, timeout=10):
        """Return fib(n); raise TimeoutError after `timeout` s, ValueError if refused, AMQPError."""
        request = pika.BasicProperties(reply_to=self.queue, correlation_id=os.urandom(8).hex())
        request.expiration = str(int(timeout * 1000))  # milliseconds; later nobody waits for it
        self.channel.basic_publish("", "rpc_queue", body=str(n), properties=request)
        deadline = time.monotonic() + timeout
        replies = self.channel.consume(self.queue, auto_ack=True, inactivity_timeout=0.1)
        for _, properties, body in replies:  # (None, None, None) if 0.1 s pass without one
            if properties and properties.correlation_id == request.correlation_id:
                if not body.isdigit():
                    raise ValueError(f"The server answered {body.decode(errors='replace')!r}")
                return int(body)
            if time.monotonic() > deadline:
                break
        raise TimeoutError(f"No answer in {timeout} seconds. Does rpc_server.py run?")

    def close(self):
        self.connection.close()


def main():
    n = sys.argv[1] if len(sys.argv) > 1 else 30
    client = FibonacciRpcClient()
    print(f" [x] Requesting fib({n})", flush=True)
    try:
        print(f" [.] Got {client.call(n)}")
    except (TimeoutError, ValueError) as error:
        sys.exit(f" [!] {error}")
    client.close()


# The lesson ends here. What follows is the same in every producer.
if __name__ == "__main__":
    try:
        main()
    except (pika.exceptions.AMQPError, socket.gaierror) as error:
        sys.exit(f" [!] RabbitMQ does not answer, or refuses. {error}")
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
