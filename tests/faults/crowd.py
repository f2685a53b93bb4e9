"""The crowd: clients of every kind at once, which number their requests and know what became of each.

Fresh connections, kept ones, slow answers and uploads in pieces come from loadgen; large streams that are read slowly,
and WebSockets, from here."""

import asyncio
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from harness.load import Load
from harness.talk import SERVICE_RESTART
from harness.waiting import wait_until

EVERYTHING = ("--mark", "--examples", "10000")
STREAM_SIZE = 1 << 20
KINDS = {
    "kept": ("/", 6, ("--think", "10")),
    "fresh": ("/", 3, ("--think", "20", "--fresh")),
    "slow": ("/slow?ms=50", 2, ("--think", "10")),
    "upload": ("/upload", 2, ("--upload", "65536", "--chunk", "8192", "--chunk-pause", "10", "--expect-echo")),
}
# For hours on end, beside much else.
QUIET_KINDS = {
    kind: (path, max(connections // 3, 1), ("--think", "40", *options[2:]) if options[0] == "--think" else options)
    for kind, (path, connections, options) in KINDS.items()
}
# What certificates name requests by.
PATHS = {kind: path.partition("?")[0] for kind, (path, _, _) in KINDS.items()} | {"stream": "/stream"}


CODE = (Path(__file__).parent / "apps" / "every_kind.py").read_text()


def write_code(folder: Path, version: str, more: str = "") -> Path:
    """A folder with the crowd's app in it, in some version; `more` is put at its end."""
    folder.mkdir(exist_ok=True)
    (folder / "every_kind.py").write_text(CODE.replace('VERSION = "1"', f'VERSION = "{version}"') + more)
    # Python takes a pyc for current if source size and whole second are the same (harness/apps.py).
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    return folder


@dataclass(frozen=True)
class Site:
    """An app of apps/every_kind.py under load. `live`: it is the ASGI one, which has WebSockets."""

    name: str
    port: int
    live: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Lost:
    """A request without its answer. `peer`: who gave the last answer on its connection, 0: nobody yet."""

    site: str
    kind: str
    number: int
    how: str
    peer: int
    at: float  # wall clock


class Crowd:
    """All kinds of clients on all sites, from the first answer on every connection until the end of the block."""

    def __init__(self, *sites: Site, kinds: dict[str, tuple[str, int, tuple[str, ...]]] = KINDS) -> None:
        self._kinds = kinds
        self.answered: Counter[tuple[str, str]] = Counter()  # by site and kind
        self.lost: list[Lost] = []
        self.sent_away = 0  # WebSockets that were closed with 1012, as drained workers do
        self._sites = sites
        self._loads: dict[tuple[str, str], tuple[Load, float]] = {}
        self._stack = ExitStack()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._walk()))

    def __enter__(self) -> "Crowd":
        with ExitStack() as stack:
            for site in self._sites:
                for kind, (path, connections, options) in self._kinds.items():
                    load = Load(site.url + path, connections=connections, options=(*options, *EVERYTHING))
                    self._loads[site.name, kind] = (load, time.time())
                    stack.enter_context(load)
            self._thread.start()
            stack.callback(self._end_walkers)
            walkers = sum(2 if site.live else 1 for site in self._sites)
            wait_until(lambda: len(self.answered) >= walkers, "streams and WebSockets have had answers", 30)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)
        for (site, what), (load, begun) in self._loads.items():
            self.answered[site, what] += load.report["ok"]
            examples = load.report["examples"]
            assert len(examples) == load.report["failed"], "every failure is described"
            self.lost += [
                Lost(site, what, one["number"], one["failure"], int(one["peer"] or 0), begun + one["at_s"])
                for one in examples
            ]

    def progress(self) -> None:
        """Waits until every kind of client of every site has had another answer."""
        before = self._counts()
        wait_until(
            lambda: all(count > before[key] for key, count in self._counts().items()), "every client has an answer", 30
        )

    def assert_nothing_lost(self) -> None:
        assert not self.lost, "\n".join(map(str, self.lost[:20]))
        assert all(self.answered[site.name, kind] for site in self._sites for kind in KINDS), self.answered

    def _counts(self) -> Counter[tuple[str, str]]:
        return self.answered + Counter({key: load.snapshot()["ok"] for key, (load, _) in self._loads.items()})

    # --- clients of our own -----------------------------------------------------------------------

    async def _walk(self) -> None:
        walks: list[Coroutine[Any, Any, None]] = []
        for site in self._sites:
            walks.append(self._repeat(site, "stream", self._stream))
            if site.live:
                walks.append(self._talk(site))
        await asyncio.gather(*walks)

    def _end_walkers(self) -> None:
        self._stopping.set()
        self._thread.join()

    async def _repeat(self, site: Site, kind: str, once: Callable[[Site, int], Coroutine[Any, Any, None]]) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            await once(site, number)

    def _fail(self, site: Site, kind: str, number: int, how: str, peer: int) -> None:
        self.lost.append(Lost(site.name, kind, number, how, peer, time.time()))

    async def _stream(self, site: Site, number: int) -> None:
        """A megabyte, of which a part is read every few milliseconds."""
        peer = 0
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1 << 16)
            try:
                request = f"GET /stream?size={STREAM_SIZE}&n={number} HTTP/1.1\r\nHost: a\r\nX-Request-Number: {number}\r\n\r\n"
                writer.write(request.encode())
                head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).decode()
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
                peer = int(fields["x-worker-pid"])
                body = await asyncio.wait_for(self._slowly(reader, fields), 60)
            finally:
                writer.close()
            lines = body.decode().splitlines()
            if lines != [f"{number} {line:08d}" for line in range(len(lines))] or len(body) < STREAM_SIZE:
                self._fail(site, "stream", number, "body", peer)
            else:
                self.answered[site.name, "stream"] += 1
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self._fail(site, "stream", number, how_of(error), peer)

    async def _slowly(self, reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
        assert fields["transfer-encoding"] == "chunked", fields
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            assert await reader.readexactly(2) == b"\r\n"
            await asyncio.sleep(0.002)
        assert await reader.readexactly(2) == b"\r\n"
        return body

    async def _talk(self, site: Site) -> None:
        """A WebSocket on which each number comes back; one that is sent away comes again."""
        number = 0
        while not self._stopping.is_set():
            peer = 0
            try:
                async with websockets.connect(f"ws://127.0.0.1:{site.port}/", close_timeout=5, open_timeout=30) as socket:
                    peer = int(socket.response_headers["x-worker-pid"])
                    while not self._stopping.is_set():
                        number += 1
                        await socket.send(str(number))
                        if await asyncio.wait_for(socket.recv(), 30) != str(number):
                            self._fail(site, "websocket", number, "number", peer)
                        self.answered[site.name, "websocket"] += 1
                        await asyncio.sleep(0.01)
            except ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code == SERVICE_RESTART:
                    self.sent_away += 1
                else:
                    how = "eof" if closed.rcvd is None else f"closed with {closed.rcvd.code}"
                    self._fail(site, "websocket", number, how, peer)
            except (OSError, EOFError, InvalidHandshake, asyncio.TimeoutError) as error:
                self._fail(site, "websocket", number, how_of(error), peer)


def how_of(error: Exception) -> str:
    """In loadgen's words, where it has one."""
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "reset"
    if isinstance(error, (EOFError, InvalidMessage)):  # closed within an answer, or before it
        return "eof"
    return type(error).__name__
