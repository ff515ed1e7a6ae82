"""Beyond lesson 2, containers: like worker.py, but SIGTERM lets it finish its task first.
Start it: python graceful_worker.py

SIGTERM is what Docker, Kubernetes and systemd send to stop a program.
"""

import os
import signal
import sys
import time

import pika


def main():
    signal.signal(signal.SIGTERM, shutdown.on_sigterm)
    shutdown.working = False  # if it was, the connection has been lost in the middle of a task
    if shutdown.requested:
        sys.exit(0)

    connection = connect()
    channel = connection.channel()
    channel.queue_declare(queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_qos(prefetch_count=1)  # so there is only one task to finish
    channel.basic_consume(queue="task_queue", on_message_callback=on_task)
    print(" [*] Waiting for messages. To exit press CTRL+C", flush=True)
    channel.start_consuming()

    if shutdown.requested:
        connection.close()  # waits until RabbitMQ has got the acknowledgement
        sys.exit(0)


def on_task(channel, method, properties, body):
    shutdown.working = True
    print(f" [x] Received {body.decode(errors='replace')!r}", flush=True)
    channel.connection.sleep(body.count(b"."))  # as in worker.py
    print(" [x] Done", flush=True)
    if shutdown.requested:
        channel.stop_consuming()  # before the acknowledgement, so that no other task comes
    channel.basic_ack(delivery_tag=method.delivery_tag)
    shutdown.working = False
    if shutdown.requested:  # since a moment ago
        channel.stop_consuming()


class Shutdown:
    """Whether SIGTERM has come, and what it finds."""

    def __init__(self):
        self.requested = False
        self.working = False

    def on_sigterm(self, signal_number, frame):
        # Python calls this in the main thread, between two lines of whatever runs there.
        if self.requested or not self.working:
            sys.exit(0)  # idle, without a connection, or asked for the second time: leave at once
        self.requested = True


shutdown = Shutdown()


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
