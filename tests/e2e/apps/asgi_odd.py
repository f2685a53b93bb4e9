"""A bare ASGI app that asks a server for everything the specification promises, a route each."""

import asyncio
import contextvars
import gc
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

import anyio

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = dict[str, Any]
Page = Callable[[Scope, Receive, Send], Awaitable[None]]

pages: dict[str, Page] = {}
counts: Counter[str] = Counter()  # what /count tells
gates: dict[str, asyncio.Event] = {}
word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="unset")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    page = pages.get(scope["path"].split("/")[1])
    if page:
        await page(scope, receive, send)
    else:
        await answer(send, b"no such page", status=404)


def page(function: Page) -> Page:
    pages[function.__name__] = function
    return function


def argument(scope: Scope) -> str:
    return unquote(scope["query_string"].decode())


def gate(name: str) -> asyncio.Event:
    return gates.setdefault(name, asyncio.Event())


async def answer(send: Send, body: bytes, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def answer_json(send: Send, value: Any) -> None:
    await answer(send, json.dumps(value).encode(), headers=((b"content-type", b"application/json"),))


async def start(send: Send, *headers: tuple[bytes, bytes], **more: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(headers), **more})


async def body(send: Send, data: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def whole_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


# --- what tests look at and turn ----------------------------------------------------------------


@page
async def count(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, str(counts[argument(scope)]).encode())


@page
async def open_gate(scope: Scope, receive: Receive, send: Send) -> None:
    gate(argument(scope)).set()
    await answer(send, b"opened")


@page
async def pid(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, str(os.getpid()).encode())


@page
async def which_loop(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, type(asyncio.get_running_loop()).__module__.encode())


@page
async def tasks(scope: Scope, receive: Receive, send: Send) -> None:
    gc.collect()
    await answer(send, str(len(asyncio.all_tasks())).encode())


# --- requests -----------------------------------------------------------------------------------


@page
async def show_scope(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, repr(scope).encode())


@page
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, await whole_body(receive))


@page
async def echo_as_it_comes(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send)
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await body(send, message["body"], more)


@page
async def after_gate(scope: Scope, receive: Receive, send: Send) -> None:
    """Lets the client wait before it takes the body."""
    counts["waiting"] += 1
    await gate(argument(scope)).wait()
    digest, size, most = hashlib.sha256(), 0, 0
    more = True
    while more:
        message = await receive()
        digest.update(message["body"])
        size += len(message["body"])
        most = max(most, len(message["body"]))
        more = message["more_body"]
        await asyncio.sleep(0)
    await answer_json(send, {"size": size, "most": most, "sha256": digest.hexdigest()})


