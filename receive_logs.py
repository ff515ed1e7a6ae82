"""Lesson 3, Publish/subscribe: prints every log message sent while it is connected.

$ python receive_logs.py
"""

import contextlib
import os
import sys
import time

import pika


def main():
    # AMQP_URL says where the broker is: one URL, or several with commas between them.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    brokers = [pika.URLParameters(url.strip()) for url in urls]
    try:
        connection = pika.BlockingConnection(brokers)
    except Exception as error:  # whatever is in the way: the loop at the end tries again
        raise pika.exceptions.AMQPConnectionError(error) from error
    channel = connection.channel()
    channel.exchange_declare(exchange="logs", exchange_type="fanout")
    # exclusive: ours alone, deleted when we leave. The broker makes up its name (.method.queue).
    queue = channel.queue_declare(queue="", exclusive=True).method.queue
    # Bound to the exchange, the queue gets a copy of every log.
    channel.queue_bind(exchange="logs", queue=queue)
    channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
    print(" [*] Waiting for logs. To exit press CTRL+C", flush=True)
    channel.start_consuming()


def callback(channel, method, properties, body):
    print(f" [x] {body.decode(errors='replace')!r}", flush=True)


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
