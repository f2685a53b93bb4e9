"""Native tornado apps on the engine: tornado's interface of HTTP servers, spoken over ASGI."""

import asyncio

from tornado import httputil


def adapter(app):
    """An ASGI app in front of a tornado Application or Router; None for what is WSGI."""
    if isinstance(app, httputil.HTTPServerConnectionDelegate):
        return Adapter(app.start_request)
    return None


class Adapter:
    def __init__(self, start_request):
        self.start_request = start_request

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            body = b"tornado's WebSockets need a stream of their own, which appd does not give\n"
            await receive()
            await send({"type": "websocket.http.response.start", "status": 501, "headers": []})
            await send({"type": "websocket.http.response.body", "body": body})
            return
        connection = Connection(scope, send)
        delegate = self.start_request(connection, connection)
        disconnected = None
        if await self.give_request(scope, receive, delegate):
            disconnected = asyncio.ensure_future(receive())
            await asyncio.wait({connection.finished, disconnected}, return_when=asyncio.FIRST_COMPLETED)
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


async def settled(result):
    if result is not None:
        await result


class Connection(httputil.HTTPConnection):
    """What tornado's handlers answer to."""

    def __init__(self, scope, send):
        self.send = send
        self.context = Context(scope)
        self.finished = asyncio.get_running_loop().create_future()
        self.close_callback = None
        self.is_head = scope["method"] == "HEAD"

    def write_headers(self, start_line, headers, chunk=None):
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
        self.later({"type": "http.response.body", "body": b""}).add_done_callback(self.note_finished)

    def set_close_callback(self, callback):
        self.close_callback = callback

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

    def note_finished(self, sent):
        sent.exception()
        if not self.finished.done():
            self.finished.set_result(None)


class Context:
    """Where the request comes from, as tornado's HTTPServerRequest asks for it."""

    def __init__(self, scope):
        self.remote_ip = scope["client"][0] if scope["client"] else "127.0.0.1"
        self.address = scope["client"]
        self.protocol = scope["scheme"]
