"""Beyond lesson 2, retries: like worker.py, but a task that fails is tried again, later."""

import os
import sys
import time

import pika

DELAYS = [1, 3, 9]  # seconds before the second try, the third, the fourth and last
QUEUES = [f"task_queue_after_{delay}_s" for delay in DELAYS] + ["dead_tasks_of_task_queue"]


def main():
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    quorum = {"x-queue-type": "quorum"}
    channel.queue_declare("task_queue", durable=True, arguments=quorum)
    # Not a quorum queue: that would count each look at a dead task as a try.
    channel.queue_declare(QUEUES[-1], durable=True, arguments={"x-queue-type": "classic"})
    # In the other queues tasks wait, and nobody consumes. When their time is over, RabbitMQ moves
    # them to task_queue. at-least-once: it deletes them only when they have arrived there.
    moves = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "task_queue"}
    moves |= {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    for delay, queue in zip(DELAYS, QUEUES):
        arguments = {**quorum, **moves, "x-message-ttl": delay * 1000}
        channel.queue_declare(queue, durable=True, arguments=arguments)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue="task_queue", on_message_callback=on_task)
    print(" [*] Waiting for messages. To exit press CTRL+C", flush=True)
    channel.start_consuming()


def on_task(channel, method, properties, body):
    print(f" [x] Received {body.decode(errors='replace')!r}", flush=True)
    channel.connection.sleep(body.count(b"."))  # as in worker.py
    try:
        work(body)
    except Exception as error:
        tries = (properties.headers or {}).get("tries", 0) + 1
        print(f" [x] Failed, try {tries}: {error!r}", flush=True)
        later = pika.BasicProperties(delivery_mode=2, message_id=properties.message_id)
        later.headers = {"tries": tries, "why": repr(error)[:1000]}
        channel.basic_publish("", QUEUES[min(tries, len(QUEUES)) - 1], body, later, mandatory=True)
    else:
        print(" [x] Done", flush=True)
    # Last of all: the task is done, or the broker has confirmed that another queue has it.
    channel.basic_ack(delivery_tag=method.delivery_tag)


def work(body):
    if b"fail" in body:
        raise ValueError("this task always fails")


# The lesson ends here. What follows is the same in every script that receives.


def connect():
    # The environment variable AMQP_URL says where RabbitMQ is. Commas separate several URLs.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    try:
        if not all(url.strip().startswith(("amqp://", "amqps://")) for url in urls):
            raise ValueError  # pika would connect to localhost instead
        targets = [pika.URLParameters(url.strip()) for url in urls]
    except Exception:  # the error is not shown: it may contain the password
        sys.exit(" [!] AMQP_URL cannot be read. Write it like amqp://user:password@host:5672/vhost")
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
