"""ASGI 3.0 by its specification, on asyncio and on uvloop: scope, bodies, disconnects, tasks."""

import ast
import hashlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness import http as web
from harness import processes
from harness.appd import DONE, Appd
from harness.apps import copy_app
from harness.ports import free_port
from harness.waiting import stands_still, wait_until

MIB = 1 << 20
# What one slow client may cost a worker: buffers of the kernel and the engine, never the body.
MEMORY_KB = 16 * 1024


class Odd:
    """The app apps/asgi_odd.py in one worker."""

    def __init__(self, appd: Appd, name: str, port: int) -> None:
        self.appd = appd
        self.name = name
        self.port = port
        (self.pid,) = appd.ready_pids(name)

    def get(self, target: str, **more: Any) -> web.Answer:
        return web.request(self.port, target, **more)

    def json(self, target: str) -> Any:
        return json.loads(self.get(target).body)

    def count(self, what: str) -> int:
        return int(self.get("/count?" + what.replace(" ", "%20")).text)

    def raw(self, target: str, method: str = "GET", fields: str = "", body: bytes = b"") -> bytes:
        head = f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"
        return web.send_raw(self.port, head.encode() + body)

    def log(self) -> str:
        return Path(self.appd.observed(self.name)["log_path"]).read_text()


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def odd(module_appd: Appd, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Odd]:
    folder = copy_app("asgi_odd", tmp_path_factory.mktemp(request.param))
    name, port = f"odd-{request.param}", free_port()
    module_appd.create(name, folder, port, "--loop", request.param, app="asgi_odd:app").expect(DONE)
    odd = Odd(module_appd, name, port)
    yield odd
    assert module_appd.ready_pids(name) == {odd.pid}, "one worker has served all of it"


def test_loop_is_the_one_that_was_asked_for(odd: Odd) -> None:
    module = odd.get("/which_loop").text
    assert module.split(".")[0] == odd.name.removeprefix("odd-")


# --- scope --------------------------------------------------------------------------------------


def test_scope_is_what_the_specification_says(odd: Odd) -> None:
    headers = {"X-One": "1", "Host": "example.test", "Cookie": "a=b"}
    answer = odd.get("/show_scope/a%20b/%C3%BC?x=1&y=%20", method="PUT", body=b"", headers=headers)
    scope = ast.literal_eval(answer.text)
    assert scope["type"] == "http"
    assert scope["asgi"]["version"] == "3.0"
    assert scope["http_version"] == "1.1"
    assert scope["method"] == "PUT"
    assert scope["scheme"] == "http"
    assert scope["path"] == "/show_scope/a b/ü"
    assert scope["raw_path"] == b"/show_scope/a%20b/%C3%BC"
    assert scope["query_string"] == b"x=1&y=%20"
    assert scope["root_path"] == ""
    assert scope["server"] == ("127.0.0.1", odd.port)
    host, port = scope["client"]
    assert host == "127.0.0.1" and 0 < port < 65536
    fields = [tuple(pair) for pair in scope["headers"]]
    assert (b"x-one", b"1") in fields and (b"host", b"example.test") in fields
    assert all(name == name.lower() for name, _ in fields)


