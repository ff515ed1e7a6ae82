"""Beyond lesson 2, retries: like worker.py, but a task that fails is tried again, later.
Start it: python retry_worker.py"""

import os
import sys
import threading
import time

import pika

DELAYS = {"task_queue_after_1_s": 1, "task_queue_after_3_s": 3, "task_queue_after_9_s": 9}
DEAD = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}  # each look at a task counts


def main():
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_declare(queue="dead_tasks", durable=True, arguments=DEAD)
    # When the time is over, RabbitMQ moves a task to task_queue (at-least-once: it loses none).
    moves = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "task_queue"}
    moves |= {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    for queue, delay in DELAYS.items():
        arguments = {"x-queue-type": "quorum", "x-message-ttl": delay * 1000, **moves}
        channel.queue_declare(queue=queue, durable=True, arguments=arguments)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue="task_queue", on_message_callback=on_task)
    print(" [*] Waiting for messages. To exit press CTRL+C", flush=True)
    channel.start_consuming()


def on_task(channel, method, properties, body):
    print(f" [x] Received {body.decode(errors='replace')!r}", flush=True)
    try:
        work(channel.connection, body)
    except Exception as error:
        if not channel.is_open:
            raise  # the connection is lost, which is no failure of the task
        try_later(channel, properties, body, repr(error)[:1000])
    else:
        print(" [x] Done", flush=True)
    # Last of all: the task is done, or RabbitMQ has confirmed that another queue has it.
    channel.basic_ack(delivery_tag=method.delivery_tag)


def work(connection, body):
    connection.sleep(body.count(b"."))  # as in worker.py
    if b"fail" in body:
        raise ValueError("this task always fails")


def try_later(channel, properties, body, why):
    headers = properties.headers or {}
    tries = max(headers["tries"], 0) + 1 if isinstance(headers.get("tries"), int) else 1
    print(f" [x] Failed, try {tries}: {why}", flush=True)
    queue = [*DELAYS, "dead_tasks"][min(tries, len(DELAYS) + 1) - 1]
    properties.expiration = None
    properties.user_id = None
    others = {name: headers[name] for name in headers if name not in ("CC", "BCC", "x-death")}
    properties.headers = {**others, "tries": tries, "why": why}
    try:
        properties.encode()
    except pika.exceptions.UnsupportedAMQPFieldException:  # pika reads more types than it writes
        properties.headers = {"tries": tries, "why": why}
    # In an alarm (memory, disk), this waits until RabbitMQ takes messages again.
    warning = threading.Timer(5, sys.stderr.write, [" [!] RabbitMQ does not take the task yet.\n"])
    warning.daemon = True
    warning.start()
    channel.basic_publish(
        exchange="", routing_key=queue, body=body, properties=properties, mandatory=True
    )
    warning.cancel()


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
