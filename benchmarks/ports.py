"""Ports for servers of one's own."""

import random
import socket

# Below those that the system gives to whoever asks for any: what binds many of these, as Ray does, never takes one
# between its choice here and its use.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(PORTS)  # whose seed is nobody's to set
        with socket.socket() as found:
            if found.connect_ex(("127.0.0.1", port)) != 0:
                return port
