"""Lesson 3, Publish/subscribe: sends a log message to everybody who is listening.

$ python emit_log.py info: All is well
"""

import os
import socket
import sys

import pika


def main():
    message = " ".join(sys.argv[1:]) or "info: Hello World!"
    # AMQP_URL says where the broker is: one URL, or several with commas between them.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    brokers = [pika.URLParameters(url.strip()) for url in urls]
    for broker in brokers:
        broker.blocked_connection_timeout = 10  # seconds; then give up if it lacks memory or disk
    connection = pika.BlockingConnection(brokers)
    with connection.channel() as channel:
        # A fanout exchange copies each message into every queue that is bound to it.
        channel.exchange_declare(exchange="logs", exchange_type="fanout")
        channel.basic_publish(exchange="logs", routing_key="", body=message)
    # Leaving the block waits until the exchange has taken the log. Perhaps nobody reads it.
    connection.close()
    print(f" [x] Sent {message!r}")


# The lesson ends here. What follows is the same in every producer.
if __name__ == "__main__":
    try:
        main()
    except (pika.exceptions.AMQPError, socket.gaierror) as error:
        sys.exit(f" [!] RabbitMQ does not answer, or refuses. {error}")
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
