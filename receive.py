"""Lesson 1, Hello World: prints the messages that send.py sends.
Start it: python receive.py
"""

import os
import sys
import time

import pika


def main():
    connection = connect()
    channel = connection.channel()

    # The same as in send.py, because nobody knows which of the two runs first.
    channel.queue_declare(queue="hello", durable=True, arguments={"x-queue-type": "quorum"})

    # auto_ack: RabbitMQ forgets a message as soon as it has sent it. Lesson 2 is more careful.
    channel.basic_consume(queue="hello", on_message_callback=callback, auto_ack=True)

    print(" [*] Waiting for messages. To exit press CTRL+C", flush=True)  # flush: show it now

    # Waits for messages, and calls callback() for each one.
    channel.start_consuming()


def callback(channel, method, properties, body):
    # body is bytes; decode() makes a text of it. !r prints that in quotes, and always in one line.
    print(f" [x] Received {body.decode(errors='replace')!r}", flush=True)


# The lesson ends here. What follows is the same in every script that receives.


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
        try:
            return pika.BlockingConnection(target)
        except Exception as error:  # an unknown host, TLS and time-outs are not AMQPErrors
            cause = str(error) or error.args[0].exception  # where pika keeps "Connection refused"
            causes.append(f"{target.host}: {cause}")
    raise pika.exceptions.AMQPConnectionError("; ".join(causes))


if __name__ == "__main__":
    try:
        while True:
            try:
                main()
                sys.exit(" [!] RabbitMQ sends no more messages. Was the queue deleted?")
            except pika.exceptions.AMQPChannelError as error:
                sys.exit(f" [!] RabbitMQ refuses: {error}")
            except pika.exceptions.AMQPConnectionError as error:
                print(f" [!] No connection to RabbitMQ; next try in 3 s: {error}", file=sys.stderr)
                time.sleep(3)
    except KeyboardInterrupt:
        sys.exit(0)  # CTRL+C
