"""Lesson 2, Work queues: does the tasks of new_task.py, a second of work for each dot.

$ python worker.py
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
    channel.queue_declare(queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"})
    # prefetch_count: one task at a time, so that none waits here while another worker is free.
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue="task_queue", on_message_callback=work)
    print(" [*] Waiting for messages. To exit press CTRL+C", flush=True)
    channel.start_consuming()


def work(channel, method, properties, body):
    print(f" [x] Received {body.decode(errors='replace')!r}", flush=True)
    # Stands for the work: a second for each dot. Unlike time.sleep(), it answers the heartbeats of
    # the broker; long computations belong in a thread (see docs).
    channel.connection.sleep(body.count(b"."))
    print(" [x] Done", flush=True)
    # Last of all: if we die before this, the broker gives the task to a worker again.
    channel.basic_ack(delivery_tag=method.delivery_tag)


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
