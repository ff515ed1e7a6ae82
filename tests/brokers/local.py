"""Local brokers, which need no Docker: nodes of the RabbitMQ that is installed on the machine."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from brokers.broker import OwnBroker
from brokers.cluster import SIZE, Cluster, Node
from brokers.tools import ROOT, BrokerError, free_port, wait_until


class LocalBroker(OwnBroker):
    """A node of its own, which needs no service and disturbs none.

    :param Path folder: for data, logs, settings and the Erlang cookie; None makes a temporary one
    :param str name: the node's name, before the "@"
    :param str settings: further lines for rabbitmq.conf
    :param dict env: further environment variables
    """

    description = "a local node without Docker"

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
        self.folder = Path(folder or temporary_folder())
        self.process = None
        distribution_port, epmd_port = self._inner_ports()
        settings_of_every_broker = settings_in_compose_file()
        arguments = settings_of_every_broker["RABBITMQ_SERVER_START_ARGS"]
        self.env = {
            **{name: os.environ[name] for name in os.environ if "RABBITMQ" not in name},
            "HOME": str(self.folder),  # where Erlang keeps its cookie
            "RABBITMQ_NODENAME": f"{name}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.amqp_port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            **settings_of_every_broker,
            "RABBITMQ_SERVER_START_ARGS": (
                f"{arguments} -kernel inet_dist_use_interface {{127,0,0,1}}"
            ),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            # Nothing of the machine's own settings, which are in /etc/rabbitmq
            # (https://www.rabbitmq.com/docs/configure#supported-environment-variables).
            "RABBITMQ_CONFIG_FILES": str(self.folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            **(env or {}),
        }
        self.name = self.env["RABBITMQ_NODENAME"]

    def _inner_ports(self):
        """Return the ports of the node for other nodes, and of Erlang's port mapper.

        They are chosen once, and remembered with the data, but not for a copy of the folder: by
        them, it would find the other's node.
        """
        with contextlib.suppress(FileNotFoundError, ValueError):
            folder, inner = json.loads((self.folder / "ports.json").read_text())
            if folder == str(self.folder):
                return inner
        return [free_port(), free_port()]

    def reference(self):
        """Return what another process needs to make an object for this broker."""
        return {
            "amqp_port": self.amqp_port,
            "management_port": self.management_port,
            "folder": str(self.folder),
        }

    def start(self):
        """Start the node and wait until it serves clients.

        :raises BrokerError: if it ends instead, or does not serve them after START_DEADLINE
            seconds, with the end of its output
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        inner = [int(self.env[name]) for name in ("RABBITMQ_DIST_PORT", "ERL_EPMD_PORT")]
        (self.folder / "ports.json").write_text(json.dumps([str(self.folder), inner]))
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
                raise BrokerError("RabbitMQ ended while it was starting.")
            return self.answers()

        try:
            wait_until(started, "RabbitMQ's start")
        except (BrokerError, TimeoutError) as error:
            end = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-15:])
            self.kill()
            raise BrokerError(f"{error} The end of its output:\n{end}") from error
        except BaseException:  # CTRL+C; another process could not find it before it is registered
            self.kill()
            raise

    def runs(self):
        """Tell whether the node runs, whichever process has started it."""
        if self.process:
            return self.process.poll() is None
        return self.name.split("@")[0] in self._registered()

    def stop(self):
        """Stop the node in good order, whichever process has started it."""
        if self.process:
            self.process.terminate()  # rabbitmq-server passes it on, and waits for the node
        elif self.runs():
            try:
                self.rabbitmqctl("shutdown")
            except BrokerError:
                # It may be on its way down already, because of a `make stop` that was interrupted.
                with contextlib.suppress(TimeoutError):
                    wait_until(lambda: not self.runs(), "the end of the node", 15)
                if self.runs():
                    raise
        self._clear_up()

    def kill(self):
        """Kill the node, whichever process has started it: SIGKILL to all its processes."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(self.process.pid, signal.SIGKILL)
        elif self.runs():
            pid = int(self.rabbitmqctl("eval", "os:getpid().").strip().strip('"'))
            os.kill(pid, signal.SIGKILL)
        self._clear_up()

    def _clear_up(self):
        """End Erlang's port mapper too, which outlives its nodes, unless others still need it."""
        if self.process:
            self.process.wait(30)
            self.process = None
        name = self.name.split("@")[0]
        wait_until(lambda: name not in self._registered(), "the port mapper to forget the node")
        if not self._registered():
            self._epmd("-kill")

    def _registered(self):
        """Return the names of the nodes that Erlang's port mapper knows, before the "@"."""
        lines = self._epmd("-names").splitlines()
        return [line.split()[1] for line in lines if line.startswith("name ")]

    def _epmd(self, action):
        epmd = shutil.which("epmd")
        if not epmd:
            return ""  # no Erlang is installed any more, and so nothing runs
        done = subprocess.run([epmd, action], env=self.env, capture_output=True, text=True)
        return done.stdout

    def destroy(self):
        """End the node at once, whichever process has started it, and delete its folder."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self):
        """End the node at once, whichever process has started it."""
        if self.runs():
            self.kill()
        self._clear_up()

    def log(self):
        """Return what the node has written to its logs so far."""
        logs = sorted((self.folder / "log").glob("*.log"))
        return "".join(log.read_text(errors="replace") for log in logs)

    def rabbitmqctl_command(self):
        """Return the words that call rabbitmqctl for this node; it needs the environment `env`."""
        return [command("rabbitmqctl")]


class LocalNode(Node, LocalBroker):
    """One of three local nodes; the port mapper and the cookie are common to them."""

    def cut_off(self):
        """Let the others refuse to talk to this node, and the other way round.

        Nodes authenticate each other by a secret, the Erlang cookie; a wrong one separates them.
        """
        self._talk_with_a_cookie("wrong")

    def reconnect(self):
        """End what `cut_off` began."""
        self._talk_with_a_cookie("erlang:get_cookie()")

    def _talk_with_a_cookie(self, cookie):
        others = ", ".join(f"'{node.name}'" for node in self.cluster.nodes if node is not self)
        self.rabbitmqctl(
            "eval",
            f"[begin erlang:set_cookie(Node, {cookie}), erlang:disconnect_node(Node) end"
            f" || Node <- [{others}]].",
        )


class LocalCluster(Cluster):
    """Three local nodes.

    :param ports: the AMQP ports and the management plugin's ports, as pairs; None takes free ones
    :param Path folder: for data, logs, settings and the Erlang cookie; None makes a temporary one
    """

    description = "three local nodes without Docker"

    def __init__(self, ports=None, folder=None):
        self.folder = Path(folder or temporary_folder())
        names = [f"lessons-{number}" for number in range(1, SIZE + 1)]
        discovery = "cluster_formation.peer_discovery_backend = classic_config\n" + "".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}@localhost\n"
            for number, name in enumerate(names, 1)
        )
        self.nodes, shared = [], {}
        for name, (amqp_port, management_port) in zip(names, ports or [(None, None)] * SIZE):
            node = LocalNode(
                amqp_port,
                management_port,
                folder=self.folder / name,
                name=name,
                settings=discovery if self.nodes else "",
                env=shared,
            )
            # All nodes have one port mapper and one cookie, those of the first.
            shared = {name: node.env[name] for name in ("HOME", "ERL_EPMD_PORT")}
            node.cluster = self
            self.nodes.append(node)

    def reference(self):
        """Return what another process needs to make an object for this cluster."""
        return {"ports": self.ports(), "folder": str(self.folder)}

    def start(self):
        """Start the first node, and then the others, which join it."""
        first, *others = self.nodes
        first.start()
        with ThreadPoolExecutor() as threads:
            list(threads.map(LocalNode.start, others))
        self.wait_until_whole()

    def stop(self):
        """Stop all nodes, whichever process has started them, and delete their data."""

        def stop(node):
            with contextlib.suppress(BrokerError):  # it may have lost its majority, and hang
                node.stop()

        with ThreadPoolExecutor() as threads:
            list(threads.map(stop, self.nodes))
        self.destroy()

    def destroy(self):
        """End all nodes at once, and delete their data."""
        for node in self.nodes:
            node.end()  # before any folder is deleted: the first has the cookie of all
        shutil.rmtree(self.folder, ignore_errors=True)


def temporary_folder():
    """Return the path of a folder that does not exist yet."""
    return Path(tempfile.gettempdir()) / f"rabbitmq-{uuid.uuid4().hex[:8]}"


def settings_in_compose_file():
    """Return the environment variables that docker-compose.yml gives to RabbitMQ."""
    compose_file = (ROOT / "docker-compose.yml").read_text()
    return dict(re.findall(r"^ +(RABBITMQ_\w+): (.*)$", compose_file, re.MULTILINE))


def command(name):
    """Return the path of one of RabbitMQ's commands, None if it is not installed.

    Debian's /usr/sbin/rabbitmq-server insists on the user rabbitmq; the scripts behind it, in
    /usr/lib/rabbitmq/bin, run as anybody. Homebrew keeps its own in sbin.
    """
    folders = ["/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin"]
    found = shutil.which(
        "rabbitmq-server", path=os.pathsep.join([*folders, os.environ.get("PATH", "")])
    )
    # The others are beside it; on the PATH there is .venv/bin/rabbitmqctl, which calls this.
    return found and str(Path(found).with_name(name))


def orphans():
    """Yield the folder of each local broker whose folder is deleted, with a command that ends it.

    Only Linux tells which these are.
    """
    processes = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):  # another user's, or it has ended meanwhile
            if (process / "comm").read_text().strip() not in ("beam.smp", "epmd"):
                continue
            env = (process / "environ").read_text().split("\0")
            (folder,) = re.findall(
                r"^HOME=/(.*/\.(?:broker|cluster))", "\n".join(env), re.MULTILINE
            )
            # RabbitMQ may have made the folder itself again, but never this file in it.
            if not (process / "root" / folder / "started.json").exists():
                processes.setdefault(f"/{folder}", []).append(process.name)
    for folder, numbers in processes.items():
        yield folder, f"kill {' '.join(numbers)}"
