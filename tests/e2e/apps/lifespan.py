"""An ASGI app with a lifespan. The file `mode` beside it says how that goes, `story` is what happened."""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HERE = Path(__file__).parent
MODE = (HERE / "mode").read_text()


def tell(what: str) -> None:
    with (HERE / "story").open("a") as story:
        story.write(f"{what} {os.getpid()}\n")


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    state = scope.get("state", {})
    if scope["path"] == "/shared":
        state["requests"].append(1)
        body = str(len(state["requests"]))
    elif scope["path"] == "/own":
        body = str("mine" in state)
        state["mine"] = True
    else:
        body = f"{MODE} {os.getpid()}"
    headers = [(b"content-length", str(len(body)).encode()), (b"x-worker-pid", str(os.getpid()).encode())]
    headers += [pair for pair in scope["headers"] if pair[0] == b"x-request-number"]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


async def lifespan(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if MODE == "knows none":
        raise NotImplementedError("this app has no lifespan")
    message = await receive()
    assert message["type"] == "lifespan.startup"
    await asyncio.sleep(0)
    if MODE == "fails":
        await send({"type": "lifespan.startup.failed", "message": "the database has gone fishing"})
        return
    if MODE == "hangs":
        await asyncio.Event().wait()
    scope["state"]["requests"] = []
    tell("startup")
    await send({"type": "lifespan.startup.complete"})
    message = await receive()
    assert message["type"] == "lifespan.shutdown"
    await asyncio.sleep(0.3)
    tell("shutdown")
    await send({"type": "lifespan.shutdown.complete"})
