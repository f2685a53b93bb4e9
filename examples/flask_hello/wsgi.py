"""A small Flask app with one route for each thing worth trying on a server.

Run it under appd:  appctl create myapp --directory "$PWD" --app wsgi:app --bind 127.0.0.1:8000
"""

import os
import time
from collections.abc import Iterator

from flask import Flask, Response, jsonify, request

VERSION = "1"

app = Flask(__name__)


@app.after_request
def sign(response: Response) -> Response:
    """Says which worker answered, and which request (the load client numbers them)."""
    response.headers["X-Worker-Pid"] = str(os.getpid())
    if number := request.headers.get("X-Request-Number"):
        response.headers["X-Request-Number"] = number
    return response


@app.get("/")
def hello() -> str:
    return "Hello from Flask under appd!\n"


@app.get("/slow")
def slow() -> str:
    milliseconds = request.args.get("ms", 100, type=int)
    time.sleep(milliseconds / 1000)
    return f"slept {milliseconds} ms\n"


@app.get("/version")
def version() -> Response:
    return jsonify(version=VERSION)


@app.get("/env")
def env() -> Response:
    """Only what the name asks for: an environment holds secrets."""
    name = request.args.get("name", "GREETING")
    return jsonify(name=name, value=os.environ.get(name))


@app.get("/pid")
def pid() -> Response:
    return jsonify(pid=os.getpid(), multithread=request.environ["wsgi.multithread"])


@app.post("/upload")
def upload() -> Response:
    return Response(request.get_data(), mimetype="application/octet-stream")


@app.get("/stream")
def stream() -> Response:
    lines = request.args.get("lines", 10, type=int)

    def generate() -> Iterator[str]:
        for number in range(lines):
            yield f"line {number}\n"

    return Response(generate(), mimetype="text/plain")
