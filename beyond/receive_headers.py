"""Beyond lesson 5, headers: prints the log messages that have all of these headers, or any.
Start it: python receive_headers.py all facility=kern severity=error
"""

import os
import sys
import time

import pika


def main():
    match = sys.argv[1] if len(sys.argv) > 1 else ""
    words = sys.argv[2:]
    headers = dict(word.split("=", 1) for word in words if word.find("=") > 0)
    if match not in ("all", "any") or "x-match" in headers or not 0 < len(words) == len(headers):
        sys.exit(f"Usage: {sys.argv[0]} all|any NAME=VALUE... (each name once)")

    connection = connect()
    channel = connection.channel()
    channel.exchange_declare(exchange="headers_logs", exchange_type="headers")
    queue = channel.queue_declare(queue="", exclusive=True).method.queue

    # x-match: whether a message must have all of these headers, or any. Plain "all" and "any" leave
    # out the names that begin with x-. All values are text, which is never equal to a number.
    arguments = {**headers, "x-match": f"{match}-with-x"}
    channel.queue_bind(exchange="headers_logs", queue=queue, arguments=arguments)

    channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
    print(" [*] Waiting for logs. To exit press CTRL+C", flush=True)
    channel.start_consuming()


def callback(channel, method, properties, body):
    print(f" [x] {properties.headers}:{body.decode(errors='replace')!r}", flush=True)


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
