"""A WSGI app that shows whether it runs in greenlets; the library is what has patched `time`."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

PATCHED_AT_IMPORT = {
    "time.sleep": time.sleep.__module__,
    "socket.socket": socket.socket.__module__,
    "threading.get_ident": threading.get_ident.__module__,
}

local = threading.local()
lock = threading.Lock()
barriers: dict[str, threading.Barrier] = {}
gates: dict[str, threading.Event] = {}
in_hand = most = pieces = 0


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    global in_hand, most
    in_hand += 1
    most = max(most, in_hand)
    try:
        argument = unquote(environ["QUERY_STRING"])
        page = pages.get(environ["PATH_INFO"])
        if page is None:
            return answer(environ, start_response, "no such page", "404 Not Found")
        if page is stream:
            return stream(argument, start_response)
        return answer(environ, start_response, page(argument, environ))
    finally:
        in_hand -= 1


def answer(environ: dict[str, Any], start_response: Callable[..., Any], text: str, status: str = "200 OK") -> list[bytes]:
    body = text.encode()
    headers = [("Content-Length", str(len(body))), ("X-Worker-Pid", str(os.getpid()))]
    if "HTTP_X_REQUEST_NUMBER" in environ:
        headers.append(("X-Request-Number", environ["HTTP_X_REQUEST_NUMBER"]))
    start_response(status, headers)
    return [body]


def hello(argument: str, environ: dict[str, Any]) -> str:
    return "hello"


def patched(argument: str, environ: dict[str, Any]) -> str:
    return " ".join(f"{name}={module}" for name, module in PATCHED_AT_IMPORT.items())


def sleep(argument: str, environ: dict[str, Any]) -> str:
    time.sleep(float(argument))
    return "slept"


def meet(argument: str, environ: dict[str, Any]) -> str:
    """Returns when so many are in the app at once."""
    barriers.setdefault(argument, threading.Barrier(int(argument))).wait(timeout=15)
    return "met"


def remember(argument: str, environ: dict[str, Any]) -> str:
    local.word = argument
    time.sleep(0.05)
    return local.word


def forgotten(argument: str, environ: dict[str, Any]) -> str:
    return str(hasattr(local, "word"))


def locked(argument: str, environ: dict[str, Any]) -> str:
    with lock:
        time.sleep(0.001)
    return "had the lock"


def look_up(argument: str, environ: dict[str, Any]) -> str:
    """Over a socket of its own to this very worker, which would wait for itself if it were blocked."""
    with socket.create_connection(("127.0.0.1", int(argument)), timeout=10) as peer:
        peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
        received = b"".join(iter(lambda: peer.recv(65536), b""))
    return received.rpartition(b"\r\n\r\n")[2].decode()


def wait(argument: str, environ: dict[str, Any]) -> str:
    gates.setdefault(argument, threading.Event()).wait()
    return "waited"


def open_gate(argument: str, environ: dict[str, Any]) -> str:
    gates.setdefault(argument, threading.Event()).set()
    return "opened"


def upload(argument: str, environ: dict[str, Any]) -> str:
    return str(len(environ["wsgi.input"].read()))


def most_in_hand(argument: str, environ: dict[str, Any]) -> str:
    return str(most)


def now_in_hand(argument: str, environ: dict[str, Any]) -> str:
    return str(in_hand - 1)


def sent_pieces(argument: str, environ: dict[str, Any]) -> str:
    return str(pieces)


def fail(argument: str, environ: dict[str, Any]) -> str:
    time.sleep(0)
    raise RuntimeError("raised on purpose")


def leave(argument: str, environ: dict[str, Any]) -> str:
    raise SystemExit("an app has no business to exit")


def block(argument: str, environ: dict[str, Any]) -> str:
    """Without the library's knowledge."""
    import ctypes

    left = int(argument)
    while left > 0:  # a signal ends sleep(3) early
        left = ctypes.CDLL(None).sleep(left)
    return "blocked"


def stream(argument: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """So many MiB in pieces of 64 KiB."""
    global pieces
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    pieces = 0
    for _ in range(int(argument) * 16):
        yield bytes(65536)
        pieces += 1


pages: dict[str, Any] = {"/": hello}
for page in (
    *(patched, sleep, meet, remember, forgotten, locked, look_up, wait, open_gate, upload),
    *(most_in_hand, now_in_hand, sent_pieces, fail, leave, block, stream),
):
    pages[f"/{page.__name__}"] = page
