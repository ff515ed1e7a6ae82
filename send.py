"""Lesson 1, Hello World: sends one message, which receive.py prints.
Start it: python send.py
"""

import os
import sys

import pika


def main():
    # Opens a connection: pika.BlockingConnection(pika.URLParameters("amqp://localhost")), or with
    # the URL in the environment variable AMQP_URL.
    connection = connect()

    # channel: a conversation inside the connection. All commands to RabbitMQ go through one.
    channel = connection.channel()

    # Creates the queue, unless it is there already. durable: it survives a restart of RabbitMQ.
    # quorum: RabbitMQ's type of queue for messages that must not be lost.
    channel.queue_declare(queue="hello", durable=True, arguments={"x-queue-type": "quorum"})

    # confirms: from now on, basic_publish() waits until RabbitMQ has taken the message, and raises
    # an error if RabbitMQ refuses it.
    channel.confirm_delivery()

    # exchange: takes messages, and puts them into queues. The exchange with the empty name puts a
    # message into the queue that has the routing key as its name.
    channel.basic_publish(exchange="", routing_key="hello", body="Hello World!")
    print(" [x] Sent 'Hello World!'", flush=True)
    connection.close()


# The lesson ends here. What follows is the same in every script that sends.


def connect(connection_class=pika.BlockingConnection):
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
            return connection_class(target)
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
