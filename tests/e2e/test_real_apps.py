"""Frameworks as Debian ships them, each in the classes that fit it."""

import http.client
import json
import re
import threading
import time
from pathlib import Path

import pytest

from harness import http as web
from harness.appd import DONE, Appd
from harness.apps import copy_app, copy_example
from harness.load import Load
from harness.waiting import wait_until

BOUNDARY = "a-boundary"


def multipart(name: str, filename: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


# --- FastAPI ------------------------------------------------------------------------------------


@pytest.fixture(params=["asyncio", "uvloop"])
def fastapi(appd: Appd, port: int, tmp_path: Path, request: pytest.FixtureRequest) -> int:
    folder = copy_example("fastapi_notes", tmp_path / "notes")
    appd.create("notes", folder, port, "--loop", request.param, app="main:app").expect(DONE)
    return port


def test_fastapi_serves_models_uploads_streams_and_threads(fastapi: int) -> None:
    port = fastapi
    as_json = {"Content-Type": "application/json", "X-Author": "Ada"}
    assert web.request(port, "/notes", "POST", b'{"text": "milk", "stars": 2}', as_json).status == 201
    assert json.loads(web.request(port, "/notes/1").body) == {"text": "milk", "stars": 2}
    wait_until(lambda: json.loads(web.request(port, "/audit").body) == ["Ada wrote note 1"], "the background task ran")
    assert web.request(port, "/notes/2").status == 404
    assert web.request(port, "/notes", "POST", b'{"text": "", "stars": 9}', as_json).status == 422
    assert web.request(port, "/docs").status == 200
    assert len(json.loads(web.request(port, "/openapi.json").body)["paths"]) >= 6

    body, headers = multipart("file", "big.bin", bytes(3 << 20))
    assert json.loads(web.request(port, "/upload", "POST", body, headers).body) == {"name": "big.bin", "size": 3 << 20}
    assert web.request(port, "/stream?lines=500").text.splitlines()[-1] == "line 499"

    # Plain functions run in threads, side by side, while the loop goes on.
    began = time.monotonic()
    bodies = web.all_at_once(port, ["/blocking?ms=500"] * 20)
    assert time.monotonic() - began < 5, "one after the other they would take ten seconds"
    assert len({json.loads(body)["thread"] for body in bodies}) > 1


# --- Starlette ----------------------------------------------------------------------------------

STARLETTE = '''
import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

left = []

class Sign(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["X-Signed"] = "yes"
        return response

async def hello(request):
    return PlainTextResponse(f"hello {request.url_for('hello')} {request.client.host}")

async def ticks(request):
    async def generate():
        try:
            while True:
                yield "tick\\n"
                await anyio.sleep(0.01)
        finally:
            left.append(1)
    return StreamingResponse(generate())

async def count_left(request):
    return PlainTextResponse(str(len(left)))

async def long_text(request):
    return PlainTextResponse("text " * 1000)

async def file(request):
    return FileResponse(__file__)

app = Starlette(
    routes=[
        Route("/", hello, name="hello"), Route("/ticks", ticks), Route("/left", count_left),
        Route("/long", long_text), Route("/file", file), Mount("/static", StaticFiles(directory=".")),
    ],
    middleware=[Middleware(GZipMiddleware), Middleware(Sign)],
)
'''


def test_starlette_serves_files_middleware_and_endless_streams(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "star.py").write_text(STARLETTE)
    appd.create("star", folder, port, app="star:app").expect(DONE)
    hello = web.request(port)
    assert hello.text == f"hello http://127.0.0.1:{port}/ 127.0.0.1"
    assert hello.headers["x-signed"] == "yes"
    assert web.request(port, "/file").text == STARLETTE
    assert web.request(port, "/static/star.py").text == STARLETTE
    assert web.request(port, "/static/star.py", "HEAD").headers["content-length"] == str(len(STARLETTE))
    packed = web.request(port, "/long", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and len(packed.body) < 500
    with web.connect(port) as client:
        client.sendall(b"GET /ticks HTTP/1.1\r\nHost: a\r\n\r\n")
        received = b""
        while b"tick" not in received:
            received += client.recv(1000)
    wait_until(lambda: web.request(port, "/left").text == "1", "the stream ended when its reader had gone")


# --- Django -------------------------------------------------------------------------------------


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent", "eventlet", "asgi"])
def test_django_serves_in_every_class(appd: Appd, port: int, tmp_path: Path, worker_class: str) -> None:
    folder = copy_example("django_site", tmp_path / "site")
    module = "asgi" if worker_class == "asgi" else "wsgi"
    options = ("--workers", "2", "--worker-class", worker_class)
    appd.create("site", folder, port, *options, app=f"{module}:application").expect(DONE)
    assert "Hello from Django" in web.request(port).text
    assert web.request(port, "/plain").text == "Hello from Django under appd!\n"
    login = web.request(port, "/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', login.text)
    assert token and "csrftoken=" in login.headers["set-cookie"]
    assert web.request(port, "/admin/login/", "POST", b"username=a&password=b").status == 403  # no CSRF token
    assert web.request(port, "/", "HEAD").body == b""
    assert web.request(port, "/nowhere").status == 404
    assert {body for body in web.all_at_once(port, ["/plain"] * 30)} == {b"Hello from Django under appd!\n"}


def test_django_moves_from_wsgi_to_asgi_without_loss(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_example("django_site", tmp_path / "site")
    appd.create("site", folder, port, "--workers", "2", app="wsgi:application").expect(DONE)
    done = threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        while not done.is_set():
            statuses.append(web.request(port, "/plain").status)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        appd.ok("set", "site", "--app", "asgi:application")
    finally:
        done.set()
        for client in clients:
            client.join()
    assert set(statuses) == {200}
    assert {worker["effective_worker_class"] for worker in appd.workers("site")} == {"asgi"}


# --- CherryPy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent"])
def test_cherrypy_serves_sessions_uploads_and_streams(appd: Appd, port: int, tmp_path: Path, worker_class: str) -> None:
    folder = copy_example("cherrypy_hello", tmp_path / "cherry")
    threads = ("--threads", "4") if worker_class == "gthread" else ()
    appd.create("cherry", folder, port, "--worker-class", worker_class, *threads).expect(DONE)
    assert web.request(port).text == "Hello from CherryPy under appd!\n"
    first = web.request(port, "/visits")
    cookie = {"Cookie": first.headers["set-cookie"].split(";")[0]}
    assert (first.text, web.request(port, "/visits", headers=cookie).text) == ("1\n", "2\n")
    body, headers = multipart("file", "a.bin", bytes(100_000))
    assert web.request(port, "/upload", "POST", body, headers).text == "a.bin: 100000 bytes\n"
    assert web.request(port, "/stream?lines=500").text.splitlines()[-1] == "line 499"
    assert web.request(port, "/nowhere").status == 404
    assert json.loads(web.request(port, "/pid").body)["pid"] in appd.ready_pids("cherry")


# --- Flask --------------------------------------------------------------------------------------


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent", "eventlet", "tornado"])
def test_flask_reads_chunked_uploads(appd: Appd, port: int, tmp_path: Path, worker_class: str) -> None:
    folder = copy_app("flask_uploads", tmp_path / "app")
    appd.create("web", folder, port, "--worker-class", worker_class, app="flask_uploads:app").expect(DONE)
    body = bytes(range(256)) * 4096
    assert chunked(port, "/data", body) == body
    assert chunked(port, "/stream", body) == body
    assert json.loads(chunked(port, "/lines", b"one\ntwo\nthree")) == ["one\n", "two\n", "three"]
    assert json.loads(chunked(port, "/form", b"a=1&b=2", "application/x-www-form-urlencoded")) == {"a": "1", "b": "2"}
    parts, fields = multipart("file", "a.txt", b"text " * 10_000)
    assert json.loads(chunked(port, "/form", parts, fields["Content-Type"])) == {"file": "text " * 10_000}
    assert json.loads(chunked(port, "/input", body)) == {
        "read": [len(body), 0, 0, 0],
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_TRANSFER_ENCODING": None,
        "wsgi.input_terminated": None,
    }
    assert chunked(port, "/data", b"") == b""


def chunked(port: int, path: str, body: bytes, kind: str = "application/octet-stream") -> bytes:
    pieces = (body[at : at + 10_000] for at in range(0, len(body), 10_000))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, pieces, {"Content-Type": kind, "Transfer-Encoding": "chunked"}, encode_chunked=True)
        response = connection.getresponse()
        assert response.status == 200
        return response.read()
    finally:
        connection.close()


# --- tornado ------------------------------------------------------------------------------------


def test_tornado_application_serves_natively(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("native_tornado", tmp_path / "app")
    appd.create("web", folder, port, "--worker-class", "tornado", app="native_tornado:app").expect(DONE)
    (pid,) = appd.ready_pids("web")
    assert web.request(port).text == f"hello {pid}"
    body = bytes(range(256)) * 8192
    assert web.request(port, "/upload", "POST", body).body == body
    streamed = json.loads(web.request(port, "/streamed", "PUT", body).body)
    assert streamed["size"] == len(body) and streamed["most"] < len(body)
    assert web.request(port, "/stream?lines=500").text.splitlines()[-1] == "line 499"
    assert web.request(port, "/fail").status == 418
    assert web.request(port, "/", "HEAD").body == b""
    began = time.monotonic()
    assert web.all_at_once(port, ["/slow?s=0.5"] * 50) == [b"slept"] * 50
    assert time.monotonic() - began < 5, "one after the other they would take 25 seconds"


def test_wsgi_app_serves_in_tornado(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_example("flask_hello", tmp_path / "app")
    appd.create("web", folder, port, "--workers", "2", "--worker-class", "tornado").expect(DONE)
    assert web.request(port).text == "Hello from Flask under appd!\n"
    body = bytes(range(256)) * 2000
    assert web.request(port, "/upload", "POST", body).body == body
    with Load(f"http://127.0.0.1:{port}/", options=("--think", "5")) as load:
        appd.ok("reload", "web")
    load.assert_nothing_lost()
