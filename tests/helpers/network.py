"""A network between scripts and a broker that can go dark: bytes vanish, and nothing is closed."""

import contextlib
import socket
import threading
import time


class Network:
    """A port of 127.0.0.1 that leads to a broker, until the network goes dark.

    :param int port: the broker's AMQP port
    :param dark_after: a class of pika.spec such as Basic.Ack: as soon as the broker has sent this
        method on a connection, this connection goes dark; None leaves it to `go_dark`
    :param float delay: seconds by which what the broker sends comes later

    A connection that has gone dark stays so. After `come_back`, new ones lead to the broker again.
    """

    def __init__(self, port, dark_after=None, delay=0):
        self.delay = delay
        self.broker = ("127.0.0.1", port)
        # A method's frame has the numbers of its class and of itself in four bytes
        # (AMQP 0-9-1, section 2.3.5.1), which pika has in one number.
        self.end = dark_after and dark_after.INDEX.to_bytes(4, "big")
        self.is_dark = False
        self.sockets = []  # of the scripts
        self.bright = set()  # those of them that have never been dark
        self.server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def go_dark(self):
        """Let all that is sent vanish from now on."""
        self.is_dark = True
        self.bright.clear()

    def come_back(self):
        """Let new connections lead to the broker again, and stay bright."""
        self.is_dark = False
        self.end = None

    def _accept(self):
        with contextlib.suppress(OSError):  # in the end, the server is closed
            while True:
                script, _ = self.server.accept()
                self.sockets.append(script)
                if not self.is_dark:
                    self.bright.add(script)
                broker = socket.create_connection(self.broker)
                for end in (script, broker):  # send each piece at once, as pika and RabbitMQ do
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for source, sink in ((script, broker), (broker, script)):
                    arguments = [script, source, sink]
                    threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, script, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source is not script:
                    time.sleep(self.delay)
                if script in self.bright:
                    sink.sendall(data)
                if self.end and source is not script and self.end in data:
                    self.bright.discard(script)
            if script in self.bright:
                sink.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.close()
        for script in self.sockets:
            script.close()
