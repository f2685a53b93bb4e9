"""A tornado Application: coroutines, a streamed answer, a streamed body."""

import asyncio
import os

import tornado.web


class Hello(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(f"hello {os.getpid()}")


class Slow(tornado.web.RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(float(self.get_argument("s")))
        self.write("slept")


class Upload(tornado.web.RequestHandler):
    def post(self) -> None:
        self.write(self.request.body)


@tornado.web.stream_request_body
class StreamedUpload(tornado.web.RequestHandler):
    def prepare(self) -> None:
        self.pieces: list[int] = []

    async def data_received(self, chunk: bytes) -> None:
        self.pieces.append(len(chunk))

    def put(self) -> None:
        self.write({"size": sum(self.pieces), "most": max(self.pieces)})


class Stream(tornado.web.RequestHandler):
    async def get(self) -> None:
        for number in range(int(self.get_argument("lines"))):
            self.write(f"line {number}\n")
            await self.flush()


class Fail(tornado.web.RequestHandler):
    def get(self) -> None:
        raise tornado.web.HTTPError(418)


app = tornado.web.Application(
    [("/", Hello), ("/slow", Slow), ("/upload", Upload), ("/streamed", StreamedUpload), ("/stream", Stream), ("/fail", Fail)]
)
