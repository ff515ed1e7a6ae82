"""Beyond lesson 2, retries: like worker.py, but a task that fails is tried again, later."""

import contextlib
import os
import sys
import time

import pika

DELAYS = [1, 3, 9]  # seconds before the second try, the third, the fourth and last
QUEUES = [f"task_queue_after_{delay}_s" for delay in DELAYS] + ["dead_tasks_of_task_queue"]


def main():
    # AMQP_URL says where the broker is: one URL, or several with commas between them.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    brokers = [pika.URLParameters(url.strip()) for url in urls]
    try:
        connection = pika.BlockingConnection(brokers)
    except Exception as error:  # whatever is in the way: the loop at the end tries again
        raise pika.exceptions.AMQPConnectionError(error) from error
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
