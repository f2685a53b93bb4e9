"""tornado's own WebSocketHandler, and other handlers that detach the client's stream."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from harness import http as web
from harness import processes
from harness.appd import DONE, Appd
from harness.apps import copy_app
from harness.load import Load
from harness.ports import free_port
from harness.talk import SERVICE_RESTART, alive, close_code, refused, talk
from harness.waiting import stands_still, wait_until

HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MEMORY_KB = 32 * 1024
CONNECTIONS = 8  # of the load beside WebSockets


class Sockets:
    """The app apps/tornado_sockets.py."""

    def __init__(self, appd: Appd, port: int) -> None:
        self.appd = appd
        self.port = port

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def count(self, what: str) -> int:
        return int(web.request(self.port, f"/counts?of={what}").text)

    def connections(self) -> int:
        """What the scoreboard says, over all workers."""
        return sum(worker.get("connections", 0) for worker in self.appd.workers("sockets"))

    def wait_for_nobody(self) -> None:
        wait_until(lambda: self.connections() == 0, "no connection is counted any more")


def create(appd: Appd, folder: Path, port: int, *more: str) -> Sockets:
    copy_app("tornado_sockets", folder)
    (folder / "version").write_text("1")
    appd.create("sockets", folder, port, "--worker-class", "tornado", *more, app="tornado_sockets:app").expect(DONE)
    return Sockets(appd, port)


@pytest.fixture(scope="module")
def sockets(module_appd: Appd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sockets]:
    sockets = create(module_appd, tmp_path_factory.mktemp("app"), free_port())
    pids = module_appd.ready_pids("sockets")
    yield sockets
    sockets.wait_for_nobody()
    assert module_appd.ready_pids("sockets") == pids, "one worker has served all of it"
    module_appd.ok("delete", "sockets")


# --- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/echo", "/compressed"])
@pytest.mark.parametrize(
    "message",
    ["", "text", "grüß dich 🦊", b"", bytes(range(256)), "long " * 100_000, bytes(1 << 20)],
    ids=["empty text", "text", "unicode", "no bytes", "bytes", "long text", "a MiB"],
)
def test_messages_come_back_as_they_were_sent(sockets: Sockets, path: str, message: str | bytes) -> None:
    async def echo(client: Any) -> Any:
        await client.send(message)
        return await client.recv()

    assert talk(sockets.url(path), echo) == message


def test_compression_is_what_the_handler_says(sockets: Sockets) -> None:
    async def extensions(client: Any) -> Any:
        return [extension.name for extension in client.extensions]

    assert talk(sockets.url("/echo"), extensions) == []
    assert talk(sockets.url("/compressed"), extensions) == ["permessage-deflate"]


def test_thousand_messages_and_pings_keep_their_order(sockets: Sockets) -> None:
    before = sockets.count("pings")

    async def echo(client: Any) -> Any:
        for number in range(1000):
            await client.send(str(number))
        echoes = [await client.recv() for _ in range(1000)]
        await (await client.ping())
        return echoes

    assert talk(sockets.url("/echo"), echo) == [str(number) for number in range(1000)]
    assert sockets.count("pings") == before + 1


def test_frames_sent_with_the_handshake_are_the_streams_first_bytes(sockets: Sockets) -> None:
    hi = b"\x81\x82\x00\x00\x00\x00hi"
    with web.connect(sockets.port) as client:
        client.sendall(HANDSHAKE + hi + hi[:3])
        received = b""
        while b"\x81\x02hi" not in received:
            received += client.recv(4096)
        client.sendall(hi[3:] + b"\x88\x80\x00\x00\x00\x00")
        rest = web.read_to_end(client)
    assert received.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nSec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in received
    assert rest == b"\x81\x02hi\x88\x00"


def test_kept_connection_may_become_a_websocket(sockets: Sockets) -> None:
    with web.connect(sockets.port) as client:
        for _ in range(3):
            client.sendall(b"GET /counts?of=nothing HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(4096).endswith(b"\r\n\r\n0")
        client.sendall(HANDSHAKE)
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        client.sendall(b"\x81\x82\x00\x00\x00\x00hi\x88\x80\x00\x00\x00\x00")
        assert web.read_to_end(client) == b"\x81\x02hi\x88\x00"


def test_request_subprotocol_and_fields_of_the_answer(sockets: Sockets) -> None:
    async def look(client: Any) -> Any:
        return json.loads(await client.recv()), client.subprotocol, client.response_headers["x-own"]

    shown, subprotocol, own = talk(sockets.url("/choosy?a=%20b"), look, subprotocols=["one", "two"])
    assert shown == {"path": "/choosy", "query": "a=%20b", "ip": "127.0.0.1", "protocol": "http"}
    assert (subprotocol, own) == ("two", "yes")


def test_slow_reader_holds_the_handler_back(sockets: Sockets) -> None:
    (pid,) = sockets.appd.ready_pids("sockets")
    before = processes.resident_kb(pid)

    async def read_late(client: Any) -> int:
        await asyncio.to_thread(wait_until, stands_still(lambda: sockets.count("flood")), "write_message() waits")
        assert await asyncio.to_thread(sockets.count, "flood") < 512
        assert processes.resident_kb(pid) - before < MEMORY_KB
        return sum([len(await client.recv()) for _ in range(1024)])

    assert talk(sockets.url("/flood"), read_late, max_queue=1) == 64 << 20


# --- refusing and closing -----------------------------------------------------------------------


def test_handlers_refuse_before_the_handshake(sockets: Sockets) -> None:
    assert refused(sockets.url("/refuse")).status_code == 429
    assert refused(sockets.url("/echo"), origin="http://elsewhere").status_code == 403
    assert web.request(sockets.port, "/echo").status == 400, "no upgrade was asked for"
    assert web.request(sockets.port, "/counts?of=open").status == 200


def test_both_sides_may_close_with_a_code(sockets: Sockets) -> None:
    before = sockets.count("closed_4444_bye")

    async def leave(client: Any) -> None:
        await client.close(4444, "bye")

    talk(sockets.url("/echo"), leave)
    wait_until(lambda: sockets.count("closed_4444_bye") == before + 1, "the handler knows")
    assert close_code(sockets.url("/close")) == (4001, "enough")


def test_message_over_the_handlers_limit_closes_with_1009(sockets: Sockets) -> None:
    assert close_code(sockets.url("/echo"), bytes((1 << 20) + 1))[0] == 1009


def test_clients_that_vanish_are_noticed_and_not_counted_any_more(sockets: Sockets) -> None:
    before = sockets.count("closed_None_None")

    async def vanish(client: Any) -> None:
        await client.send("hello")
        await client.recv()
        client.transport.abort()

    for _ in range(5):
        talk(sockets.url("/echo"), vanish)
    wait_until(lambda: sockets.count("closed_None_None") == before + 5, "the handlers know")
    assert sockets.count("open") == 0
    sockets.wait_for_nobody()


def test_client_that_has_gone_before_the_handler_accepts(sockets: Sockets) -> None:
    with web.connect(sockets.port) as client:
        client.sendall(HANDSHAKE.replace(b"/echo", b"/late"))
        wait_until(lambda: sockets.count("late_thinks") == 1, "the handler thinks")
    wait_until(lambda: sockets.connections() == 0, "it has gone")
    web.request(sockets.port, "/let_go")
    wait_until(lambda: sockets.count("late_closed") == 1, "the handler knows")


# --- other uses of the stream -------------------------------------------------------------------


def test_handler_may_write_its_whole_answer_to_the_stream(sockets: Sockets) -> None:
    raw = web.send_raw(sockets.port, b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
    assert raw.endswith(b"text/event-stream\r\nConnection: close\r\n\r\ndata: 0\n\ndata: 1\n\ndata: 2\n\n")


def test_handler_may_switch_to_a_protocol_of_its_own(sockets: Sockets) -> None:
    before = sockets.count("shout_ended")
    with web.connect(sockets.port) as client:
        client.sendall(b"GET /shout HTTP/1.1\r\nHost: a\r\nUpgrade: shout\r\nConnection: Upgrade\r\n\r\nearly\n")
        received = b""
        while not received.endswith(b"EARLY\n"):
            received += client.recv(4096)
        assert received.startswith(b"HTTP/1.1 101 ") and b"\r\nUpgrade: shout\r\n" in received
        client.sendall(b"later\n")
        assert client.recv(4096) == b"LATER\n"
    wait_until(lambda: sockets.count("shout_ended") == before + 1, "the handler knows that the client has gone")


def test_delegate_may_detach_when_the_head_has_come(sockets: Sockets) -> None:
    assert web.request(sockets.port, "/raw").text == "raw /raw"


def test_stream_cannot_be_had_after_the_answer_has_begun(sockets: Sockets) -> None:
    sockets.appd.expect_error('event=asgi_response_incomplete .*path="?/too_late')
    raw = web.send_raw(sockets.port, b"GET /too_late HTTP/1.1\r\nHost: a\r\n\r\n")
    assert raw.endswith(b"\r\n\r\n5\r\nbegun\r\n"), "and no end"
    log = Path(sockets.appd.observed("sockets")["log_path"]).read_text()
    assert "RuntimeError: detach() comes before the answer, or after a 101 that is finished" in log


def test_handler_that_switches_and_does_not_take_the_stream_is_an_error(sockets: Sockets) -> None:
    sockets.appd.expect_error('event=asgi_response_incomplete .*path="?/switch')
    assert web.request(sockets.port, "/switch").status == 500


# --- a pool that changes ------------------------------------------------------------------------


def test_reload_closes_100_sockets_with_1012_and_they_find_the_new_code(appd: Appd, port: int, tmp_path: Path) -> None:
    sockets = create(appd, tmp_path / "app", port, "--workers", "2", "--ws-drain-timeout", "300ms")

    async def stay(opened: asyncio.Semaphore) -> tuple[str, int, str]:
        """What it hears at first, how it ends, and what it hears after it has come back."""
        async with websockets.connect(sockets.url("/hello")) as client:
            first = await client.recv()
            opened.release()
            await client.wait_closed()
        async with websockets.connect(sockets.url("/hello")) as again:
            return first, client.close_code, await again.recv()

    async def reload_under_all() -> list[tuple[str, int, str]]:
        opened = asyncio.Semaphore(0)
        stays = [asyncio.create_task(stay(opened)) for _ in range(100)]
        for _ in stays:
            await opened.acquire()
        assert await asyncio.to_thread(sockets.connections) == 100
        (tmp_path / "app" / "version").write_text("2")
        await asyncio.to_thread(appd.ok, "reload", "sockets")
        return await asyncio.gather(*stays)

    heard = asyncio.run(asyncio.wait_for(reload_under_all(), 60))
    assert {first.split()[0] for first, _, _ in heard} == {"1"}
    assert {code for _, code, _ in heard} == {SERVICE_RESTART}
    assert {again.split()[0] for _, _, again in heard} == {"2"}
    sockets.wait_for_nobody()


def test_scaling_with_100_sockets_open_sends_away_only_those_of_the_workers_that_leave(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    sockets = create(appd, tmp_path / "app", port, "--workers", "2", "--ws-drain-timeout", "300ms")

    async def scale() -> tuple[list[int], list[str]]:
        clients = [await websockets.connect(sockets.url("/echo")) for _ in range(100)]
        await asyncio.to_thread(appd.ok, "scale", "sockets", "--workers", "5")
        assert all([await alive(client) for client in clients]), "more workers disturb nobody"
        await asyncio.to_thread(appd.ok, "scale", "sockets", "--workers", "1")
        gone = [client for client in clients if not await alive(client)]
        left = [client for client in clients if client not in gone]
        assert await asyncio.to_thread(sockets.connections) == len(left) + CONNECTIONS
        words = []
        for client in left:
            await client.send("still here")
            words.append(await client.recv())
            await client.close()
        return [client.close_code for client in gone], words

    with Load(f"http://127.0.0.1:{port}/counts?of=open", options=("--think", "5"), connections=CONNECTIONS) as load:
        codes, words = asyncio.run(asyncio.wait_for(scale(), 60))
    load.assert_nothing_lost()
    assert len(codes) + len(words) == 100
    assert set(codes) <= {SERVICE_RESTART}
    assert set(words) <= {"still here"}


def test_stream_that_is_no_websocket_may_go_on_until_graceful_timeout(appd: Appd, port: int, tmp_path: Path) -> None:
    sockets = create(appd, tmp_path / "app", port, "--ws-drain-timeout", "100ms", "--graceful-timeout", "20s")
    old = appd.ready_pids("sockets")
    with web.connect(port) as client:
        client.sendall(b"GET /shout HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")

        async def stay(other: Any) -> int:
            await asyncio.to_thread(appd.ok, "reload", "sockets", "--no-wait")
            await other.wait_closed()
            return other.close_code

        assert talk(sockets.url("/hello"), stay) == SERVICE_RESTART
        client.sendall(b"still here\n")
        assert client.recv(4096) == b"STILL HERE\n"
        assert appd.ready_pids("sockets").isdisjoint(old)
    wait_until(lambda: not any(processes.process(pid) for pid in old), "the old worker has gone with its last stream")


def test_stream_that_never_ends_is_cut_off_at_graceful_timeout(appd: Appd, port: int, tmp_path: Path) -> None:
    create(appd, tmp_path / "app", port, "--graceful-timeout", "500ms")
    with web.connect(port) as client:
        client.sendall(b"GET /shout HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        appd.ok("reload", "sockets")
        assert client.recv(4096) == b""


def test_worker_that_computes_keeps_its_sockets_and_gives_its_other_clients_away(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    sockets = create(appd, tmp_path / "app", port, "--workers", "2")

    async def talk_beside() -> None:
        clients = [await websockets.connect(sockets.url("/echo")) for _ in range(20)]
        blocking = [asyncio.to_thread(web.request, port, "/block?s=0.3") for _ in range(4)]
        blocked = asyncio.gather(*blocking)
        for number in range(50):
            for client in clients:
                await client.send(str(number))
            assert [await client.recv() for client in clients] == [str(number)] * len(clients)
        assert [answer.text for answer in await blocked] == ["blocked"] * 4
        for client in clients:
            await client.close()

    with Load(f"http://127.0.0.1:{port}/counts?of=open", options=("--think", "5"), connections=CONNECTIONS) as load:
        asyncio.run(asyncio.wait_for(talk_beside(), 60))
    load.assert_nothing_lost()
    sockets.wait_for_nobody()


def test_sockets_count_against_worker_connections(appd: Appd, port: int, tmp_path: Path) -> None:
    sockets = create(appd, tmp_path / "app", port, "--worker-connections", "3")

    async def fill() -> None:
        clients = [await websockets.connect(sockets.url("/echo")) for _ in range(3)]
        with web.connect(port) as waiting:
            waiting.sendall(b"GET /counts?of=open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            for client in clients:  # while it waits, they are served
                await client.send("here")
                assert await client.recv() == "here"
            waiting.setblocking(False)
            with pytest.raises(BlockingIOError):
                waiting.recv(1)
            waiting.setblocking(True)
            await clients.pop().close()
            assert (await asyncio.to_thread(web.read_to_end, waiting)).endswith(b"\r\n\r\n2")
        for client in clients:
            await client.close()

    asyncio.run(asyncio.wait_for(fill(), 30))


def test_client_that_does_not_answer_the_handlers_close_is_cut_off(appd: Appd, port: int, tmp_path: Path) -> None:
    create(appd, tmp_path / "app", port, "--ws-drain-timeout", "0s")
    with web.connect(port) as client:
        client.sendall(HANDSHAKE)
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        appd.ok("reload", "sockets")
        assert web.read_to_end(client).startswith(b"\x88\x11" + SERVICE_RESTART.to_bytes(2, "big"))
