"""Lesson 2, Work queues: does the tasks of new_task.py, a second of work for each dot.
Start it: python worker.py
"""

import os
import sys
import time

import pika


def main():
    connection = connect()
    channel = connection.channel()
    channel.queue_declare(queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"})

    # prefetch_count: one task at a time, so that no task waits here while another worker is free.
    channel.basic_qos(prefetch_count=1)

    # No auto_ack, unlike lesson 1: RabbitMQ keeps each task until work() acknowledges it.
    channel.basic_consume(queue="task_queue", on_message_callback=work)
    print(" [*] Waiting for messages. To exit press CTRL+C", flush=True)
    channel.start_consuming()


def work(channel, method, properties, body):
    print(f" [x] Received {body.decode(errors='replace')!r}", flush=True)
    # Stands for your work. Unlike time.sleep(), it lets pika tell RabbitMQ that we are alive.
    # For work that takes longer than a minute, see docs/long-tasks.md.
    channel.connection.sleep(body.count(b"."))
    print(" [x] Done", flush=True)

    # Only now does RabbitMQ forget the task. If this worker dies before this line, RabbitMQ gives
    # the task to a worker again. So a task may be done twice.
    channel.basic_ack(delivery_tag=method.delivery_tag)


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