def test_repeated_request_headers_keep_their_order(odd: Odd) -> None:
    raw = odd.raw("/show_scope", fields="X-A: 1\r\nX-B: 2\r\nX-a: 3\r\n")
    scope = ast.literal_eval(raw.split(b"\r\n\r\n", 1)[1].decode())
    assert [pair for pair in scope["headers"] if pair[0].startswith(b"x-")] == [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")]


def test_http_1_0_is_told_apart(odd: Odd) -> None:
    raw = web.send_raw(odd.port, b"GET /show_scope HTTP/1.0\r\n\r\n")
    assert ast.literal_eval(raw.split(b"\r\n\r\n", 1)[1].decode())["http_version"] == "1.0"


# --- bodies of requests -------------------------------------------------------------------------


def test_body_arrives_whole(odd: Odd) -> None:
    body = bytes(range(256)) * 8192
    assert odd.get("/echo", method="POST", body=body).body == body
    assert odd.get("/echo", method="POST", body=b"").body == b""
    assert odd.get("/echo").body == b""


def test_body_reaches_the_app_piece_by_piece(odd: Odd) -> None:
    """Each piece is answered before the next one is sent."""
    with web.connect(odd.port) as client, client.makefile("rb") as answer:
        client.sendall(b"POST /echo_as_it_comes HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\none")
        while answer.readline() != b"\r\n":
            pass
        assert next_chunk(answer) == b"one"
        for piece in (b"two", b"six"):
            client.sendall(piece)
            assert next_chunk(answer) == piece
        assert next_chunk(answer) == b""


def next_chunk(answer: Any) -> bytes:
    size = int(answer.readline(), 16)
    return answer.read(size + 2)[:-2]


def test_chunked_body_reaches_the_app_piece_by_piece(odd: Odd) -> None:
    with web.connect(odd.port) as client, client.makefile("rb") as answer:
        client.sendall(b"POST /echo_as_it_comes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        while answer.readline() != b"\r\n":
            pass
        assert next_chunk(answer) == b"one"
        client.sendall(b"5;a=b\r\nthree\r\n")
        assert next_chunk(answer) == b"three"
        client.sendall(b"0\r\nX-Trailer: 1\r\n\r\nGET /which_loop HTTP/1.1\r\nHost: a\r\n\r\n")
        assert next_chunk(answer) == b""
        assert answer.readline() == b"HTTP/1.1 200 OK\r\n", "the connection goes on"


def test_client_has_to_wait_for_an_app_that_reads_late(odd: Odd) -> None:
    """64 MiB for an app that does not read yet: they stay with the client."""
    size, gate = 64 * MIB, "late"
    before = processes.resident_kb(odd.pid)
    with web.connect(odd.port) as client:
        client.sendall(f"POST /after_gate?{gate} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        sent = send_until_held_up(client, size)
        assert sent < 8 * MIB
        assert processes.resident_kb(odd.pid) - before < MEMORY_KB
        odd.get(f"/open_gate?{gate}")
        client.settimeout(20)
        sender = threading.Thread(target=client.sendall, args=(bytes(size - sent),))
        sender.start()
        head, _, body = read_answer(client)
        sender.join()
    got = json.loads(body)
    assert got["size"] == size
    assert got["sha256"] == hashlib.sha256(bytes(size)).hexdigest()
    assert got["most"] <= MIB, "it comes in pieces"
    assert processes.resident_kb(odd.pid) - before < MEMORY_KB


def send_until_held_up(client: socket.socket, most: int) -> int:
    """How much could be sent before nothing went for a moment."""
    piece, sent = bytes(65536), 0
    client.settimeout(0.5)
    while sent < most:
        try:
            sent += client.send(piece)
        except TimeoutError:
            break
    return sent


def read_answer(client: socket.socket) -> tuple[bytes, bytes, bytes]:
    """Head and body of an answer that has a Content-Length."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        part = client.recv(65536)
        assert part, raw
        raw += part
    head, mark, body = raw.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    assert length, head
    while len(body) < int(length[1]):
        body += client.recv(65536)
    return head, mark, body


def test_client_timeout_does_not_count_while_the_app_does_not_read(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("asgi_odd", tmp_path / "odd")
    appd.create("odd", folder, port, "--client-body-timeout", "1s", app="asgi_odd:app").expect(DONE)
    body = bytes(4 * MIB)
    assert web.request(port, "/late_reader?1.5", "POST", body).text == str(len(body))


def test_body_that_nobody_reads_does_not_disturb_the_next_request(odd: Odd) -> None:
    first = b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + bytes(20000)
    last = b"GET /which_loop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert web.send_raw(odd.port, first + last).count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_body_that_nobody_reads_is_no_reason_to_miss_the_answer(odd: Odd, chunked: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", odd.port, timeout=20)
    body = bytes(MIB // 2)  # within what a worker takes of a client before it cuts it off
    connection.request("POST", "/unread", body=iter([body]) if chunked else body, encode_chunked=chunked)
    assert connection.getresponse().read() == b"did not look"
    connection.close()


def test_continue_is_sent_only_to_those_whose_body_is_wanted(odd: Odd) -> None:
    expects = "Expect: 100-continue\r\nContent-Length: 4\r\n"
    with web.connect(odd.port) as client:
        client.sendall(f"POST /echo HTTP/1.1\r\nHost: a\r\n{expects}\r\n".encode())
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"body")
        assert read_answer(client)[2] == b"body"
    assert odd.raw("/unread", "POST", expects).startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(odd: Odd) -> None:
    one = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"
    last = b"GET /which_loop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    raw = web.send_raw(odd.port, b"".join(one + b"%d" % number for number in range(8)) + last)
    assert re.findall(rb"\r\n\r\n(\d)", raw) == [b"%d" % number for number in range(8)]


# --- disconnects --------------------------------------------------------------------------------


def test_receive_tells_when_the_client_has_gone(odd: Odd) -> None:
    seen = odd.count("receiving")
    gone = odd.count("http.disconnect")
    with web.connect(odd.port) as client:
        client.sendall(b"GET /receive_again HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: odd.count("receiving") == seen + 1, "the app waits in receive()")
    wait_until(lambda: odd.count("http.disconnect") == gone + 1, "receive() gave http.disconnect")


def test_receive_after_the_answer_says_disconnect(odd: Odd) -> None:
    what = "http.disconnect after the answer"
    before = odd.count(what)
    assert odd.get("/receive_after_answer").text == "answered"
    wait_until(lambda: odd.count(what) == before + 1, "receive() came back")


def test_upload_that_breaks_off_ends_in_disconnect(odd: Odd) -> None:
    before, bytes_before = odd.count("cut_upload http.disconnect"), odd.count("cut_upload bytes")
    with web.connect(odd.port) as client:
        client.sendall(b"POST /cut_upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nfour")
        wait_until(lambda: odd.count("cut_upload bytes") == bytes_before + 4, "the app has the first piece")
    wait_until(lambda: odd.count("cut_upload http.disconnect") == before + 1, "the app was told")


def test_sending_to_a_client_that_has_gone_raises_oserror_and_is_no_error(odd: Odd) -> None:
    """As ASGI 2.4 has it: else an app that streams without end would never end."""
    before = odd.count("endless ended")
    with web.connect(odd.port) as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(1000)
    wait_until(lambda: odd.count("endless ended") == before + 1, "the stream ended")


def test_one_task_receives_while_another_sends(odd: Odd) -> None:
    heard = odd.count("listener heard")
    assert odd.get("/two_at_once").text == "012"
    assert odd.count("listener heard") == heard


# --- answers ------------------------------------------------------------------------------------


def test_send_waits_for_a_slow_reader(odd: Odd) -> None:
    """64 MiB for a client that does not read: the app is held up, the worker stays small and serves others."""
    mib = 64
    before = processes.resident_kb(odd.pid)
    with web.connect(odd.port) as client:
        client.sendall(f"GET /stream?{mib} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        wait_until(stands_still(lambda: odd.count("pieces")), "send() waits")
        assert odd.count("pieces") < mib * 16 / 4
        assert processes.resident_kb(odd.pid) - before < MEMORY_KB
        received = sum(len(part) for part in iter(lambda: client.recv(MIB), b""))
    assert received > mib * MIB
    assert odd.count("pieces") == mib * 16


def test_client_that_has_closed_its_side_still_gets_all_at_its_own_pace(odd: Odd) -> None:
    mib = 32
    with web.connect(odd.port) as client:
        client.sendall(f"GET /stream?{mib} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        client.shutdown(socket.SHUT_WR)
        wait_until(stands_still(lambda: odd.count("pieces")), "send() waits")
        assert odd.count("pieces") < mib * 16 / 2
        received = sum(len(part) for part in iter(lambda: client.recv(MIB), b""))
    assert received > mib * MIB


def test_each_piece_is_on_its_way_before_the_next(odd: Odd) -> None:
    with web.connect(odd.port) as client, client.makefile("rb") as answer:
        client.sendall(b"GET /lines?flow HTTP/1.1\r\nHost: a\r\n\r\n")
        while answer.readline() != b"\r\n":
            pass
        for number in range(3):
            assert next_chunk(answer) == b"line %d\n" % number
            odd.get(f"/open_gate?flow-{number}")
        assert next_chunk(answer) == b""


def test_body_with_a_length_comes_in_pieces_of_any_kind_of_bytes(odd: Odd) -> None:
    answer = odd.get("/pieces")
    assert answer.body == b"onetwo"
    assert "transfer-encoding" not in answer.headers


def test_head_gets_the_head_and_no_body(odd: Odd) -> None:
    raw = odd.raw("/which_loop", "HEAD")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and b"ontent-" in head and body == b""
    raw = odd.raw("/stream?1", "HEAD")
    assert raw.endswith(b"\r\n\r\n") and raw.count(b"\r\n\r\n") == 1


def test_204_has_neither_body_nor_framing(odd: Odd) -> None:
    raw = odd.raw("/empty")
    assert raw.startswith(b"HTTP/1.1 204 No Content\r\n") and raw.endswith(b"\r\n\r\n")
    assert b"ontent-" not in raw.replace(b"No Content", b"") and b"ransfer-" not in raw


def test_repeated_response_headers_stay_apart(odd: Odd) -> None:
    assert odd.raw("/cookies").lower().count(b"set-cookie: ") == 2


def test_trailers_follow_the_body(odd: Odd) -> None:
    raw = odd.raw("/trailers", fields="TE: trailers\r\n")
    assert raw.endswith(b"with a trailer\r\n0\r\nx-checksum: 42\r\n\r\n")


def test_work_after_the_answer_keeps_nobody_waiting(odd: Odd) -> None:
    before = odd.count("background")
    assert odd.get("/background").text == "accepted"
    assert odd.count("background") == before
    odd.get("/open_gate?background")
    wait_until(lambda: odd.count("background") == before + 1, "the work is done")


def test_work_after_the_answer_is_done_before_the_worker_leaves(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("odd", copy_app("asgi_odd", tmp_path / "odd"), port, app="asgi_odd:app").expect(DONE)
    done = tmp_path / "done"
    assert web.request(port, f"/background_file?{done}").text == "accepted"
    appd.ok("stop", "odd")
    assert done.read_text() == "done"


# --- wrong answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/raise_at_once", "before anything"),
        ("/raise_later", "after a wait"),
        ("/raise_after_start", "after the start"),
        ("/start_twice", "RuntimeError"),
        ("/body_first", "RuntimeError"),
        ("/unknown_message", "http.response.magic"),
        ("/text_body", "TypeError"),
        ("/splitting", "ValueError"),
        ("/cancel_myself", "CancelledError"),
    ],
)
def test_exception_before_the_head_is_a_500_and_a_traceback_in_the_log(odd: Odd, path: str, words: str) -> None:
    odd.appd.expect_error(f"event=app_exception .*path=\"{path}\"")
    answer = odd.get(path)
    assert answer.status == 500
    assert "Traceback" not in answer.text, "the inside of an app is nobody's business"
    assert "x-secret" not in answer.headers and "set-cookie" not in answer.headers
    log = odd.log()
    assert f'path="{path}"' in log and words in log


@pytest.mark.parametrize("path", ["/no_answer", "/only_start"])
def test_app_that_does_not_answer_is_a_500(odd: Odd, path: str) -> None:
    odd.appd.expect_error(f"event=asgi_response_incomplete .*path=\"{path}\"")
    assert odd.get(path).status == 500
    assert f'path="{path}"' in odd.log()


@pytest.mark.parametrize("path", ["/raise_in_body", "/half_a_body"])
def test_answer_that_breaks_off_is_seen_as_incomplete(odd: Odd, path: str) -> None:
    odd.appd.expect_error(f"path=\"{path}\"")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        odd.get(path)


def test_exception_after_the_answer_is_logged_and_costs_nothing(odd: Odd) -> None:
    odd.appd.expect_error("event=app_exception")
    assert odd.get("/background_error").text == "accepted"
    wait_until(lambda: "after the answer" in odd.log(), "the traceback is in the log")


def test_send_after_the_end_is_refused(odd: Odd) -> None:
    before = odd.count("refused after the end")
    assert odd.get("/send_after_end").text == "complete"
    assert odd.count("refused after the end") == before + 1


# --- tasks and contexts -------------------------------------------------------------------------


def test_current_task_is_the_same_before_and_after_the_first_wait(odd: Odd) -> None:
    assert odd.json("/current_task") == {"task": True, "known": True, "same": True}


def test_context_variables_belong_to_one_request(odd: Odd) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(web.connect(odd.port)) for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendall(f"GET /context?w{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        for number, client in enumerate(clients):
            own = f"w{number}"
            assert json.loads(read_answer(client)[2]) == ["unset", own, own, own]


def test_context_variables_of_a_request_that_never_waits_do_not_stay(odd: Odd) -> None:
    assert [odd.json("/context_at_once") for _ in range(3)] == ["unset"] * 3


@pytest.mark.parametrize("path", ["/timeout", "/wait_for_receive"])
def test_timeout_set_in_the_first_step_strikes(odd: Odd, path: str) -> None:
    assert odd.get(path).text == "timed out"


def test_task_groups_work(odd: Odd) -> None:
    assert odd.json("/task_group") == ["one", "two"]
    assert odd.get("/failing_group").text == "caught"


def test_anyio_finds_its_way(odd: Odd) -> None:
    assert odd.json("/with_anyio") == [True, [0, 2, 4]]


@pytest.mark.parametrize("path", ["/cancel_and_leave", "/keep_task"])
def test_task_that_an_app_cancels_at_its_end_does_not_hit_the_next_request(odd: Odd, path: str) -> None:
    with web.connect(odd.port) as client:
        for _ in range(5):
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert read_answer(client)[0].startswith(b"HTTP/1.1 200")
            client.sendall(b"GET /current_task HTTP/1.1\r\nHost: a\r\n\r\n")
            assert json.loads(read_answer(client)[2])["same"]


def test_no_task_is_left_of_requests_that_are_over(odd: Odd) -> None:
    """The loop's own: what runs the worker, and one spare."""

    def left() -> int:
        return int(odd.get("/tasks").text)

    wait_until(lambda: left() <= 3, "the tasks of earlier tests have ended")
    before = left()
    for _ in range(20):
        odd.get("/current_task")
        odd.get("/keep_task")
    wait_until(lambda: left() <= before, "their tasks have ended")
