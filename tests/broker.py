"""A RabbitMQ for everything here: for the tests, for the demo, and for `make broker`.

`DockerBroker` runs the project's docker-compose.yml, `LocalBroker` a private node of the RabbitMQ
that is installed on the machine. Both have data, ports and names of their own, listen on the
loopback interface only, and can be started, stopped, restarted, killed and administered in the
same way. `BROKER=docker` or `BROKER=local` chooses; otherwise it is Docker where an engine answers.

    python tests/broker.py start | stop | queues      what `make broker` and `make queues` call
"""

import argparse
import contextlib
import functools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
START_DEADLINE = 120  # seconds; a cold start takes five to fifteen


class BrokerError(Exception):
    """A broker could not be had, or did not do what it was told. The text is for a person."""


def wait_until(condition, what, seconds=START_DEADLINE, interval=0.05):
    """Return the first true value of `condition()`.

    :param condition: a callable without arguments
    :param str what: what is waited for, for the message
    :param float seconds: the deadline
    :param float interval: seconds between two looks
    :raises TimeoutError: after `seconds`
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain: {what}")
        time.sleep(interval)
    return value


def free_port():
    """Return a TCP port of 127.0.0.1 that nobody listens on.

    It is below those that systems give to outgoing connections: one of these could take it while a
    broker is down for a moment.
    """
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def listens(port):
    """Tell whether anything listens on TCP port `port` of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Started:
    """What a `with` starts, and destroys in the end."""

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.destroy()


