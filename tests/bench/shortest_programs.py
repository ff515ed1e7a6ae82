"""The shortest pika programs that do what the lessons do, without printing, escaping, reconnecting.

    python tests/bench/shortest_programs.py PROGRAM [ARGUMENT...]

PROGRAM is the name of a function. AMQP_URL says where the broker is. What consumes prints a line
when it is ready, one at its first message and one at its last, so that it can be timed from outside
as the lessons are.
"""

import os
import sys
import time
import uuid

import pika


def channel():
    return pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()


def quorum(name):
    return {"queue": name, "durable": True, "arguments": {"x-queue-type": "quorum"}}


def send():
    there = channel()
    there.queue_declare(**quorum("hello"))
    there.basic_publish("", "hello", b"Hello World!")
    there.connection.close()


def new_task():
    there = channel()
    there.queue_declare(**quorum("task_queue"))
    there.basic_publish("", "task_queue", b"Hello World!", pika.BasicProperties(delivery_mode=2))
    there.connection.close()


def emit_log():
    there = channel()
    there.exchange_declare("logs", "fanout")
    there.basic_publish("logs", "", b"info: Hello World!")
    there.connection.close()


def publish_many(count):
    """Publish without confirms, and print how many messages that is in a second."""
    there = channel()
    queue = there.queue_declare("", exclusive=True).method.queue
    began = time.perf_counter()
    for number in range(int(count)):
        there.basic_publish("", queue, str(number))
    there.queue_declare(queue, passive=True)  # answered after all that came before
    print(int(count) / (time.perf_counter() - began))


def receive(count, queue="hello", prefetch="0", auto_ack="yes"):
    """Take `count` messages from a queue, acknowledging each unless `auto_ack` is yes."""
    there, left = channel(), int(count)

    def callback(there, method, properties, body):
        nonlocal left
        if left == int(count):
            print("first", flush=True)
        left -= 1
        if auto_ack != "yes":
            there.basic_ack(method.delivery_tag)
        if not left:
            print("last", flush=True)
            there.stop_consuming()

    there.basic_qos(prefetch_count=int(prefetch))
    there.basic_consume(queue, callback, auto_ack=auto_ack == "yes")
    print("ready", flush=True)
    there.start_consuming()


def printer():
    """Print each message of lesson 1 at once, as receive.py has to."""
    there = channel()

    def callback(there, method, properties, body):
        print(body, flush=True)

    there.basic_consume("hello", callback, auto_ack=True)
    print("ready", flush=True)
    there.start_consuming()


def worker(count):
    receive(count, "task_queue", "1", "no")


def rpc_server():
    """Answer each request with its own body."""
    there = channel()
    there.queue_declare(**quorum("rpc_queue"))

    def answer(there, method, properties, body):
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        there.basic_publish("", properties.reply_to, body, reply)
        there.basic_ack(method.delivery_tag)

    there.basic_qos(prefetch_count=1)
    there.basic_consume("rpc_queue", answer)
    print("ready", flush=True)
    there.start_consuming()


def rpc_client(count):
    """Ask `count` times, and print how long that took, in seconds."""
    there = channel()
    queue = there.queue_declare("", exclusive=True).method.queue
    answered = None

    def note(there, method, properties, body):
        nonlocal answered
        answered = properties.correlation_id

    there.basic_consume(queue, note, auto_ack=True)

    def call():
        request = str(uuid.uuid4())
        properties = pika.BasicProperties(reply_to=queue, correlation_id=request)
        there.basic_publish("", "rpc_queue", b"10", properties)
        while answered != request:
            there.connection.process_data_events(None)

    timed(call, int(count))


def fibonacci_client(count):
    """The same with the client of lesson 6."""
    sys.path.insert(0, os.getcwd())
    from rpc_client import FibonacciRpcClient

    client = FibonacciRpcClient()
    timed(lambda: client.call(10), int(count))
    client.close()


def timed(call, count):
    call()
    began = time.perf_counter()
    for _ in range(count):
        call()
    print(time.perf_counter() - began)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
