"""Lesson 6, RPC (remote procedure call): gives Fibonacci numbers to rpc_client.py.
Start it: python rpc_server.py
"""

import os
import sys
import time

import pika


def main():
    connection = connect()
    channel = connection.channel()
    channel.queue_declare(queue="rpc_queue", durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_qos(prefetch_count=1)  # as in lesson 2: one request at a time
    channel.basic_consume(queue="rpc_queue", on_message_callback=on_request)
    print(" [x] Awaiting RPC requests", flush=True)
    channel.start_consuming()


def on_request(channel, method, properties, body):
    # A bad request gets an answer, too. An exception would end this server. Then RabbitMQ would
    # give the request to the next server, which would end as well.
    if body.isdigit() and len(body) <= 3:  # bytes that are a number from 0 to 999
        print(f" [.] fib({int(body)})", flush=True)
        answer = str(fib(int(body)))
    else:
        answer = "error: fib takes a whole number from 0 to 999"

    # reply_to: the queue in which the client waits for the answer.
    if properties.reply_to:
        channel.basic_publish(
            exchange="",
            routing_key=properties.reply_to,
            body=answer,
            # correlation_id: by this, the client sees which of its requests this is the answer to.
            properties=pika.BasicProperties(correlation_id=properties.correlation_id),
        )
    channel.basic_ack(delivery_tag=method.delivery_tag)


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


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
