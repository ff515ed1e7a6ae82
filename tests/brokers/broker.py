"""What every broker here can do, whichever kind it is: addresses, virtual hosts, management API."""

import base64
import contextlib
import http.client
import json
import re
import urllib.parse
import urllib.request

from brokers.tools import free_port, listens

# No proxy: it would not find this machine's 127.0.0.1.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Started:
    """What a `with` starts, and destroys in the end, also if it has started only in part."""

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.destroy()
            raise
        return self

    def __exit__(self, *error):
        self.destroy()


class Broker(Started):
    """A broker with the management plugin, on the loopback interface.

    :param int amqp_port: where AMQP is published on 127.0.0.1; None takes a free port
    :param int management_port: the same for the management plugin
    :param Path tls: a folder with ca.pem, server.pem and server.key, to serve TLS at `tls_port` too
    """

    def __init__(self, amqp_port=None, management_port=None, tls=None):
        self.amqp_port = amqp_port or free_port()
        self.management_port = management_port or free_port()
        self.tls = tls
        self.tls_port = free_port() if tls else None

    def tls_settings(self, port, folder):
        """Return the lines of rabbitmq.conf that serve TLS (https://www.rabbitmq.com/docs/ssl)."""
        return (
            f"listeners.ssl.default = {port}\n"
            f"ssl_options.cacertfile = {folder}/ca.pem\n"
            f"ssl_options.certfile = {folder}/server.pem\n"
            f"ssl_options.keyfile = {folder}/server.key\n"
        )

    def url(self, vhost="/", user="guest", password="guest"):
        """Return the AMQP URL of a virtual host (https://www.rabbitmq.com/docs/uri-spec)."""
        vhost = urllib.parse.quote(vhost, safe="")
        return f"amqp://{user}:{password}@127.0.0.1:{self.amqp_port}/{vhost}"

    def api(self, method, *path, body=None):
        """Call the management API (https://www.rabbitmq.com/docs/http-api-reference).

        :param path: the parts of the path behind /api/, not yet percent-encoded
        :param body: what to send, as JSON
        :returns: the decoded answer, None if it is empty
        :raises urllib.error.HTTPError: if the broker refuses; it is an OSError
        :raises OSError: if it does not answer
        """
        quoted = "/".join(urllib.parse.quote(part, safe="") for part in path)
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.management_port}/api/{quoted}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Basic {base64.b64encode(b'guest:guest').decode()}",
                "Content-Type": "application/json",
            },
        )
        try:
            with DIRECT.open(request, timeout=30) as answer:
                content = answer.read()
        except http.client.HTTPException as error:  # it was killed in the middle of its answer
            raise ConnectionError(error) from error
        try:
            return json.loads(content) if content else None
        except ValueError as error:
            raise OSError("what answers there is no management API of RabbitMQ") from error

    def version(self):
        """Return RabbitMQ's version as it calls itself: "4.3.1", "4.4.0-rc.1"."""
        return self.api("GET", "overview")["rabbitmq_version"]

    def is_at_least(self, *version):
        """Tell whether RabbitMQ is of a version or newer: is_at_least(4, 3)."""
        return numbers(self.version()) >= version

    def add_vhost(self, name):
        """Create a virtual host, which guest may use, and return its AMQP URL."""
        self.api("PUT", "vhosts", name)
        return self.url(name)

    def delete_vhost(self, name):
        """Delete a virtual host with all that is in it."""
        self.api("DELETE", "vhosts", name)

    def answers(self):
        """Tell whether the broker serves AMQP and management clients."""
        with contextlib.suppress(OSError):
            return listens(self.amqp_port) and bool(self.api("GET", "vhosts"))
        return False

    def messages(self, vhost, queue):
        """Return the numbers of ready and of unacknowledged messages that rabbitmqctl shows.

        :raises KeyError: if there is no such queue
        """
        columns = ["name", "messages_ready", "messages_unacknowledged"]
        table = self.rabbitmqctl("-q", "list_queues", "-p", vhost, "--no-table-headers", *columns)
        rows = {name: counts for name, *counts in map(str.split, table.splitlines())}
        return tuple(map(int, rows[queue]))

    def connections(self, vhost):
        """Return the number of connections to a virtual host that rabbitmqctl shows."""
        return self.rabbitmqctl("-q", "list_connections", "vhost").split().count(vhost)

    def close_connections(self, vhost, reason):
        """Close all connections to a virtual host, as an operator may."""
        self.rabbitmqctl("close_all_connections", "--vhost", vhost, reason)

    def restart(self):
        """Stop the broker as an operator does, and start it again with its data."""
        self.stop()
        self.start()


def numbers(version):
    """Return the numbers that a version begins with: (4, 4, 0) for "4.4.0-rc.1"."""
    return tuple(map(int, re.match(r"\d+(?:\.\d+)*", version).group().split(".")))
