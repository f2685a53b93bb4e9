"""Free TCP ports of this host's loopback, below those that the kernel hands to clients."""

import itertools
import os
import socket

_FIRST, _LAST = 15_000, 32_000
_next = itertools.count(_FIRST + os.getpid() * 37 % (_LAST - _FIRST))


def free_port() -> int:
    """A port that nobody listens on now, and that this test run has not handed out lately."""
    while True:
        port = _FIRST + (next(_next) - _FIRST) % (_LAST - _FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
