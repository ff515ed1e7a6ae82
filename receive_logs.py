"""Lesson 3, Publish/subscribe: prints every log message sent while it runs.

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
    try:
        connection = pika.BlockingConnection([pika.URLParameters(url.strip()) for url in urls])
    except Exception as error:  # whatever is in the way, the ending below tries again
        raise pika.exceptions.AMQPConnectionError(error) from error
    channel = connection.channel()
    channel.exchange_declare(exchange="logs", exchange_type="fanout")
    # exclusive: our own queue, which goes when we go. Its name, made up by the broker, comes back.
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