class Broker(Started):
    """What the two kinds have in common: addresses, virtual hosts, the management API.

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

    def api(self, method, *path, **arguments):
        """Call the management API (https://www.rabbitmq.com/docs/http-api-reference).

        :param path: the parts of the path behind /api/, not yet percent-encoded
        :param arguments: for `requests.request`, `json=` for instance
        :returns: the decoded answer, None if it is empty
        :raises requests.HTTPError: if the broker refuses
        """
        url = "/".join(urllib.parse.quote(part, safe="") for part in path)
        answer = requests.request(
            method,
            f"http://127.0.0.1:{self.management_port}/api/{url}",
            auth=("guest", "guest"),
            timeout=30,
            **arguments,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def version(self):
        """Return RabbitMQ's version as a tuple: (4, 3, 1)."""
        return tuple(map(int, self.api("GET", "overview")["rabbitmq_version"].split(".")))

    def add_vhost(self, name):
        """Create a virtual host, which guest may use, and return its AMQP URL."""
        self.api("PUT", "vhosts", name)
        return self.url(name)

    def delete_vhost(self, name):
        """Delete a virtual host with all that is in it."""
        self.api("DELETE", "vhosts", name)

    def answers(self):
        """Tell whether the broker serves AMQP and management clients."""
        with contextlib.suppress(requests.RequestException):
            return listens(self.amqp_port) and bool(self.api("GET", "vhosts"))
        return False

    def reference(self):
        """Return what `Broker.of` needs to make another object for the same broker."""
        own = (
            {"folder": str(self.folder)}
            if isinstance(self, LocalBroker)
            else {"project": self.project}
        )
        return {
            "kind": type(self).__name__,
            "amqp_port": self.amqp_port,
            "management_port": self.management_port,
            **own,
        }

    @staticmethod
    def of(reference):
        """Return an object for a broker that another process has started."""
        reference = dict(reference)
        return {"LocalBroker": LocalBroker, "DockerBroker": DockerBroker}[reference.pop("kind")](
            **reference
        )

    def restart(self):
        """Stop the broker as an operator does, and start it again with its data."""
        self.stop()
        self.start()


class LocalBroker(Broker):
    """A private node of the machine's own RabbitMQ, which needs no service and disturbs none.

    :param Path folder: for data, logs, settings and the Erlang cookie; None makes a temporary one
    :param str name: the node's name, before the "@"
    :param str settings: further lines for rabbitmq.conf
    :param dict env: further environment variables
    """

    description = "a private node of this machine's own"

    def __init__(
        self,
        amqp_port=None,
        management_port=None,
        tls=None,
        folder=None,
        name="lessons",
        settings="",
        env=None,
    ):
        super().__init__(amqp_port, management_port, tls)
        self.settings = settings
        self.folder = Path(folder or tempfile.mkdtemp(prefix="rabbitmq-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = None
        # The ports between Erlang nodes are chosen once, and remembered with the data.
        ports = self.folder / "ports.json"
        if not ports.exists():
            ports.write_text(json.dumps([free_port(), free_port()]))
        distribution_port, self.epmd_port = json.loads(ports.read_text())
        self.env = {
            **{name: os.environ[name] for name in os.environ if "RABBITMQ" not in name},
            "HOME": str(self.folder),  # where Erlang keeps its cookie
            "RABBITMQ_NODENAME": f"{name}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.amqp_port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                # The second: idle schedulers shall sleep, not spin, where several nodes share few
                # cores (https://www.rabbitmq.com/docs/runtime#busy-waiting).
                "-kernel inet_dist_use_interface {127,0,0,1} "
                "+sbwt none +sbwtdcpu none +sbwtdio none"
            ),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,  # instead of the machine's own settings
            **(env or {}),
        }

    def start(self):
        """Start the node and wait until it serves clients.

        :raises BrokerError: if it ends instead, with the end of its log
        :raises TimeoutError: after START_DEADLINE seconds
        """
        (self.folder / "rabbitmq.conf").write_text(
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.management_port}\n"
            + (self.tls_settings(self.tls_port, self.tls) if self.tls else "")
            + self.settings
        )
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        log = self.folder / "output.log"
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [command("rabbitmq-server")],
                env=self.env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

        def started():
            if self.process.poll() is not None:
                end = "".join(log.read_text().splitlines(keepends=True)[-15:])
                raise BrokerError(f"RabbitMQ ended while it was starting:\n{end}")
            return self.answers()

        wait_until(started, f"RabbitMQ's start; its output is in {log}")

    def runs(self):
        """Tell whether the node runs, whichever process has started it."""
        return listens(self.epmd_port)  # Erlang's port mapper comes and goes with the node

    def stop(self):
        """Stop the node in good order, whichever process has started it."""
        if self.runs():
            self.rabbitmqctl("shutdown")
        self._clear_up()

    def kill(self):
        """Cut the node's power: SIGKILL to all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        wait_until(lambda: not listens(self.amqp_port), "the killed node's port to close")
        self._clear_up()

    def _clear_up(self):
        if self.process:
            self.process.wait(30)
            self.process = None
        epmd = shutil.which("epmd") or command("epmd")
        subprocess.run([epmd, "-kill"], env=self.env, capture_output=True, check=False)

    def destroy(self):
        """End the node at once and delete its folder."""
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        """Return what the node has written to its logs so far."""
        logs = sorted((self.folder / "log").glob("*.log"))
        return "".join(log.read_text(errors="replace") for log in logs)

    def rabbitmqctl(self, *arguments):
        """Run rabbitmqctl on the node and return what it prints.

        :raises BrokerError: if it fails, with what it says
        """
        return run([command("rabbitmqctl"), *arguments], env=self.env)


class DockerBroker(Broker):
    """A service of docker-compose.yml.

    :param str service: its name
    :param str project: the Compose project's name; None makes one up, "" leaves it to Compose
    """

    description = "in Docker"

    def __init__(
        self, amqp_port=None, management_port=None, tls=None, project=None, service="rabbitmq"
    ):
        super().__init__(amqp_port, management_port, tls)
        self.service = service
        self.env = {
            **os.environ,
            "AMQP_PORT": str(self.amqp_port),
            "MANAGEMENT_PORT": str(self.management_port),
        }
        self.project = f"lessons-{self.amqp_port}" if project is None else project
        if self.project:
            self.env["COMPOSE_PROJECT_NAME"] = self.project
        if tls:
            (tls / "tls.conf").write_text(self.tls_settings(5671, "/tls"))
            service = {
                "ports": [f"127.0.0.1:{self.tls_port}:5671"],
                "volumes": [f"{tls}:/tls", f"{tls}/tls.conf:/etc/rabbitmq/conf.d/20-tls.conf"],
            }
            (tls / "tls.yml").write_text(json.dumps({"services": {"rabbitmq": service}}))
            self.env["COMPOSE_FILE"] = os.pathsep.join(
                [os.environ.get("COMPOSE_FILE", "docker-compose.yml"), f"{tls}/tls.yml"]
            )

    def compose(self, *arguments):
        """Run `docker compose` on the project's file and return what it prints.

        :raises BrokerError: if it fails, with what it says
        """
        return run([*compose_command(), *arguments], env=self.env)

    def start(self):
        """Start the container, with the data it had, and wait until it serves clients."""
        self.compose("up", "--wait", self.service)
        wait_until(self.answers, "RabbitMQ's start in the container")

    def runs(self):
        """Tell whether the container runs, whichever process has started it."""
        return bool(self.compose("ps", "--quiet"))

    def stop(self):
        """Stop the broker in good order and remove its container, but not the volume."""
        self.compose("--profile", "cluster", "down")

    def kill(self):
        """Cut the container's power: SIGKILL to all its processes."""
        self.compose("kill", self.service)

    def destroy(self):
        """Remove the container and its volume."""
        self.compose("down", "--volumes", "--timeout", "1")

    def log(self):
        """Return what the broker has written to its log so far."""
        return self.compose("logs", "--no-color", "--no-log-prefix", self.service)

    def rabbitmqctl(self, *arguments):
        """Run rabbitmqctl in the container and return what it prints.

        :raises BrokerError: if it fails, with what it says
        """
        return self.compose("exec", "-T", self.service, "rabbitmqctl", *arguments)


def run(arguments, env=None):
    """Run a program in the project's folder and return its stdout.

    :raises BrokerError: if it fails, with what it printed to stderr
    """
    result = subprocess.run(
        arguments, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if result.returncode:
        raise BrokerError(f"{' '.join(map(str, arguments))} failed:\n{result.stderr}")
    return result.stdout


@functools.cache
def compose_command():
    """Return the words that call Docker Compose, 2.23.1 or newer, which docker-compose.yml needs:
    the engine's plugin, the one that is installed beside this Python, or one on the PATH.

    :raises BrokerError: if there is none
    """
    beside = Path(sys.executable).parent / "docker-compose"
    for words in (["docker", "compose"], [beside], ["docker-compose"]):
        with contextlib.suppress(BrokerError, OSError):
            version = re.findall(r"\d+", run([*words, "version", "--short"]))
            if tuple(map(int, version[:3])) >= (2, 23, 1):
                return words
    raise BrokerError(
        "Docker Compose 2.23.1 or newer is missing. Install it "
        "(https://docs.docker.com/compose/install/), or set BROKER=local."
    )


def docker_answers():
    """Tell whether a Docker Engine and Docker Compose can be used."""
    with contextlib.suppress(BrokerError, OSError):
        run(["docker", "version", "--format", "{{.Server.Version}}"])
        return bool(compose_command())
    return False


def command(name):
    """Return the path of one of RabbitMQ's commands, None if it is not installed.

    Debian's /usr/sbin/rabbitmq-server insists on the user rabbitmq; the scripts behind it, in
    /usr/lib/rabbitmq/bin, run as anybody. Homebrew keeps its own in sbin.
    """
    folders = ["/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin"]
    return shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))