@page
async def late_reader(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(float(argument(scope)))
    await answer(send, str(len(await whole_body(receive))).encode())


@page
async def unread(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"did not look")


@page
async def receive_again(scope: Scope, receive: Receive, send: Send) -> None:
    """What receive() says when the client has gone."""
    await whole_body(receive)
    counts["receiving"] += 1
    message = await receive()
    counts[message["type"]] += 1


@page
async def receive_after_answer(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"answered")
    message = await receive()
    counts[f"{message['type']} after the answer"] += 1


@page
async def cut_upload(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    while message["type"] == "http.request":
        counts["cut_upload bytes"] += len(message["body"])
        message = await receive()
    counts[f"cut_upload {message['type']}"] += 1


@page
async def two_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    """One task listens for the end of the client while another one sends, as Starlette does."""

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        counts["listener heard"] += 1

    listener = asyncio.create_task(listen())
    await asyncio.sleep(0)
    await start(send)
    for number in range(3):
        await body(send, b"%d" % number)
        await asyncio.sleep(0)
    listener.cancel()
    await body(send, b"", more=False)


# --- answers ------------------------------------------------------------------------------------


@page
async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """So many MiB, in pieces of 64 KiB, as fast as send() lets it."""
    piece = bytes(65536)
    counts["pieces"] = 0
    await start(send)
    for _ in range(int(argument(scope)) * 16):
        await body(send, piece)
        counts["pieces"] += 1
    await body(send, b"", more=False)


@page
async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Streams until send() says that nobody reads any more."""
    await start(send)
    try:
        while True:
            await body(send, b"x" * 1024)
            counts["endless"] += 1
            await asyncio.sleep(0)
    except OSError:
        counts["endless ended"] += 1
        raise


@page
async def lines(scope: Scope, receive: Receive, send: Send) -> None:
    """Line by line; after each one it waits for the gate of that number."""
    await start(send, (b"content-type", b"text/plain"))
    for number in range(3):
        await body(send, b"line %d\n" % number)
        await gate(f"{argument(scope)}-{number}").wait()
    await body(send, b"", more=False)


@page
async def pieces(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send, (b"content-length", b"6"))
    for piece in (b"one", bytearray(b"tw"), memoryview(b"o")):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


@page
async def cookies(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"", headers=((b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")))


@page
async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


@page
async def trailers(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send, (b"trailer", b"x-checksum"), trailers=True)
    await body(send, b"with a trailer", more=False)
    await send({"type": "http.response.trailers", "headers": [(b"x-checksum", b"42")]})


@page
async def background(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"accepted")
    await gate("background").wait()
    counts["background"] += 1


@page
async def background_file(scope: Scope, receive: Receive, send: Send) -> None:
    """Goes on after the answer, and leaves a file when it is done."""
    await answer(send, b"accepted")
    await asyncio.sleep(0.3)
    with open(argument(scope), "w") as file:
        file.write("done")


@page
async def background_error(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"accepted")
    raise RuntimeError("after the answer")


# --- wrong answers ------------------------------------------------------------------------------


@page
async def raise_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("before anything")


@page
async def raise_later(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0)
    raise RuntimeError("after a wait")


@page
async def raise_after_start(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send, (b"x-secret", b"of an answer that was never given"))
    raise RuntimeError("after the start")


@page
async def raise_in_body(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send)
    await body(send, b"some of it")
    raise RuntimeError("in the middle of the body")


@page
async def no_answer(scope: Scope, receive: Receive, send: Send) -> None:
    pass


@page
async def only_start(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send)


@page
async def half_a_body(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send)
    await body(send, b"half")


@page
async def start_twice(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send)
    await start(send)


@page
async def body_first(scope: Scope, receive: Receive, send: Send) -> None:
    await body(send, b"", more=False)


@page
async def unknown_message(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.magic"})


@page
async def text_body(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send)
    await send({"type": "http.response.body", "body": "text"})


@page
async def splitting(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"", headers=((b"x-evil", b"a\r\nset-cookie: b=c"),))


@page
async def send_after_end(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"complete")
    try:
        await body(send, b"more")
    except RuntimeError:
        counts["refused after the end"] += 1


# --- tasks and contexts -------------------------------------------------------------------------


@page
async def current_task(scope: Scope, receive: Receive, send: Send) -> None:
    """current_task() is one real Task from the first line to the last."""
    first = asyncio.current_task()
    known = first in asyncio.all_tasks()
    await asyncio.sleep(0)
    second = asyncio.current_task()
    await receive()
    third = asyncio.current_task()
    same = first is second is third
    await answer_json(send, {"task": isinstance(first, asyncio.Task), "known": known, "same": same})


@page
async def context(scope: Scope, receive: Receive, send: Send) -> None:
    """Sets a variable, waits until all the others have set theirs too, and looks again."""
    before = word.get()
    word.set(argument(scope))
    counts["contexts"] += 1
    if counts["contexts"] % 20 == 0:
        gate("contexts").set()
    await gate("contexts").wait()
    inner = await asyncio.create_task(read_word())
    in_thread = await asyncio.to_thread(word.get)
    await answer_json(send, [before, word.get(), inner, in_thread])


async def read_word() -> str:
    return word.get()


@page
async def context_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    """As above, but never waits."""
    before = word.get()
    word.set("left over")
    await answer_json(send, before)


@page
async def timeout(scope: Scope, receive: Receive, send: Send) -> None:
    """A deadline that is set before the first wait."""
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        await answer(send, b"timed out")


@page
async def wait_for_receive(scope: Scope, receive: Receive, send: Send) -> None:
    await whole_body(receive)
    try:
        await asyncio.wait_for(receive(), 0.01)
    except TimeoutError:
        await answer(send, b"timed out")


@page
async def task_group(scope: Scope, receive: Receive, send: Send) -> None:
    async with asyncio.TaskGroup() as group:
        words = [group.create_task(asyncio.sleep(0.01, word)) for word in ("one", "two")]
    await answer_json(send, [each.result() for each in words])


@page
async def failing_group(scope: Scope, receive: Receive, send: Send) -> None:
    """A child's failure cancels the request's own wait, and is caught outside of the group."""

    async def fail() -> None:
        raise ValueError("from the child")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await asyncio.Event().wait()
    except* ValueError:
        await answer(send, b"caught")


@page
async def with_anyio(scope: Scope, receive: Receive, send: Send) -> None:
    with anyio.move_on_after(0.01) as moved_on:
        await anyio.sleep_forever()
    results = []

    async def note(number: int) -> None:
        results.append(await anyio.to_thread.run_sync(lambda: number * 2))

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(note, number)
    await answer_json(send, [moved_on.cancel_called, sorted(results)])


@page
async def cancel_myself(scope: Scope, receive: Receive, send: Send) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@page
async def cancel_and_leave(scope: Scope, receive: Receive, send: Send) -> None:
    """Asks for a cancellation that never arrives, because it waits no more."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await answer(send, b"left")


@page
async def keep_task(scope: Scope, receive: Receive, send: Send) -> None:
    """Keeps its Task beyond the request, as libraries do that watch them, and cancels it later."""
    counts["kept"] += 1
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    await answer(send, b"kept")


@page
async def block(scope: Scope, receive: Receive, send: Send) -> None:
    time.sleep(float(argument(scope)))
    await answer(send, b"blocked")


@page
async def sleep(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(float(argument(scope)))
    await answer(send, b"slept")


@page
async def meet(scope: Scope, receive: Receive, send: Send) -> None:
    """Waits until so many are here."""
    counts["here"] += 1
    counts["most"] = max(counts["most"], counts["here"])
    name = f"meet {argument(scope)}"
    counts[name] += 1
    if counts[name] % int(argument(scope)) == 0:
        gates.pop(name, asyncio.Event()).set()
    else:
        await gate(name).wait()
    counts["here"] -= 1
    await answer(send, b"met")
