"""A WebSocket client that is not of ours, and conversations with it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatusCode

SERVICE_RESTART = 1012


def talk(url: str, conversation: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
    """Has a conversation over one WebSocket; returns what that returns."""

    async def run() -> Any:
        async with websockets.connect(url, max_size=None, close_timeout=5, **options) as socket:
            return await asyncio.wait_for(conversation(socket), 30)

    return asyncio.run(run())


def close_code(url: str, *messages: str | bytes) -> tuple[int, str]:
    """How the server ends it, after these."""

    async def until_closed(socket: Any) -> tuple[int, str]:
        try:
            for message in messages:
                await socket.send(message)
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code, socket.close_reason

    return talk(url, until_closed)


def refused(url: str, **options: Any) -> InvalidStatusCode:
    async def nothing(socket: Any) -> None:
        pass

    with pytest.raises(InvalidStatusCode) as refusal:
        talk(url, nothing, **options)
    return refusal.value


async def alive(socket: Any) -> bool:
    try:
        await (await socket.ping())
    except ConnectionClosed:
        return False
    return True