def install():
    """Install the distribution's RabbitMQ, saying so, where that can be done.

    :raises BrokerError: where it cannot, with what to install
    """
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    if shutil.which("apt-get") and (not sudo or shutil.which("sudo")):
        apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
        steps = [
            [*apt, "update"],
            [*apt, "install", "--yes", "--no-install-recommends", "rabbitmq-server"],
        ]
        if Path("/run/systemd/system").exists():  # the package starts a service; we need none
            steps.append([*sudo, "systemctl", "disable", "--now", "rabbitmq-server"])
    elif sys.platform == "darwin" and shutil.which("brew"):
        steps = [["brew", "install", "rabbitmq"]]
    else:
        raise BrokerError(
            "There is neither a Docker Engine nor RabbitMQ on this machine. "
            "Install Docker (https://docs.docker.com/get-docker/), or your system's package "
            "rabbitmq-server, and try again."
        )
    say("There is neither a Docker Engine nor RabbitMQ on this machine.")
    for step in steps:
        say(f"Running: {' '.join(step)}")
        if subprocess.run(step, stdout=sys.stderr).returncode:
            raise BrokerError(f"That failed: {' '.join(step)}. Mend it, or install Docker.")


def say(text):
    """Tell the person in front of the terminal what is going on."""
    print(text, file=sys.stderr, flush=True)


