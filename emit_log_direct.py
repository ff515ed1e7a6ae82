"""Lesson 4, Routing: sends a log message with a severity.

$ python emit_log_direct.py error Disk full
"""

import os
import socket
import sys

import pika


def main():
    severity = sys.argv[1] if len(sys.argv) > 1 else "info"
    message = " ".join(sys.argv[2:]) or "Hello World!"
    # AMQP_URL says where the broker is: one URL, or several with commas between them.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    brokers = [pika.URLParameters(url.strip()) for url in urls]
    for broker in brokers:
        broker.blocked_connection_timeout = 10  # seconds; then give up if it lacks memory or disk
    connection = pika.BlockingConnection(brokers)
    with connection.channel() as channel:
        # A direct exchange hands a message to the queues that are bound with its routing key.
        channel.exchange_declare(exchange="direct_logs", exchange_type="direct")
        channel.basic_publish(exchange="direct_logs", routing_key=severity, body=message)
    # Leaving the block waits until the exchange has taken the log. Perhaps nobody reads it.
    connection.close()
    print(f" [x] Sent {severity!r}:{message!r}")


# The lesson ends here. What follows is the same in every producer.
if __name__ == "__main__":
    try:
        main()
    except (pika.exceptions.AMQPError, socket.gaierror) as error:
        sys.exit(f" [!] RabbitMQ does not answer, or refuses. {error}")
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
