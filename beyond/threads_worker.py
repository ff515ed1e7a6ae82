"""Beyond lesson 2, several tasks at once: like worker.py, with a thread for each task.
Start it: python threads_worker.py

On pika's main branch, a pika.Connection may be used from any thread: basic_ack() needs no detour.
"""

import contextlib
import functools
import os
import sys
import threading
import time

import pika

TASKS = 4  # at the same time


def main():
    connection = connect()
    channel = connection.channel()
    channel.queue_declare(queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"})

    # prefetch_count: as many tasks as there are threads; RabbitMQ keeps all others.
    channel.basic_qos(prefetch_count=TASKS)
    channel.basic_consume(queue="task_queue", on_message_callback=on_task)
    print(" [*] Waiting for messages. To exit press CTRL+C", flush=True)
    channel.start_consuming()


def on_task(channel, method, properties, body):
    print(f" [x] Received {body.decode(errors='replace')!r}", flush=True)
    # daemon: the thread does not hold up the end of the program.
    task = [channel, method.delivery_tag, body]
    threading.Thread(target=run, args=task, daemon=True).start()


def run(channel, delivery_tag, body):
    # In the task's own thread. A BlockingConnection belongs to the main thread, so what follows the
    # work is done there, as soon as pika has time.
    try:
        work(body)
        next_step = functools.partial(acknowledge, channel, delivery_tag, body)
    except BaseException as error:
        next_step = functools.partial(fail, error)
    # If the connection is lost, RabbitMQ has given the task to a worker again: it is done twice.
    with contextlib.suppress(pika.exceptions.ConnectionWrongStateError):
        channel.connection.add_callback_threadsafe(next_step)


def work(body):
    time.sleep(body.count(b"."))  # your own work; pika goes on in the main thread


def acknowledge(channel, delivery_tag, body):
    print(f" [x] Done {body.decode(errors='replace')!r}", flush=True)
    channel.basic_ack(delivery_tag=delivery_tag)


def fail(error):
    raise error  # in the main thread: it ends the worker, and its tasks go back to the queue


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
