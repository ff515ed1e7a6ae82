"""Lesson 6, RPC: answers the requests of rpc_client.py with Fibonacci numbers.

$ python rpc_server.py
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
    channel.queue_declare(queue="rpc_queue", durable=True, arguments={"x-queue-type": "quorum"})
    # One request at a time, so that several servers share the work.
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue="rpc_queue", on_message_callback=on_request)
    print(" [x] Awaiting RPC requests", flush=True)
    channel.start_consuming()


def on_request(channel, method, properties, body):
    # No request may end the server. The length comes first: int() fails for thousands of digits.
    if body.isdigit() and len(body) <= 4 and int(body) <= 1000:
        print(f" [.] fib({int(body)})", flush=True)
        answer = str(fib(int(body)))
    else:
        answer = "error: fib takes a whole number from 0 to 1000"
    # reply_to: the queue where the client waits for the answer. The correlation id tells it which
    # of its requests this is the answer to.
    if properties.reply_to:
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        channel.basic_publish("", properties.reply_to, body=answer, properties=reply)
    channel.basic_ack(delivery_tag=method.delivery_tag)


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


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
