"""An ASGI app with a second job: each worker also listens to a Redis queue, from startup to shutdown.

Run it under appd:  appctl create listener --directory "$PWD" --app app:app --bind 127.0.0.1:8003 --workers 2

The lifespan starts the listener and stops it. It is not cancelled, which could lose an item that Redis has
given out already: it finishes what it has, and its wait is ended by Redis itself. So a reload loses nothing, and
each item is handled by one worker. (A worker that is killed loses the item in its hands; where that matters, move
items to a list of the worker's own with BLMOVE, and remove them from there when they are done.)
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
QUEUE = "items"
HANDLED = "handled"


class Listener:
    """Takes items from the queue, one at a time, until it is told to stop."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting = redis.client()  # on one connection, whose number Redis knows
        self._number = 0
        self._stopping = False

    async def start(self) -> None:
        await self._redis.ping()  # without Redis there is nothing to start for
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        self._stopping = True
        while not self._task.done():
            # Its wait comes back empty. Again if it was about to begin the next one just then.
            with suppress(RedisConnectionError):
                await self._redis.client_unblock(self._number)
            await asyncio.wait([self._task], timeout=0.1)
        await self._waiting.close()
        self._task.result()  # raises what has ended it before its time

    async def _listen(self) -> None:
        while not self._stopping:
            try:
                self._number = await self._waiting.client_id()
                await self._take_items()
            except RedisConnectionError as error:
                print(f"Redis: {error}; trying again in a second", flush=True)
                await asyncio.sleep(1)

    async def _take_items(self) -> None:
        while not self._stopping:
            if taken := await self._waiting.blpop(QUEUE):
                await self._handle(taken[1])

    async def _handle(self, item: str) -> None:
        """Where the real work would be."""
        await self._redis.rpush(HANDLED, json.dumps({"item": item, "pid": os.getpid()}))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Redis]]:
    redis = Redis.from_url(REDIS_URL, decode_responses=True)
    listener = Listener(redis)
    await listener.start()
    yield {"redis": redis}
    await listener.stop()
    await redis.close()


async def show(request: Request) -> JSONResponse:
    redis: Redis = request.state.redis
    handled = [json.loads(entry) for entry in await redis.lrange(HANDLED, 0, -1)]
    return JSONResponse({"handled": handled, "waiting": await redis.llen(QUEUE)})


async def push(request: Request) -> JSONResponse:
    redis: Redis = request.state.redis
    item = (await request.body()).decode()
    await redis.rpush(QUEUE, item)
    return JSONResponse({"pushed": item}, status_code=202)


app = Starlette(
    routes=[Route("/items", show), Route("/items", push, methods=["POST"])],
    lifespan=lifespan,
)
