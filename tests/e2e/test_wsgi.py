"""PEP 3333, as frameworks and wsgiref's validator see it through a real appd."""

import http.client
import json
from pathlib import Path

import pytest

from harness import http as web
from harness.appd import DONE, Appd
from harness.apps import copy_example, write_app

VALIDATED = """
from wsgiref.validate import validator
import {module}
app = validator({module}.{callable})
"""


@pytest.mark.parametrize("threads", ["1", "4"])
def test_wsgiref_validate_passes_around_flask(appd: Appd, port: int, tmp_path: Path, threads: str) -> None:
    folder = copy_example("flask_hello", tmp_path / "app")
    (folder / "checked.py").write_text(VALIDATED.format(module="wsgi", callable="app"))
    appd.create("web", folder, port, "--threads", threads, app="checked:app").expect(DONE)
    assert web.request(port).text == "Hello from Flask under appd!\n"
    body = bytes(range(256)) * 2000
    assert web.request(port, "/upload", "POST", body).body == body
    assert web.request(port, "/stream?lines=1000").text.splitlines()[-1] == "line 999"
    assert web.request(port, "/version", headers={"Accept": "*/*", "Cookie": "a=b"}).status == 200
    assert web.request(port, "/", "HEAD").body == b""
    assert web.request(port, "/", "OPTIONS").status == 200
    assert web.request(port, "/no/such/page").status == 404
    assert web.request(port, "/pid?q=%C3%BC%20%2F").status == 200


@pytest.mark.parametrize("threads", ["1", "4"])
def test_wsgiref_validate_passes_around_django(appd: Appd, port: int, tmp_path: Path, threads: str) -> None:
    folder = copy_example("django_site", tmp_path / "app")
    (folder / "checked.py").write_text(VALIDATED.format(module="wsgi", callable="application"))
    appd.create("site", folder, port, "--threads", threads, app="checked:app").expect(DONE)
    assert "Hello from Django" in web.request(port).text
    login = web.request(port, "/admin/login/")
    assert login.status == 200 and "csrftoken=" in login.headers["set-cookie"]
    assert web.request(port, "/admin/login/", "POST", b"username=a&password=b").status == 403  # no CSRF token
    assert web.request(port, "/", "HEAD").body == b""
    assert web.request(port, "/nowhere").status == 404


ENVIRON = """
import json

def app(environ, start_response):
    shown = {key: value for key, value in environ.items() if isinstance(value, (str, bool, int, tuple))}
    body = json.dumps(shown).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""


def test_environ_is_what_pep_3333_says(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "app", source=ENVIRON), port).expect(DONE)
    headers = {"X-One": "1", "Content-Type": "text/x", "Host": "example.test"}
    environ = json.loads(web.request(port, "/a%20b/%C3%BC?x=1&y=%20", "POST", b"body", headers).body)
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/a b/Ã¼"  # bytes as latin-1
    assert environ["QUERY_STRING"] == "x=1&y=%20"
    assert environ["CONTENT_TYPE"] == "text/x"
    assert environ["CONTENT_LENGTH"] == "4"
    assert environ["HTTP_X_ONE"] == "1"
    assert environ["HTTP_HOST"] == "example.test"
    assert environ["SERVER_PORT"] == str(port)
    assert environ["SERVER_NAME"]
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.version"] == [1, 0]
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multiprocess"] is True or environ["wsgi.multiprocess"] is False
    assert environ["wsgi.multithread"] is False
    assert environ["wsgi.run_once"] is False
    assert "HTTP_CONTENT_TYPE" not in environ and "HTTP_CONTENT_LENGTH" not in environ


ODDITIES = """
import sys

