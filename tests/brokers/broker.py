"""What every broker here can do, whichever kind it is: addresses, virtual hosts, management API."""

import base64
import contextlib
import http.client
import json
import re
import urllib.error
import urllib.request
from urllib.parse import quote, unquote, urlsplit

from brokers.tools import BrokerError, free_port, listens, output_of

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
    """A broker with the management plugin.

    :param str amqp_url: an AMQP URL of it, with a user who may administer it (guest by default)
    :param str management_url: where the management plugin is
    """

    prefix = ""  # of the names of the virtual hosts that may be created and deleted

    def __init__(self, amqp_url, management_url):
        self.amqp, self.management = urlsplit(amqp_url), urlsplit(management_url)
        self.amqp_port, self.management_port = self.amqp.port, self.management.port

    def url(self, vhost="/", user=None, password=None):
        """Return the AMQP URL of a virtual host (https://www.rabbitmq.com/docs/uri-spec).

        :param str user: a user, with the password; None is the one of the broker's own URL
        """
        user, password = self._login() if user is None else (user, password)
        _, _, where = self.amqp.netloc.rpartition("@")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        path = f"/{quote(vhost, safe='')}"
        return self.amqp._replace(netloc=f"{login}@{where}", path=path).geturl()

    def _login(self):
        return unquote(self.amqp.username or "guest"), unquote(self.amqp.password or "guest")

    def api(self, method, *path, body=None, headers=None):
        """Call the management API (https://www.rabbitmq.com/docs/http-api-reference).

        :param path: the parts of the path behind /api/, not yet percent-encoded
        :param body: what to send, as JSON
        :param dict headers: further headers of HTTP
        :returns: the decoded answer, None if it is empty
        :raises urllib.error.HTTPError: if the broker refuses; it is an OSError
        :raises OSError: if it does not answer
        """
        login = base64.b64encode(":".join(self._login()).encode()).decode()
        request = urllib.request.Request(
            "/".join([self.management.geturl(), "api", *(quote(part, safe="") for part in path)]),
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Basic {login}",
                "Content-Type": "application/json",
                **(headers or {}),
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
        """Create a virtual host, and a user of the same name who may use it.

        :returns: the AMQP URL of both
        :raises ValueError: if it is not for this program to create
        """
        self._check(name)
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.api("PUT", "vhosts", name)
        self.api("PUT", "users", name, body={"password": name, "tags": ""})
        self.api("PUT", "permissions", name, name, body=everything)
        return self.url(name, name, name)

    def delete_vhost(self, name):
        """Delete a virtual host with all that is in it, and its user.

        :raises ValueError: if it is not for this program to delete
        """
        self._check(name)
        self.api("DELETE", "vhosts", name)
        self.api("DELETE", "users", name)

    def _check(self, vhost):
        if not vhost.startswith(self.prefix):
            raise ValueError(f"{vhost!r} does not begin with {self.prefix!r}: it is not ours")

    def answers(self):
        """Tell whether the broker serves AMQP and management clients."""
        with contextlib.suppress(OSError):  # also while the management plugin starts: it says 500
            return listens(self.amqp_port, self.amqp.hostname) and bool(self.version())
        return False

    def connections(self, vhost):
        """Return the connections of a virtual host's own user, as the management API has them.

        Other than most of that API, this is as of now, not of up to five seconds ago.
        """
        return self.api("GET", "connections", "username", vhost)

    def close_connections(self, vhost, reason):
        """Close all connections of a virtual host's own user, as an operator may."""
        self.api("DELETE", "connections", "username", vhost, headers={"X-Reason": reason})

    def in_alarm(self):
        """Tell whether the broker blocks publishers because it is short of memory or disk space.

        :raises OSError: if it does not answer
        """
        try:
            self.api("GET", "health", "checks", "alarms")
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return True
        return False


class RunningBroker(Broker):
    """A broker that somebody else has started. Only virtual hosts of our own are touched in it.

    :param str amqp_url: an AMQP URL of it, with a user who may administer it (guest by default)
    :param str management_url: where its management plugin is; None is port 15672 of the same host
    """

    description = "a broker that runs already"
    prefix = "test-"

    def __init__(self, amqp_url, management_url=None):
        amqp = urlsplit(amqp_url)
        if not amqp.port:
            port = 5671 if amqp.scheme == "amqps" else 5672
            amqp = amqp._replace(netloc=f"{amqp.netloc}:{port}")
        _, _, where = amqp.netloc.rpartition("@")
        management = management_url or f"http://{where.rpartition(':')[0]}:15672"
        super().__init__(amqp.geturl(), management.rstrip("/"))

    def reference(self):
        """Return what another process needs to make an object for this broker."""
        return {"amqp_url": self.amqp.geturl(), "management_url": self.management.geturl()}

    def start(self):
        """Look whether the broker can be used as tests need it.

        :raises BrokerError: if not, with the reason
        """
        where = f"{self.management.hostname}:{self.management_port}"
        try:
            self.api("GET", "vhosts")
        except OSError as error:
            reason = f"RabbitMQ's management plugin at {where} cannot be used: {error}"
            raise BrokerError(reason) from error
        if not listens(self.amqp_port, self.amqp.hostname):
            raise BrokerError(f"Nothing answers at {self.amqp.hostname}:{self.amqp_port}.")

    def destroy(self):
        """Do nothing: whoever has started the broker ends it."""


class OwnBroker(Broker):
    """A broker that is started here, on the loopback interface: one in Docker, or a local one.

    :param int amqp_port: where AMQP is published on 127.0.0.1; None takes a free port
    :param int management_port: the same for the management plugin
    :param Path tls: a folder with ca.pem, server.pem and server.key, to serve TLS at `tls_port` too
    """

    def __init__(self, amqp_port=None, management_port=None, tls=None):
        super().__init__(
            f"amqp://guest:guest@127.0.0.1:{amqp_port or free_port()}",
            f"http://127.0.0.1:{management_port or free_port()}",
        )
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

    def rabbitmqctl(self, *arguments):
        """Run rabbitmqctl on the broker and return what it prints.

        :raises BrokerError: if it fails, with what it says
        """
        return output_of([*self.rabbitmqctl_command(), *arguments], env=self.env)

    def restart(self):
        """Stop the broker as an operator does, and start it again with its data."""
        self.stop()
        self.start()


def numbers(version):
    """Return the numbers that a version begins with: (4, 4, 0) for "4.4.0-rc.1"."""
    return tuple(map(int, re.match(r"\d+(?:\.\d+)*", version).group().split(".")))
