"""Apps that tests write into folders of their own."""

import shutil
from pathlib import Path

from harness.paths import APPS, EXAMPLES

# A bare WSGI app: fast to import, and every answer says who gave it and to which request.
HELLO = '''\
import os
import time
from urllib.parse import parse_qs

VERSION = "{version}"
{extra}

def app(environ, start_response):
    path = environ["PATH_INFO"]
    status = "200 OK"
    if path == "/version":
        body = VERSION
    elif path == "/env":
        body = os.environ.get(parse_qs(environ["QUERY_STRING"])["name"][0], "(unset)")
    elif path == "/slow":
        time.sleep(int(parse_qs(environ["QUERY_STRING"])["ms"][0]) / 1000)
        body = "slept"
    elif path == "/upload":
        body = environ["wsgi.input"].read().decode("latin-1")
    elif path == "/pid":
        body = str(os.getpid())
    elif path == "/exit":
        os._exit(7)
    elif path == "/raise":
        raise RuntimeError("raised on purpose")
    elif path == "/":
        body = "hello"
    else:
        status, body = "404 Not Found", "no such page"
    data = body.encode("latin-1")
    headers = [
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(data))),
        ("X-Worker-Pid", str(os.getpid())),
        ("X-Version", VERSION),
    ]
    if "HTTP_X_REQUEST_NUMBER" in environ:
        headers.append(("X-Request-Number", environ["HTTP_X_REQUEST_NUMBER"]))
    start_response(status, headers)
    return [data]
'''


def write_app(folder: Path, version: str = "1", extra: str = "", source: str | None = None) -> Path:
    """A folder with wsgi.py in it; `extra` is put at its top level, `source` replaces all of it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = source if source is not None else HELLO.replace("{version}", version).replace("{extra}", extra)
    (folder / "wsgi.py").write_text(text)
    # A pyc is taken for current when source size and whole second of change are the same: two versions
    # written within one second would not be told apart, which is Python's matter and not under test.
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    return folder


def copy_example(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__")))


def copy_app(name: str, folder: Path) -> Path:
    """A folder with one of the modules of tests/e2e/apps in it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(APPS / f"{name}.py", folder)
    return folder
