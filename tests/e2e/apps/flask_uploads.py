"""Every way in which Flask reads what a client sends."""

from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.post("/data")
def data() -> bytes:
    return request.get_data()


@app.post("/stream")
def stream() -> bytes:
    return request.stream.read()


@app.post("/lines")
def lines() -> Response:
    return jsonify([line.decode() for line in request.stream])


@app.post("/form")
def form() -> Response:
    return jsonify(request.form.to_dict() | {name: file.read().decode() for name, file in request.files.items()})


@app.post("/input")
def raw_input() -> Response:
    """Past Flask: to the end, and beyond."""
    body = request.environ["wsgi.input"]
    read = [len(body.read()), len(body.read()), len(body.read(10)), len(body.readline())]
    keys = ("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "wsgi.input_terminated")
    return jsonify(read=read, **{key: request.environ.get(key) for key in keys})
