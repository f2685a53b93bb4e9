"""An app whose health is what the file `health` beside it says: "200 well", "503 no database", or a wait
for the file `gate`. Its version is what the file `version` said when it was imported. For each kind of
class; the native Application is made where it is asked for only."""

import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

HERE = pathlib.Path(__file__).parent
VERSION = (HERE / "version").read_text()


def answer_to(path: str) -> tuple[int, str]:
    if path == "/pid":
        return 200, str(os.getpid())
    if path != "/healthz":
        return 200, VERSION
    status, _, words = (HERE / "health").read_text().partition(" ")
    if status != "gate":
        return int(status), words
    while not (HERE / "gate").exists():
        time.sleep(0.01)
    return 200, "open"


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    status, body = answer_to(environ["PATH_INFO"])
    headers = [("Content-Length", str(len(body))), ("X-Worker-Pid", str(os.getpid()))]
    if "HTTP_X_REQUEST_NUMBER" in environ:
        headers.append(("X-Request-Number", environ["HTTP_X_REQUEST_NUMBER"]))
    start_response(f"{status} Told", headers)
    return [body.encode()]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("only http")
    status, body = answer_to(scope["path"])
    fields = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body.encode()})


def native() -> Any:
    import tornado.web

    class Handler(tornado.web.RequestHandler):
        def get(self) -> None:
            status, body = answer_to(self.request.path)
            self.set_status(status, "Told")
            self.write(body)

    return tornado.web.Application([(r".*", Handler)])
