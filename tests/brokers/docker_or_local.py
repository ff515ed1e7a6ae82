"""Which kind of broker to use, and what has to be installed for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from brokers.broker import RunningBroker
from brokers.in_docker import DockerBroker, DockerCluster, compose_command, engine_answers
from brokers.local import LocalBroker, LocalCluster, command
from brokers.tools import BrokerError, say

CLASSES = [DockerBroker, DockerCluster, LocalBroker, LocalCluster, RunningBroker]


def uses_docker():
    """Tell whether brokers are to run in Docker: what BROKER says, else whether an engine answers.

    What that kind lacks is installed, where that can be done.

    :raises BrokerError: if BROKER says neither docker nor local, or something cannot be installed
    """
    choice = os.environ.get("BROKER")
    if choice not in ("docker", "local", "", None):
        raise BrokerError(f"BROKER is {choice!r}; it can be docker or local.")
    if choice != "local" and engine_answers():
        compose_command()
        return True
    if choice == "docker":
        raise BrokerError("No Docker Engine answers here, though BROKER asks for Docker.")
    if not command("rabbitmq-server"):
        missing = "RabbitMQ is not installed on this machine"
        install(f"{missing}." if choice else f"No Docker Engine answers here, and {missing}.")
    return False


def broker_class():
    """Return the class of broker to use; see `uses_docker`."""
    return DockerBroker if uses_docker() else LocalBroker


def cluster_class():
    """Return the class of cluster to use; see `uses_docker`."""
    return DockerCluster if uses_docker() else LocalCluster


def description_of(broker):
    """Return a broker or a cluster as JSON can hold it, for `described`."""
    return {"class": type(broker).__name__, **broker.reference()}


def described(description):
    """Return an object for a broker or a cluster that another process has started."""
    (kind,) = [kind for kind in CLASSES if kind.__name__ == description["class"]]
    return kind(**{name: description[name] for name in description if name != "class"})


def install(reason):
    """Install the distribution's RabbitMQ, saying why and how, where that can be done.

    :raises BrokerError: where it cannot, with what to install
    """
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    if shutil.which("apt-get") and (not sudo or shutil.which("sudo")):
        apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
        cost = "some 40 MB, a minute"
        steps = [
            [*apt, "update"],
            [*apt, "install", "--yes", "--no-install-recommends", "rabbitmq-server"],
        ]
        if Path("/run/systemd/system").exists():  # the package starts a service; we need none
            steps.append([*sudo, "systemctl", "disable", "--now", "rabbitmq-server"])
    elif sys.platform == "darwin" and shutil.which("brew"):
        cost = "some hundred MB, minutes"
        steps = [["brew", "install", "rabbitmq"]]
    else:
        raise BrokerError(
            f"{reason} Install Docker (https://docs.docker.com/get-docker/), or your system's "
            "package rabbitmq-server, and try again."
        )
    say(f"{reason} Installing it, with Erlang ({cost}) ...")
    for step in steps:
        say(f"Running: {' '.join(step)}")
        if subprocess.run(step, stdout=sys.stderr).returncode:
            raise BrokerError(
                f"That failed: {' '.join(step)}. Correct the cause, or install Docker."
            )
