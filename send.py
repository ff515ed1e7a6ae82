"""Lesson 1, Hello World: sends one message, which receive.py prints.

$ python send.py
"""

import os
import socket
import sys

import pika


def main():
    # AMQP_URL says where the broker is: one URL, or several with commas between them.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    brokers = [pika.URLParameters(url.strip()) for url in urls]
    for broker in brokers:
        broker.blocked_connection_timeout = 10  # seconds; then give up if it lacks memory or disk
    connection = pika.BlockingConnection(brokers)
    channel = connection.channel()
    # Whoever comes first creates the queue. durable: it survives a restart of the broker.
    # quorum: in a cluster, several nodes keep a copy of it.
    channel.queue_declare(queue="hello", durable=True, arguments={"x-queue-type": "quorum"})
    # From now on basic_publish waits until the broker has taken the message: "Sent" is true.
    channel.confirm_delivery()
    # A message goes to an exchange, never straight to a queue. The default exchange, "", hands
    # it to the queue that has the routing key as its name.
    channel.basic_publish(exchange="", routing_key="hello", body="Hello World!")
    connection.close()
    print(" [x] Sent 'Hello World!'")


# The lesson ends here. What follows is the same in every producer.
if __name__ == "__main__":
    try:
        main()
    except (pika.exceptions.AMQPError, socket.gaierror) as error:
        sys.exit(f" [!] RabbitMQ does not answer, or refuses. {error}")
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
