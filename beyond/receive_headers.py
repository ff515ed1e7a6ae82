"""Beyond lesson 5, headers: prints the log messages that have all headers named, or any of them.

$ python receive_headers.py all facility=kern severity=error
"""

import contextlib
import os
import sys
import time

import pika


def main():
    match, *words = sys.argv[1:] or [""]
    headers = dict(word.split("=", 1) for word in words if "=" in word)
    if match not in ("all", "any") or not headers:
        sys.exit(f"Usage: {sys.argv[0]} all|any NAME=VALUE...")
    # AMQP_URL says where the broker is: one URL, or several with commas between them.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    brokers = [pika.URLParameters(url.strip()) for url in urls]
    try:
        connection = pika.BlockingConnection(brokers)
    except Exception as error:  # whatever is in the way: the loop at the end tries again
        raise pika.exceptions.AMQPConnectionError(error) from error
    channel = connection.channel()
    channel.exchange_declare(exchange="headers_logs", exchange_type="headers")
    # exclusive: ours alone, deleted when we leave. The broker makes up its name (.method.queue).
    queue = channel.queue_declare(queue="", exclusive=True).method.queue
    # x-match: whether a message must have all of these headers, or any of them.
    arguments = {"x-match": match, **headers}
    channel.queue_bind(exchange="headers_logs", queue=queue, arguments=arguments)
    channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
    print(" [*] Waiting for logs. To exit press CTRL+C", flush=True)
    channel.start_consuming()


def callback(channel, method, properties, body):
    print(f" [x] {properties.headers}:{body.decode(errors='replace')!r}", flush=True)


# The lesson ends here. What follows is the same in every consumer.
if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # CTRL+C ends this, with exit status 0
        while True:
            try:
                main()
                sys.exit(" [!] RabbitMQ sends no more messages. Was the queue deleted?")
            except pika.exceptions.AMQPChannelError as error:
                sys.exit(f" [!] RabbitMQ refused. {error}")
            except pika.exceptions.AMQPConnectionError as error:
                print(f" [!] The connection failed; next try in 3 s. {error}", file=sys.stderr)
                time.sleep(3)
