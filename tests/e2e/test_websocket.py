"""WebSockets as an independent client sees them: messages, closing, bounds, and a pool that changes under them."""

import ast
import asyncio
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from harness import http as web
from harness import processes
from harness.appd import DONE, Appd
from harness.apps import copy_app
from harness.ports import free_port
from harness.talk import SERVICE_RESTART, alive, close_code, refused, talk
from harness.waiting import stands_still, wait_until

MEMORY_KB = 16 * 1024


class Sockets:
    """The app apps/sockets.py in one worker."""

    def __init__(self, appd: Appd, port: int) -> None:
        self.appd = appd
        self.port = port
        (self.pid,) = appd.ready_pids("sockets")

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def count(self, what: str) -> int:
        return int(web.request(self.port, f"/?{what}").text)


def create(appd: Appd, folder: Path, port: int, *more: str) -> Path:
    copy_app("sockets", folder)
    (folder / "version").write_text("1")
    appd.create("sockets", folder, port, *more, app="sockets:app").expect(DONE)
    return folder


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def sockets(module_appd: Appd, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Sockets]:
    port = free_port()
    limits = ("--ws-max-size", "1MiB")
    create(module_appd, tmp_path_factory.mktemp(request.param), port, "--loop", request.param, *limits)
    sockets = Sockets(module_appd, port)
    yield sockets
    assert module_appd.ready_pids("sockets") == {sockets.pid}, "one worker has served all of it"
    module_appd.ok("delete", "sockets")


# --- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize(
    "message",
    ["", "text", "grüß dich 🦊", b"", bytes(range(256)), "long " * 100_000, bytes(1 << 20)],
    ids=["empty text", "text", "unicode", "no bytes", "bytes", "long text", "a MiB"],
)
def test_messages_come_back_as_they_were_sent(sockets: Sockets, message: str | bytes, compression: str | None) -> None:
    async def echo(socket: Any) -> Any:
        await socket.send(message)
        return await socket.recv()

    assert talk(sockets.url("/echo"), echo, compression=compression) == message


def test_fragments_are_one_message_and_pings_may_come_between(sockets: Sockets) -> None:
    async def fragments() -> Any:
        for piece in ("one ", "two ", "three"):
            yield piece

    async def echo(socket: Any) -> Any:
        await socket.send(fragments())
        await (await socket.ping())
        return await socket.recv()

    assert talk(sockets.url("/echo"), echo) == "one two three"


def test_thousand_messages_keep_their_order(sockets: Sockets) -> None:
    async def echo(socket: Any) -> Any:
        for number in range(1000):
            await socket.send(str(number))
        return [await socket.recv() for _ in range(1000)]

    assert talk(sockets.url("/echo"), echo) == [str(number) for number in range(1000)]


def test_scope_subprotocol_and_headers(sockets: Sockets) -> None:
    async def look(socket: Any) -> Any:
        return await socket.recv(), socket.subprotocol, socket.response_headers["x-own"]

    shown, subprotocol, own = talk(sockets.url("/show_scope?a=%20b"), look, subprotocols=["one", "two"])
    assert ast.literal_eval(shown) == {
        "type": "websocket",
        "scheme": "ws",
        "path": "/show_scope",
        "query_string": b"a=%20b",
        "subprotocols": ["one", "two"],
        "http_version": "1.1",
    }
    assert (subprotocol, own) == ("two", "yes")


# --- refusing and closing -----------------------------------------------------------------------


def test_app_may_refuse_and_say_why(sockets: Sockets) -> None:
    assert refused(sockets.url("/refuse")).status_code == 403
    denial = refused(sockets.url("/deny"))
    assert (denial.status_code, denial.headers["x-reason"]) == (429, "full")


def test_exception_before_accepting_is_a_500(sockets: Sockets) -> None:
    sockets.appd.expect_error('event=app_exception .*path="/fail_before"')
    assert refused(sockets.url("/fail_before")).status_code == 500


def test_app_closes_with_its_own_code(sockets: Sockets) -> None:
    assert close_code(sockets.url("/close")) == (4001, "enough")


def test_app_that_just_returns_closes_normally(sockets: Sockets) -> None:
    assert close_code(sockets.url("/leave"))[0] == 1000


def test_exception_closes_with_1011_and_a_traceback_in_the_log(sockets: Sockets) -> None:
    sockets.appd.expect_error("event=app_exception")
    assert close_code(sockets.url("/fail"))[0] == 1011
    assert "raised on purpose" in Path(sockets.appd.observed("sockets")["log_path"]).read_text()


def test_message_over_the_limit_closes_with_1009(sockets: Sockets) -> None:
    assert close_code(sockets.url("/echo"), bytes((1 << 20) + 1))[0] == 1009


def test_app_is_told_how_the_client_closed(sockets: Sockets) -> None:
    before = sockets.count("closed_4444_bye")

    async def leave(socket: Any) -> None:
        await socket.close(4444, "bye")

    talk(sockets.url("/echo"), leave)
    wait_until(lambda: sockets.count("closed_4444_bye") == before + 1, "the app knows")


def test_client_that_vanishes_is_1006_for_the_app(sockets: Sockets) -> None:
    before = sockets.count("closed_1006_")

    async def vanish(socket: Any) -> None:
        await socket.send("hello")
        await socket.recv()
        socket.transport.abort()

    talk(sockets.url("/echo"), vanish)
    wait_until(lambda: sockets.count("closed_1006_") == before + 1, "the app knows")


