"""A port for who must be told one before anybody listens there."""

import random
import socket
from contextlib import suppress

_DICE = random.SystemRandom()  # other processes draw too


def free_port() -> int:
    """Return a port free on every address, and none that the kernel gives to those who connect from one."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            port = _DICE.randrange(20_000, 32_000)
            probe.bind(("0.0.0.0", port))
            return port
