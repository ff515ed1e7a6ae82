"""Lesson 5, Topics: prints the log messages whose routing key fits one of your binding keys.
Start it: python receive_logs_topic.py "kern.*" "*.critical"
"""

import os
import sys
import time

import pika


def main():
    binding_keys = sys.argv[1:]
    if not binding_keys:
        sys.exit(f'Usage: {sys.argv[0]} BINDING_KEY... (for example: "kern.*" "*.critical")')

    connection = connect()
    channel = connection.channel()
    channel.exchange_declare(exchange="topic_logs", exchange_type="topic")
    queue = channel.queue_declare(queue="", exclusive=True).method.queue

    # Dots separate words. In a binding key, * stands for exactly one word, # for any number of
    # words, even none: "kern.*" fits kern.info, and "kern.#" also fits kern and kern.disk.full.
    for binding_key in binding_keys:
        channel.queue_bind(exchange="topic_logs", queue=queue, routing_key=binding_key)

    channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
    print(" [*] Waiting for logs. To exit press CTRL+C", flush=True)
    channel.start_consuming()


def callback(channel, method, properties, body):
    print(f" [x] {method.routing_key!r}:{body.decode(errors='replace')!r}", flush=True)


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
