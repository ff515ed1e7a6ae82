"""A RabbitMQ for everything here, or a cluster of three: in Docker, or without.

`python -m brokers` is what `make broker`, `make cluster`, `make stop` and `make queues` call. It
needs Python's standard library alone.
"""