def kind():
    """Return the class of broker to use: what BROKER names, else Docker if an engine answers.

    :raises BrokerError: if BROKER names nothing we know, or nothing can be installed
    """
    choice = os.environ.get("BROKER") or ("docker" if docker_answers() else "local")
    if choice not in ("docker", "local"):
        raise BrokerError(f"BROKER is {choice!r}; it can be docker or local.")
    if choice == "docker":
        return DockerBroker
    if not command("rabbitmq-server"):
        install()
    return LocalBroker


def learners_broker():
    """Return the broker of `make broker`, which keeps its data from one time to the next."""
    amqp_port = int(os.environ.get("AMQP_PORT") or 5672)
    management_port = int(os.environ.get("MANAGEMENT_PORT") or 15672)
    if kind() is DockerBroker:
        return DockerBroker(amqp_port, management_port, project="")
    return LocalBroker(amqp_port, management_port, folder=ROOT / ".broker")


def main():
    """Do what `make broker`, `make stop` and `make queues` ask for."""
    parser = argparse.ArgumentParser(description="The broker to follow the lessons with.")
    parser.add_argument("action", choices=["start", "stop", "queues"])
    action = parser.parse_args().action
    broker = learners_broker()
    runs = {"start": lambda: True, "stop": broker.runs, "queues": broker.answers}
    if not runs[action]():
        say("The broker is not running. Start it: make broker")
    elif action == "queues":
        columns = ["name", "messages_ready", "messages_unacknowledged"]
        queues = broker.api("GET", "queues", "/")
        for row in [columns, *([queue.get(column, 0) for column in columns] for queue in queues)]:
            print("{:<30} {:>14} {:>23}".format(*row))
    elif action == "stop":
        broker.stop()
        say("The broker is stopped. It keeps its queues for the next time.")
    elif broker.answers():
        say(f"A broker already answers on localhost:{broker.amqp_port}; the lessons can use it.")
    else:
        for port in (broker.amqp_port, broker.management_port):
            if listens(port):
                raise BrokerError(
                    f"Port {port} is taken by another program. End that, or choose others: "
                    "make broker AMQP_PORT=5673 MANAGEMENT_PORT=15673"
                )
        say(f"Starting RabbitMQ, {broker.description}; this takes some seconds ...")
        broker.start()
        say(f"RabbitMQ is at {broker.url()}")
        say(f"The management page is at http://localhost:{broker.management_port} (guest/guest)")
        if broker.amqp_port != 5672 and "AMQP_URL" not in os.environ:
            say(f"In each terminal, first: export AMQP_URL={broker.url()}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. To end what has started already: make stop")
    except (BrokerError, TimeoutError, OSError) as error:
        sys.exit(f"{error}")