def test_sending_to_a_client_that_has_gone_raises_oserror(sockets: Sockets) -> None:
    before = sockets.count("endless_ended")

    async def vanish(socket: Any) -> None:
        await socket.recv()
        socket.transport.abort()

    talk(sockets.url("/endless"), vanish)
    wait_until(lambda: sockets.count("endless_ended") == before + 1, "the app has ended")


def test_frame_without_a_mask_is_refused(sockets: Sockets) -> None:
    with web.connect(sockets.port) as client:
        client.sendall(
            b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        client.sendall(b"\x81\x02hi")
        raw = web.read_to_end(client)
    head, _, frame = raw.partition(b"\r\n\r\n")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert frame[:1] == b"\x88" and struct.unpack("!H", frame[2:4]) == (1002,)


# --- slow clients, slow apps --------------------------------------------------------------------


def test_app_waits_for_a_client_that_does_not_read(sockets: Sockets) -> None:
    before = processes.resident_kb(sockets.pid)

    async def read_late(socket: Any) -> int:
        await asyncio.to_thread(wait_until, stands_still(lambda: sockets.count("flood")), "send() waits")
        assert await asyncio.to_thread(sockets.count, "flood") < 512
        assert processes.resident_kb(sockets.pid) - before < MEMORY_KB
        return sum([len(await socket.recv()) for _ in range(1024)])

    assert talk(sockets.url("/flood"), read_late, compression=None, max_queue=1) == 64 << 20


def test_client_waits_for_an_app_that_does_not_receive(sockets: Sockets) -> None:
    before = processes.resident_kb(sockets.pid)

    async def send_all(socket: Any) -> str:
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(1024):
                await socket.send(bytes(65536))
                sent += 1

        sending = asyncio.create_task(send())
        await asyncio.to_thread(wait_until, stands_still(lambda: sent), "the client is held up")
        assert sent < 512
        assert processes.resident_kb(sockets.pid) - before < MEMORY_KB
        await asyncio.to_thread(close_code, sockets.url("/listen"))
        await sending
        return await socket.recv()

    assert talk(sockets.url("/deaf"), send_all, compression=None) == str(64 << 20)


def test_client_that_does_not_answer_pings_is_closed(appd: Appd, port: int, tmp_path: Path) -> None:
    create(appd, tmp_path / "app", port, "--ws-ping-interval", "200ms", "--ws-ping-timeout", "200ms")
    sockets = Sockets(appd, port)
    with web.connect(port) as client:
        client.sendall(
            b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        frames = web.read_to_end(client).partition(b"\r\n\r\n")[2]
    assert frames[:2] == b"\x89\x00", "a ping"
    assert frames[2:3] == b"\x88", "and then the end"
    wait_until(lambda: sockets.count("open") == 0, "the app was told")


# --- a pool that changes ------------------------------------------------------------------------


def test_reload_closes_200_sockets_with_1012_and_they_find_the_new_code(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = create(appd, tmp_path / "app", port, "--workers", "2", "--ws-drain-timeout", "300ms")
    url = f"ws://127.0.0.1:{port}/hello"

    async def stay(opened: asyncio.Semaphore) -> tuple[str, int, str]:
        """What it hears at first, how it ends, and what it hears after it has come back."""
        async with websockets.connect(url) as socket:
            first = await socket.recv()
            opened.release()
            await socket.wait_closed()
        async with websockets.connect(url) as again:
            return first, socket.close_code, await again.recv()

    async def reload_under_all() -> list[tuple[str, int, str]]:
        opened = asyncio.Semaphore(0)
        stays = [asyncio.create_task(stay(opened)) for _ in range(200)]
        for _ in stays:
            await opened.acquire()
        (folder / "version").write_text("2")
        await asyncio.to_thread(appd.ok, "reload", "sockets")
        return await asyncio.gather(*stays)

    heard = asyncio.run(asyncio.wait_for(reload_under_all(), 60))
    assert {first.split()[0] for first, _, _ in heard} == {"1"}
    assert {code for _, code, _ in heard} == {SERVICE_RESTART}
    assert {again.split()[0] for _, _, again in heard} == {"2"}


def test_scaling_down_sends_away_only_those_of_the_workers_that_leave(appd: Appd, port: int, tmp_path: Path) -> None:
    create(appd, tmp_path / "app", port, "--workers", "3", "--ws-drain-timeout", "300ms")
    url = f"ws://127.0.0.1:{port}/echo"

    async def scale_down() -> tuple[list[int], list[str]]:
        sockets = [await websockets.connect(url) for _ in range(30)]
        await asyncio.to_thread(appd.ok, "scale", "sockets", "--workers", "1")
        # All of the leaving workers' sockets were closed before these went.
        gone = [socket for socket in sockets if not await alive(socket)]
        left = [socket for socket in sockets if socket not in gone]
        codes = [socket.close_code for socket in gone]
        words = []
        for socket in left:
            await socket.send("still here")
            words.append(await socket.recv())
            await socket.close()
        return codes, words

    codes, words = asyncio.run(asyncio.wait_for(scale_down(), 60))
    assert len(codes) + len(words) == 30
    assert set(codes) <= {SERVICE_RESTART}
    assert set(words) <= {"still here"}