class Body:
    closed = 0
    def __init__(self, parts):
        self.parts = iter(parts)
    def __iter__(self):
        return self
    def __next__(self):
        return next(self.parts)
    def close(self):
        Body.closed += 1

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/write":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"one ")
        write(b"two ")
        return [b"three"]
    if path == "/no-length":
        start_response("200 OK", [])
        return Body([b"a", b"", b"b", b"c"])
    if path == "/closed":
        body = str(Body.closed).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    if path == "/late-error":
        start_response("200 OK", [])
        return Body(late())
    if path == "/exc-info":
        try:
            start_response("200 OK", [("X-First", "1")])
            raise ValueError("changed my mind")
        except ValueError:
            start_response("503 Changed", [("X-Second", "2")], sys.exc_info())
        return [b"sorry"]
    if path == "/twice":
        start_response("200 OK", [])
        start_response("200 OK", [])
        return [b""]
    if path == "/never":
        return [b"no start_response"]
    if path == "/splitting":
        start_response("200 OK", [("X-Evil", "a\\r\\nSet-Cookie: b=c")])
        return [b""]
    if path == "/hop":
        start_response("200 OK", [("Connection", "close"), ("Content-Length", "2")])
        return [b"ok"]
    if path == "/short":
        start_response("200 OK", [("Content-Length", "10")])
        return [b"only"]
    if path == "/long":
        start_response("200 OK", [("Content-Length", "4")])
        return [b"much more than four"]
    if path == "/str":
        start_response("200 OK", [])
        return ["text"]
    if path == "/none":
        start_response("204 No Content", [])
        return []
    if path == "/headers":
        start_response("200 OK", [("Content-Length", "0"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return []
    if path == "/lines":
        body = b"|".join(environ["wsgi.input"])
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    if path == "/half":
        body = environ["wsgi.input"].read(5) + b"," + environ["wsgi.input"].readline(3)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    if path == "/errors":
        print("a line for the log", file=environ["wsgi.errors"])
        start_response("200 OK", [("Content-Length", "0")])
        return []
    raise RuntimeError("raised on purpose")

def late():
    yield b"some "
    raise RuntimeError("in the middle of the body")
"""


@pytest.fixture(params=["1", "4"], ids=["sync", "gthread"])
def odd(appd: Appd, port: int, tmp_path: Path, request: pytest.FixtureRequest) -> Appd:
    appd.create("odd", write_app(tmp_path / "odd", source=ODDITIES), port, "--threads", request.param).expect(DONE)
    return appd


def alive_with_the_same_pid(appd: Appd, port: int, before: set[int]) -> None:
    assert appd.ready_pids("odd") == before
    assert web.request(port, "/none").status == 204


def test_write_callable_works(odd: Appd, port: int) -> None:
    assert web.request(port, "/write").text == "one two three"


def test_body_without_length_is_chunked_and_its_iterable_closed(odd: Appd, port: int) -> None:
    answer = web.request(port, "/no-length")
    assert answer.text == "abc"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert web.request(port, "/closed").text == "1"


def test_body_is_closed_when_it_raises(odd: Appd, port: int) -> None:
    odd.expect_error("event=app_exception")
    before = odd.ready_pids("odd")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        web.request(port, "/late-error")
    assert web.request(port, "/closed").text == "1"
    alive_with_the_same_pid(odd, port, before)


def test_exc_info_replaces_headers_not_yet_sent(odd: Appd, port: int) -> None:
    answer = web.request(port, "/exc-info")
    assert (answer.status, answer.text) == (503, "sorry")
    assert "x-first" not in answer.headers and answer.headers["x-second"] == "2"


@pytest.mark.parametrize("path", ["/raise", "/twice", "/never", "/splitting", "/str"])
def test_broken_app_gets_500_and_a_log_line(odd: Appd, port: int, path: str) -> None:
    odd.expect_error(".")
    before = odd.ready_pids("odd")
    answer = web.request(port, path)
    assert answer.status == 500
    assert "set-cookie" not in answer.headers
    assert "Traceback" not in answer.text, "the inside of an app is nobody's business"
    log = Path(odd.observed("odd")["log_path"]).read_text()
    assert "level=error" in log or "Traceback" in log
    alive_with_the_same_pid(odd, port, before)


def test_app_may_close_the_connection(odd: Appd, port: int) -> None:
    raw = web.send_raw(port, b"GET /hop HTTP/1.1\r\nHost: a\r\n\r\n")
    assert raw.endswith(b"\r\n\r\nok")
    assert raw.lower().count(b"connection:") == 1


def test_body_shorter_than_its_length_ends_the_connection(odd: Appd, port: int) -> None:
    odd.expect_error(".")
    raw = web.send_raw(port, b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n")
    assert raw.endswith(b"only")


def test_body_longer_than_its_length_is_cut(odd: Appd, port: int) -> None:
    odd.expect_error(".")
    raw = web.send_raw(port, b"GET /long HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert raw.endswith(b"\r\n\r\nmuch")


def test_204_has_neither_body_nor_framing(odd: Appd, port: int) -> None:
    raw = web.send_raw(port, b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"ontent-" not in raw.replace(b"No Content", b"") and b"ransfer-" not in raw
    assert raw.endswith(b"\r\n\r\n")


def test_repeated_headers_stay_apart(odd: Appd, port: int) -> None:
    raw = web.send_raw(port, b"GET /headers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert raw.count(b"Set-Cookie: ") == 2


def test_input_can_be_iterated_read_in_part_and_by_line(odd: Appd, port: int) -> None:
    assert web.request(port, "/lines", "POST", b"one\ntwo\nthree").body == b"one\n|two\n|three"
    assert web.request(port, "/half", "POST", b"12345678\n90").body == b"12345,678"
    assert web.request(port, "/lines", "POST", b"").body == b""


def test_body_that_the_app_does_not_read_does_not_disturb_the_next_request(odd: Appd, port: int) -> None:
    request = b"POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000
    last = b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert web.send_raw(port, request + last).count(b"HTTP/1.1 204") == 2


def test_errors_stream_goes_to_the_apps_log(odd: Appd, port: int) -> None:
    web.request(port, "/errors")
    assert "a line for the log" in Path(odd.observed("odd")["log_path"]).read_text()


def test_print_goes_to_the_apps_log(appd: Appd, port: int, tmp_path: Path) -> None:
    extra = "print('printed at import')\nimport sys\nprint('and on stderr', file=sys.stderr)"
    appd.create("web", write_app(tmp_path / "app", extra=extra), port).expect(DONE)
    appd.ok("stop", "web")
    log = Path(appd.observed("web")["log_path"]).read_text()
    assert "printed at import" in log and "and on stderr" in log
