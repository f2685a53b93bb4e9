"""ASGI's extensions http.response.pathsend and http.response.early_hint, message by message."""

import http.client
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from harness import http as web
from harness import processes
from harness.appd import DONE, Appd
from harness.apps import copy_app
from harness.ports import free_port
from harness.waiting import stands_still, wait_until

Message = dict[str, Any]
LARGE = 64 << 20
MEMORY_KB = 16 * 1024
HINTS = 1024


class Speaker:
    """The app apps/asgi_messages.py in one worker."""

    def __init__(self, appd: Appd, port: int) -> None:
        self.appd = appd
        self.port = port
        (self.pid,) = appd.ready_pids("speaker")

    def say(self, *messages: Message, **more: Any) -> web.Answer:
        return web.request(self.port, target(*messages), **more)

    def fails(self, *messages: Message) -> str:
        """What send() raised."""
        return web.request(self.port, target(*messages, page="try")).text

    def raw(self, *messages: Message, method: str = "GET", version: str = "1.1") -> bytes:
        """All that comes back, byte by byte."""
        head = f"{method} {target(*messages)} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n"
        return web.send_raw(self.port, head.encode())

    def figure(self, name: str) -> int:
        return int(json.loads(web.request(self.port, "/figures").body)[name])


def target(*messages: Message, page: str = "say") -> str:
    return f"/{page}?" + quote(json.dumps(messages))


