"""A RabbitMQ for everything here, or a cluster of three: in Docker, or local, without Docker.

`python -m brokers` is what `make broker`, `make cluster`, `make stop` and `make queues` call. It
needs Python's standard library alone. The settings that every broker here has are in
docker-compose.yml.
"""
