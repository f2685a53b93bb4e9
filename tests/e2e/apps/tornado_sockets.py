"""A tornado Application of WebSockets, and of handlers that take the client's stream for themselves."""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import tornado.web
from tornado.httputil import HTTPMessageDelegate
from tornado.iostream import StreamClosedError
from tornado.routing import Matcher, ReversibleRuleRouter, Rule, Router
from tornado.websocket import WebSocketHandler

counts: Counter[str] = Counter()
VERSION = (Path(__file__).parent / "version").read_text()


class Counts(tornado.web.RequestHandler):
    def get(self) -> None:
        self.set_header("X-Worker-Pid", os.getpid())
        self.set_header("X-Request-Number", self.request.headers.get("X-Request-Number", ""))
        self.write(str(counts[self.get_argument("of")]))


class Block(tornado.web.RequestHandler):
    def get(self) -> None:
        time.sleep(float(self.get_argument("s")))
        self.write("blocked")


class Echo(WebSocketHandler):
    def open(self) -> None:
        counts["open"] += 1

    def on_message(self, message: str | bytes) -> None:
        self.write_message(message, binary=isinstance(message, bytes))

    def on_ping(self, data: bytes) -> None:
        counts["pings"] += 1

    def on_close(self) -> None:
        counts["open"] -= 1
        counts[f"closed_{self.close_code}_{self.close_reason}"] += 1


class Compressed(Echo):
    def get_compression_options(self) -> dict[str, Any]:
        return {}


class Hello(WebSocketHandler):
    async def open(self) -> None:
        await self.write_message(f"{VERSION} {os.getpid()}")


class Choosy(WebSocketHandler):
    """Shows its request; takes the last subprotocol; has a field of its own in the answer."""

    def prepare(self) -> None:
        self.set_header("X-Own", "yes")

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[-1] if subprotocols else None

    def open(self) -> None:
        request = self.request
        shown = {"path": request.path, "query": request.query, "ip": request.remote_ip, "protocol": request.protocol}
        self.write_message(shown)


class Close(WebSocketHandler):
    def open(self) -> None:
        self.close(4001, "enough")


class Refuse(WebSocketHandler):
    def prepare(self) -> None:
        self.send_error(429)


class Late(WebSocketHandler):
    """Thinks before it accepts: the client may have gone by then."""

    async def prepare(self) -> None:
        counts["late_thinks"] += 1
        while counts["late_may_go"] == 0:
            await asyncio.sleep(0.01)

    def on_close(self) -> None:
        counts["late_closed"] += 1


class LetGo(tornado.web.RequestHandler):
    def get(self) -> None:
        counts["late_may_go"] += 1


class Flood(WebSocketHandler):
    """1024 messages of 64 KiB, as fast as the client takes them."""

    async def open(self) -> None:
        for _ in range(1024):
            await self.write_message(bytes(65536), binary=True)
            counts["flood"] += 1


class Events(tornado.web.RequestHandler):
    """Server-sent events, written by hand."""

    async def get(self) -> None:
        stream = self.detach()
        await stream.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for number in range(3):
            await stream.write(f"data: {number}\n\n".encode())
        stream.close()


class Shout(tornado.web.RequestHandler):
    """A protocol of its own: lines come back in capitals."""

    async def get(self) -> None:
        self.set_status(101)
        self.set_header("Upgrade", "shout")
        self.set_header("Connection", "Upgrade")
        self.finish()
        stream = self.detach()
        try:
            while True:
                await stream.write((await stream.read_until(b"\n")).upper())
        except StreamClosedError:
            counts["shout_ended"] += 1


class Switch(tornado.web.RequestHandler):
    """Says 101, and then forgets what it wanted the stream for."""

    def get(self) -> None:
        self.set_status(101)


class TooLate(tornado.web.RequestHandler):
    async def get(self) -> None:
        self.write("begun")
        await self.flush()
        self.detach()


class Raw(HTTPMessageDelegate):
    """No handler: takes the stream when the head has come, as tornado's reference says."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def headers_received(self, start_line: Any, headers: Any) -> None:
        stream = self.connection.detach()
        stream.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nraw {start_line.path}".encode())
        stream.close()


class RawRouter(Router):
    def find_handler(self, request: Any, **kwargs: Any) -> Any:
        return Raw(request.connection)


application = tornado.web.Application(
    [
        ("/counts", Counts),
        ("/block", Block),
        ("/echo", Echo),
        ("/compressed", Compressed),
        ("/hello", Hello),
        ("/choosy", Choosy),
        ("/close", Close),
        ("/refuse", Refuse),
        ("/late", Late),
        ("/let_go", LetGo),
        ("/flood", Flood),
        ("/events", Events),
        ("/shout", Shout),
        ("/switch", Switch),
        ("/too_late", TooLate),
    ],
    websocket_max_message_size=1 << 20,
)


class PathIs(Matcher):
    def __init__(self, path: str) -> None:
        self.path = path

    def match(self, request: Any) -> dict[str, Any] | None:
        return {} if request.path == self.path else None


class Anything(Matcher):
    def match(self, request: Any) -> dict[str, Any]:
        return {}


app = ReversibleRuleRouter([Rule(PathIs("/raw"), RawRouter()), Rule(Anything(), application)])
