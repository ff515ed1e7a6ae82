"""Beyond lesson 5, headers: sends a log message with headers.

$ python emit_headers.py facility=kern severity=error Disk full
"""

import os
import sys

import pika


def main():
    headers = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    headers = headers or {"severity": "info"}
    message = " ".join(word for word in sys.argv[1:] if "=" not in word) or "Hello World!"
    connection = connect()
    channel = connection.channel()
    # A headers exchange looks at the headers of a message, and not at its routing key.
    channel.exchange_declare(exchange="headers_logs", exchange_type="headers")
    properties = pika.BasicProperties(headers=headers)
    channel.basic_publish(
        exchange="headers_logs", routing_key="", body=message, properties=properties
    )
    channel.close()  # as in lesson 3: waits, and raises an error if RabbitMQ has refused it
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
    except Exception:  # the error is not shown: it may contain the password
        sys.exit(" [!] AMQP_URL cannot be read. Write it like amqp://user:password@host:5672/vhost")
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
