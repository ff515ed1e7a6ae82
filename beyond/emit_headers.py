"""Beyond lesson 5, headers: sends a log message with headers.

$ python emit_headers.py facility=kern severity=error Disk full
"""

import os
import socket
import sys

import pika


def main():
    headers = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    headers = headers or {"severity": "info"}
    message = " ".join(word for word in sys.argv[1:] if "=" not in word) or "Hello World!"
    # AMQP_URL says where the broker is: one URL, or several with commas between them.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    brokers = [pika.URLParameters(url.strip()) for url in urls]
    for broker in brokers:
        broker.blocked_connection_timeout = 10  # seconds; then give up if it lacks memory or disk
    connection = pika.BlockingConnection(brokers)
    with connection.channel() as channel:
        # A headers exchange looks at the headers of a message, and not at its routing key.
        channel.exchange_declare(exchange="headers_logs", exchange_type="headers")
        properties = pika.BasicProperties(headers=headers)
        channel.basic_publish("headers_logs", "", body=message, properties=properties)
    # Leaving the block waits until the exchange has taken the log. Perhaps nobody reads it.
    connection.close()
    print(f" [x] Sent {headers}:{message!r}")


# The lesson ends here. What follows is the same in every producer.
if __name__ == "__main__":
    try:
        main()
    except (pika.exceptions.AMQPError, socket.gaierror) as error:
        sys.exit(f" [!] RabbitMQ does not answer, or refuses. {error}")
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