def start(*headers: tuple[str, str], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def path(file: Path) -> Message:
    return {"type": "http.response.pathsend", "path": str(file)}


def hint(*links: str, **more: Any) -> Message:
    return {"type": "http.response.early_hint", "links": links, **more}


def body(text: str) -> Message:
    return {"type": "http.response.body", "body": text}


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def speaker(module_appd: Appd, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Speaker]:
    folder = copy_app("asgi_messages", tmp_path_factory.mktemp(request.param))
    port = free_port()
    options = ("--loop", request.param, "--limit-request-line", "65536")
    module_appd.create("speaker", folder, port, *options, app="asgi_messages:app").expect(DONE)
    speaker = Speaker(module_appd, port)
    yield speaker
    assert module_appd.ready_pids("speaker") == {speaker.pid}, "one worker has served all of it"
    module_appd.ok("delete", "speaker")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "grüße.txt"
    file.write_bytes(bytes(range(256)) * 100)
    return file


@pytest.fixture
def large(tmp_path: Path) -> Path:
    large = tmp_path / "large"
    with large.open("wb") as out:
        out.truncate(LARGE - 4)
        out.seek(0, os.SEEK_END)
        out.write(b"last")
    return large


# --- pathsend -----------------------------------------------------------------------------------


def test_path_is_the_whole_body(speaker: Speaker, file: Path) -> None:
    answer = speaker.say(start(("content-type", "text/odd")), path(file))
    assert (answer.status, answer.body) == (200, file.read_bytes())
    assert answer.headers["content-type"] == "text/odd"
    assert answer.headers["content-length"] == str(file.stat().st_size)
    assert "transfer-encoding" not in answer.headers


def test_empty_file_is_an_empty_body(speaker: Speaker, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    answer = speaker.say(start(), path(tmp_path / "empty"))
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "0", b"")


def test_connection_serves_the_next_request_behind_a_file(speaker: Speaker, file: Path) -> None:
    requests = "".join(
        f"GET {target(*messages)} HTTP/1.1\r\nHost: a\r\n{last}\r\n"
        for messages, last in (
            ((start(), path(file)), ""),
            ((start(), body("between")), ""),
            ((start(), path(file)), "Connection: close\r\n"),
        )
    )
    raw = web.send_raw(speaker.port, requests.encode())
    assert raw.count(b"HTTP/1.1 200 OK\r\n") == 3 and raw.count(file.read_bytes()) == 2
    assert raw.endswith(file.read_bytes())


def test_head_request_gets_the_length_and_no_file(speaker: Speaker, file: Path) -> None:
    raw = speaker.raw(start(), path(file), method="HEAD")
    assert f"\r\nContent-Length: {file.stat().st_size}\r\n".encode() in raw
    assert raw.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_status_without_a_body_gets_none(speaker: Speaker, file: Path, status: int) -> None:
    raw = speaker.raw(start(status=status), path(file))
    assert raw.startswith(f"HTTP/1.1 {status} ".encode()) and raw.endswith(b"\r\n\r\n")


def test_http_1_0_gets_the_file_and_the_end_of_the_connection(speaker: Speaker, file: Path) -> None:
    raw = web.send_raw(speaker.port, f"GET {target(start(), path(file))} HTTP/1.0\r\n\r\n".encode())
    assert raw.partition(b"\r\n\r\n")[2] == file.read_bytes()


def test_ranges_are_the_apps_business(speaker: Speaker, file: Path) -> None:
    answer = speaker.say(start(), path(file), headers={"Range": "bytes=0-9"})
    assert (answer.status, len(answer.body)) == (200, file.stat().st_size)
    assert "content-range" not in answer.headers and "accept-ranges" not in answer.headers


def test_content_length_below_the_files_size_bounds_it(speaker: Speaker, file: Path) -> None:
    answer = speaker.say(start(("content-length", "1000")), path(file))
    assert answer.body == file.read_bytes()[:1000]


def test_content_length_above_the_files_size_ends_the_connection_and_is_logged(speaker: Speaker, file: Path) -> None:
    with pytest.raises(http.client.IncompleteRead) as broken:
        speaker.say(start(("content-length", str(file.stat().st_size + 7))), path(file))
    assert broken.value.partial == file.read_bytes() and broken.value.expected == 7
    log = Path(speaker.appd.observed("speaker")["log_path"]).read_text()
    assert "event=response_too_short" in log and "content_length_off_by=7" in log


def test_file_that_is_not_there_is_an_error_that_the_app_may_handle(speaker: Speaker, tmp_path: Path) -> None:
    assert speaker.fails(start(), path(tmp_path / "nowhere")).startswith("FileNotFoundError: [Errno 2]")
    speaker.appd.expect_error("event=app_exception")
    answer = speaker.say(start(("x-secret", "of the app")), path(tmp_path / "nowhere"))
    assert answer.status == 500 and "x-secret" not in answer.headers and str(tmp_path) not in answer.text


def test_what_is_no_regular_file_is_refused_at_once(speaker: Speaker, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for other in (tmp_path, tmp_path / "fifo", Path("/dev/null")):
        assert speaker.fails(start(), path(other)) == f"ValueError: {str(other)!r} is not a regular file"


def test_path_comes_alone_and_after_the_start(speaker: Speaker, file: Path) -> None:
    alone = "RuntimeError: http.response.pathsend comes right after http.response.start"
    part = {**body("part, "), "more_body": True}
    assert speaker.fails(start(), part, path(file)) == f"part, {alone}"
    assert "KeyError" in speaker.fails(start(), {"type": "http.response.pathsend"})
    assert "TypeError" in speaker.fails(start(), {"type": "http.response.pathsend", "path": 7})
    speaker.appd.expect_error("event=app_exception")
    assert speaker.say(path(file), start(), body("")).status == 500


def test_slow_reader_of_a_file_costs_neither_memory_nor_the_others(speaker: Speaker, large: Path) -> None:
    before, done = processes.resident_kb(speaker.pid), speaker.figure("done")
    with web.connect(speaker.port) as client:
        client.sendall(f"GET {target(start(), path(large))} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        wait_until(lambda: speaker.figure("done") == done + 1, "the app is done with it")
        assert speaker.say(start(), body("meanwhile")).text == "meanwhile"
        assert processes.resident_kb(speaker.pid) - before < MEMORY_KB
        received, end = 0, b""
        while part := client.recv(1 << 20):
            received, end = received + len(part), (end + part)[-4:]
    assert received > LARGE and end == b"last"


def test_client_that_leaves_in_the_middle_of_a_file_leaves_nothing_open(speaker: Speaker, large: Path) -> None:
    with web.connect(speaker.port) as client:
        client.sendall(f"GET {target(start(), path(large))} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        client.recv(1000)

    def is_open() -> bool:
        return str(large) in processes.open_files(speaker.pid).values()

    wait_until(lambda: not is_open(), "the file is closed")


def test_file_that_is_cut_short_meanwhile_ends_the_connection(speaker: Speaker, large: Path) -> None:
    with web.connect(speaker.port) as client:
        client.sendall(f"GET {target(start(), path(large))} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        client.recv(1000)
        os.truncate(large, 1000)
        assert len(web.read_to_end(client)) < LARGE
    assert speaker.say(start(), body("alive")).text == "alive"


# --- early hints --------------------------------------------------------------------------------

STYLE = "</style.css>; rel=preload; as=style"
SCRIPT = "</script.js>; rel=preload; as=script"


def test_hints_are_interim_answers_before_the_one(speaker: Speaker) -> None:
    raw = speaker.raw(hint(STYLE, SCRIPT), hint(STYLE), start(("x-a", "b")), body("end"))
    first, second, head, text = raw.split(b"\r\n\r\n")
    assert first.decode() == f"HTTP/1.1 103 Early Hints\r\nlink: {STYLE}\r\nlink: {SCRIPT}"
    assert second.decode() == f"HTTP/1.1 103 Early Hints\r\nlink: {STYLE}"
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"link" not in head
    assert text == b"end"


def test_hints_may_come_between_start_and_body_but_not_later(speaker: Speaker) -> None:
    raw = speaker.raw(start(), hint(STYLE), {**body("one "), "more_body": True}, hint(SCRIPT), body("two"))
    assert raw.count(b"HTTP/1.1 103 Early Hints\r\n") == 1
    assert raw.index(b" 103 ") < raw.index(b" 200 ") and b"script.js" not in raw
    assert b"one " in raw and b"two" in raw


def test_hints_go_before_a_file_and_with_a_head_request(speaker: Speaker, file: Path) -> None:
    raw = speaker.raw(hint(STYLE), start(), path(file))
    assert raw.startswith(b"HTTP/1.1 103 ") and raw.endswith(file.read_bytes())
    raw = speaker.raw(hint(STYLE), start(), body("unseen"), method="HEAD")
    assert raw.startswith(b"HTTP/1.1 103 ") and raw.count(b"HTTP/1.1 200 ") == 1 and raw.endswith(b"\r\n\r\n")


def test_http_1_0_gets_no_hints(speaker: Speaker) -> None:
    raw = speaker.raw(hint(STYLE), start(), body("end"), version="1.0")
    assert b"103" not in raw and raw.endswith(b"\r\n\r\nend")


def test_two_hundred_hints_keep_their_order(speaker: Speaker) -> None:
    raw = speaker.raw(*(hint(f"</{number}>") for number in range(200)), start(), body("end"))
    links = [line for line in raw.split(b"\r\n") if line.startswith(b"link: ")]
    assert links == [f"link: </{number}>".encode() for number in range(200)]


def test_connection_serves_the_next_request_behind_hints(speaker: Speaker) -> None:
    request = f"GET {target(hint(STYLE), start(), body('x'))} HTTP/1.1\r\nHost: a\r\n"
    raw = web.send_raw(speaker.port, f"{request}\r\n{request}Connection: close\r\n\r\n".encode())
    assert re.findall(rb"HTTP/1.1 (\d+) ", raw) == [b"103", b"200", b"103", b"200"]


def test_hint_without_links_is_an_interim_answer_all_the_same(speaker: Speaker) -> None:
    assert speaker.raw(hint(), start(), body("")).startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("link", ["</a>\r\nx-evil: 1", "</a>\n", "\0"])
def test_link_cannot_smuggle_a_line_in(speaker: Speaker, link: str) -> None:
    assert speaker.fails(start(), hint(link)) == "ValueError: a link has a character that must not be there"


def test_links_are_bytes(speaker: Speaker) -> None:
    assert speaker.fails(start(), hint("</a>", as_they_are=True)).startswith("TypeError: a link must be bytes")
    assert speaker.fails(start(), {"type": "http.response.early_hint", "links": 7, "as_they_are": True}).startswith("TypeError")


def test_client_that_does_not_read_holds_hints_back(speaker: Speaker) -> None:
    before = speaker.figure("hints")
    memory = processes.resident_kb(speaker.pid)
    with web.connect(speaker.port) as client:
        client.sendall(b"GET /endless_hints HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        wait_until(stands_still(lambda: speaker.figure("hints") - before), "send() waits")
        assert speaker.figure("hints") - before < HINTS
        assert processes.resident_kb(speaker.pid) - memory < MEMORY_KB
        raw = web.read_to_end(client)
    assert raw.count(b"HTTP/1.1 103 Early Hints\r\n") == HINTS and raw.endswith(b"at last")
