"""Native tornado apps on the engine: tornado's interface of HTTP servers, spoken over ASGI.

A handler that wants the stream itself (detach(), as tornado's WebSockets do) gets the client's
socket from the engine. What is said on it is tornado's business then.
"""

import asyncio
import socket
import traceback
import weakref

from tornado import httputil, iostream, websocket

SERVICE_RESTART = 1012  # IANA's registry of WebSocket close codes


def adapter(app):
    """An ASGI app in front of a tornado Application or Router; None for what is WSGI."""
    if isinstance(app, httputil.HTTPServerConnectionDelegate):
        return Adapter(app.start_request)
    return None


class Adapter:
    def __init__(self, start_request):
        self.start_request = start_request
        self.streams = weakref.WeakSet()
        self.window_over = False

    async def __call__(self, scope, receive, send):
        connection = Connection(self, scope, receive, send)
        delegate = self.start_request(connection, connection)
        if await self.give_request(scope, receive, delegate):
            disconnected = asyncio.ensure_future(receive())
            try:
                await asyncio.wait({connection.finished, disconnected}, return_when=asyncio.FIRST_COMPLETED)
            finally:  # cancelled too
                self.conclude(connection, delegate, disconnected)
        else:
            self.conclude(connection, delegate, None)

    @staticmethod
    def conclude(connection, delegate, disconnected):
        if not connection.finished.done():
            delegate.on_connection_close()
            connection.closed()
        if disconnected:
            disconnected.cancel()

    async def give_request(self, scope, receive, delegate):
        """Head and body, as they come. False: the client has gone before the end."""
        uri = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            uri += "?" + scope["query_string"].decode("latin-1")
        headers = httputil.HTTPHeaders()
        for name, value in scope["headers"]:
            headers.add(name.decode("latin-1"), value.decode("latin-1"))
        line = httputil.RequestStartLine(scope["method"], uri, f"HTTP/{scope['http_version']}")
        await settled(delegate.headers_received(line, headers))
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            if message["body"]:
                await settled(delegate.data_received(message["body"]))
            if not message["more_body"]:
                delegate.finish()
                return True

    def keep(self, stream):
        self.streams.add(stream)
        if self.window_over:
            asyncio.get_running_loop().call_soon(stream.send_away)

    def send_away(self):
        """The worker leaves, and its WebSockets have had their window."""
        self.window_over = True
        for stream in list(self.streams):
            stream.send_away()


async def settled(result):
    if result is not None:
        await result


class Connection(httputil.HTTPConnection):
    """What tornado's handlers answer to."""

    def __init__(self, adapter, scope, receive, send):
        self.adapter = adapter
        self.channel = receive.__self__
        self.send = send
        self.context = Context(scope)
        self.finished = asyncio.get_running_loop().create_future()
        self.close_callback = None
        self.handler = None
        self.answered = False
        self.switching = b""  # the head of a 101, which the stream will send

    def write_headers(self, start_line, headers, chunk=None):
        if start_line.code == 101:
            self.switching = text_of(start_line, headers)
            return done()
        self.answered = True
        fields = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.get_all()
            if name.lower() != "transfer-encoding"
        ]
        start = {"type": "http.response.start", "status": start_line.code, "headers": fields}
        return self.later(start, self.body(chunk) if chunk else None)

    def write(self, chunk):
        return self.later(self.body(chunk))

    def finish(self):
        if self.switching:
            self.note_finished()
        else:
            last = self.later({"type": "http.response.body", "body": b""})
            last.add_done_callback(lambda sent: self.note_finished())

    def detach(self):
        """The client's stream. What the handler writes to it is the answer, after a 101 if it has begun with that."""
        self.close_callback = None
        self.note_finished()  # tornado takes the handler for finished, even if this fails
        if self.answered:
            raise RuntimeError("detach() comes before the answer, or after a 101 that is finished")
        self.answered = True
        try:
            descriptor, received, hold = self.channel.detach()
        except OSError:  # the client has gone: tornado would have noticed by its stream
            stream = iostream.IOStream(socket.socket())
            stream.close()
        else:
            stream = Stream(descriptor, received, hold, self.handler)
            self.adapter.keep(stream)
            if self.switching:
                stream.write(self.switching)
        return stream

    def set_close_callback(self, callback):
        self.close_callback = callback
        if callback:  # a handler's
            self.handler = weakref.ref(getattr(callback, "__self__", callback))

    def closed(self):
        if self.close_callback:
            callback, self.close_callback = self.close_callback, None
            callback()

    @staticmethod
    def body(chunk):
        return {"type": "http.response.body", "body": bytes(chunk), "more_body": True}

    def later(self, *messages):
        # Tasks begin in the order in which they are made.
        sending = asyncio.ensure_future(self.send_all(messages))
        # Whoever does not wait for it hears of a client that has gone by on_connection_close().
        sending.add_done_callback(lambda sent: sent.cancelled() or sent.exception())
        return sending

    async def send_all(self, messages):
        for message in messages:
            if message:
                await self.send(message)

    def note_finished(self):
        if not self.finished.done():
            self.finished.set_result(None)


def text_of(start_line, headers):
    lines = [f"HTTP/1.1 {start_line.code} {start_line.reason}"]
    lines += [f"{name}: {value}" for name, value in headers.get_all()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError(f"a line break in the head of the answer: {lines!r}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def done():
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


class Stream(iostream.IOStream):
    """A client's socket that was detached from the engine, which counts it until it is closed."""

    def __init__(self, descriptor, received, hold, handler):
        super().__init__(socket.socket(fileno=descriptor))
        self._appd_received = received
        self._appd_hold = hold
        self._appd_handler = handler

    def read_from_fd(self, buf):
        if not self._appd_received:
            return super().read_from_fd(buf)
        piece = self._appd_received[: len(buf)]
        self._appd_received = self._appd_received[len(piece) :]
        buf[: len(piece)] = piece
        return len(piece)

    def close_fd(self):
        super().close_fd()
        self._appd_hold = None

    def send_away(self):
        """Closes it if it is a WebSocket. Anything else ends as its protocol wants it, or with the worker."""
        handler = self._appd_handler and self._appd_handler()
        if self.closed() or not isinstance(handler, websocket.WebSocketHandler):
            return
        try:
            handler.close(SERVICE_RESTART, "service restart")
        except Exception:
            traceback.print_exc()
            self.close()


class Context:
    """Where the request comes from, as tornado's HTTPServerRequest asks for it."""

    def __init__(self, scope):
        self.remote_ip = scope["client"][0] if scope["client"] else "127.0.0.1"
        self.address = scope["client"]
        self.protocol = scope["scheme"]
