"""Lesson 2, Work queues: sends a task that takes as many seconds as it has dots.

$ python new_task.py A hard task...
"""

import os
import socket
import sys

import pika


def main():
    message = " ".join(sys.argv[1:]) or "Hello World!"
    # AMQP_URL says where the broker is: one URL, or several with commas between them.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    brokers = [pika.URLParameters(url.strip()) for url in urls]
    for broker in brokers:
        broker.blocked_connection_timeout = 10  # seconds; then give up if it lacks memory or disk
    connection = pika.BlockingConnection(brokers)
    channel = connection.channel()
    channel.queue_declare(queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"})
    # A persistent message survives a restart of the broker, as its durable queue does.
    persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    # With confirms, mandatory makes it an error if there is no queue to take the task.
    channel.confirm_delivery()
    channel.basic_publish("", "task_queue", body=message, properties=persistent, mandatory=True)
    connection.close()
    print(f" [x] Sent {message!r}")


# The lesson ends here. What follows is the same in every producer.
if __name__ == "__main__":
    try:
        main()
    except (pika.exceptions.AMQPError, socket.gaierror) as error:
        sys.exit(f" [!] RabbitMQ does not answer, or refuses. {error}")
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
