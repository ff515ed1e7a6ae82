"""Beyond lesson 5, headers: sends a log message with headers.
Start it: python emit_headers.py facility=kern severity=error Disk full
"""

import os
import sys

import pika


def main():
    headers = {}
    words = sys.argv[1:]
    while words and "=" in words[0]:  # what comes before the message
        name, _, value = words.pop(0).partition("=")
        headers[name] = value
    if "" in headers:
        sys.exit(f"Usage: {sys.argv[0]} [NAME=VALUE...] [MESSAGE...]")
    headers = headers or {"severity": "info"}
    message = " ".join(words) or "Hello World!"

    connection = connect()
    channel = connection.channel()

    # headers: looks at the headers of a message, and not at its routing key.
    channel.exchange_declare(exchange="headers_logs", exchange_type="headers")
    properties = pika.BasicProperties(headers=headers)
    channel.basic_publish(
        exchange="headers_logs", routing_key="", body=message, properties=properties
    )

    channel.close()  # waits for RabbitMQ, as in lesson 3
    print(f" [x] Sent {headers}:{message!r}", flush=True)
    connection.close()


# The lesson ends here. What follows is the same in every script that sends.


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
        # RabbitMQ takes no messages while it is short of memory or disk: give up after 10 s.
        if target.blocked_connection_timeout is None:
            target.blocked_connection_timeout = 10
        try:
            return pika.BlockingConnection(target)
        except Exception as error:  # an unknown host, TLS and time-outs are not AMQPErrors
            cause = str(error) or error.args[0].exception  # where pika keeps "Connection refused"
            causes.append(f"{target.host}: {cause}")
    raise pika.exceptions.AMQPConnectionError("; ".join(causes))


if __name__ == "__main__":
    try:
        main()
    except (pika.exceptions.AMQPConnectionError, pika.exceptions.AMQPChannelError) as error:
        sys.exit(f" [!] RabbitMQ does not answer, or refuses: {error}")
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
