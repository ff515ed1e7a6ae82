"""Beyond lesson 2, confirms: waits for them in three ways: $ python publisher_confirms.py 50000"""

import asyncio
import os
import socket
import sys
import time

import pika
from pika.adapters.asyncio_connection import AsyncioConnection


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    # AMQP_URL says where the broker is: one URL, or several with commas between them.
    urls = (os.environ.get("AMQP_URL") or "amqp://localhost").split(",")
    brokers = [pika.URLParameters(url.strip()) for url in urls]
    for broker in brokers:
        broker.blocked_connection_timeout = 10  # seconds; then give up if it lacks memory or disk
    asyncio.run(publish(brokers, count, "messages individually", 1, 0))
    asyncio.run(publish(brokers, count, "messages in batch", 1000, 0))
    asyncio.run(publish(brokers, count, "messages and handled confirms asynchronously", 1000, 999))


async def publish(brokers, count, way, high, low):  # with `high` unconfirmed, wait until `low` are
    events = asyncio.Queue()  # everything that pika tells us, in order

    async def next_event():
        event = await events.get()
        if isinstance(event, Exception):
            raise pika.exceptions.AMQPError(repr(event))
        return event

    AsyncioConnection.create_connection(brokers, events.put_nowait)
    connection = await next_event()
    connection.add_on_close_callback(lambda connection, reason: events.put_nowait(reason))
    connection.channel(on_open_callback=events.put_nowait)
    channel = await next_event()
    channel.add_on_close_callback(lambda channel, reason: events.put_nowait(reason))
    channel.queue_declare("", exclusive=True, callback=events.put_nowait)
    queue = (await next_event()).method.queue
    channel.add_on_return_callback(lambda *returned: refused.append(returned[-1]))
    channel.confirm_delivery(events.put_nowait)
    to_send, unconfirmed, refused, tag = [str(n) for n in range(count)][::-1], {}, [], 0
    began = time.monotonic()
    while to_send or unconfirmed:
        while to_send and len(unconfirmed) < high:
            tag += 1  # the broker counts the messages of a channel in the same way
            unconfirmed[tag] = to_send.pop()  # the last of the list is the next
            channel.basic_publish("", queue, unconfirmed[tag], mandatory=True)
        while len(unconfirmed) > (low if to_send else 0):
            confirm = (await next_event()).method
            last = confirm.delivery_tag  # if multiple: this message, and all before it
            tags = [t for t in unconfirmed if t <= last] if confirm.multiple else [last]
            messages = [unconfirmed.pop(t) for t in tags]
            if isinstance(confirm, pika.spec.Basic.Nack):
                refused += messages
        if refused and not to_send:
            print(f" [!] {len(refused):,} refused or returned, now sent again", file=sys.stderr)
            await asyncio.sleep(1)
            to_send, refused = refused, []
    print(f"Published {count:,} {way} in {(time.monotonic() - began) * 1000:,.0f} ms", flush=True)
    connection.close()
    while not connection.is_closed:
        await events.get()


# The lesson ends here. What follows is the same in every producer.
if __name__ == "__main__":
    try:
        main()
    except (pika.exceptions.AMQPError, socket.gaierror) as error:
        sys.exit(f" [!] RabbitMQ does not answer, or refuses. {error}")
    except KeyboardInterrupt:
        sys.exit(" [!] Interrupted")
