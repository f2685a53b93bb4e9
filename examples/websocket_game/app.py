"""Four in a row for two browsers, over WebSockets.

Run it under appd:  appctl create game --directory "$PWD" --app app:app --bind 127.0.0.1:8004

One worker: the players of a game meet in its memory. The games themselves are in a SQLite file, so `appctl reload`
costs nothing but a moment: the old worker closes its WebSockets with code 1012 (service restart), the page connects
again, and the new worker goes on with the game as it stands. (For several workers, let each tell the others of its
games' changes, for example through Redis; see ../redis_listener.)
"""

import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from rules import COLORS, IllegalMove
from store import Store

HERE = Path(__file__).parent
DATABASE = os.environ.get("GAME_DATABASE", str(HERE / "games.sqlite3"))


class Table:
    """Who sits at one game, or stands around it. A player may have several windows open."""

    def __init__(self, id: str, store: Store) -> None:
        self.id = id
        self.sockets: dict[WebSocket, str] = {}
        self._store = store

    async def tell_all(self) -> None:
        for socket in list(self.sockets):
            await self.tell(socket)

    async def tell(self, socket: WebSocket, problem: str = "") -> None:
        """Everything that the page shows. It is so little that nothing is told by halves."""
        game = self._store.game(self.id)
        board = game.board
        here = {game.color_of(player) for player in self.sockets.values()}
        state = {
            "you": game.color_of(self.sockets.get(socket, "")),
            "here": [color for color in COLORS if color in here],
            "discs": [[column, row, color] for (column, row), color in board.discs.items()],
            "turn": board.turn if len(game.seats) == len(COLORS) else None,
            "over": board.over,
            "winner": board.winner,
            "winning": board.winning,
            "problem": problem,
        }
        try:
            await socket.send_json(state)
        except (OSError, RuntimeError, WebSocketDisconnect):
            pass  # it has gone meanwhile, and its own coroutine will see that


async def play(socket: WebSocket) -> None:
    """One window, from its coming to its going. It says first who it is: {"player": "a secret of its own"}."""
    store: Store = socket.app.state.store
    id = socket.path_params["id"]
    table = socket.app.state.tables[id]
    await socket.accept()
    try:
        player = str((await socket.receive_json())["player"])
        store.join(id, player)
        table.sockets[socket] = player
        await table.tell_all()
        while True:
            try:
                take_move(store, id, player, await socket.receive_json())
            except IllegalMove as why:
                await table.tell(socket, str(why))
            else:
                await table.tell_all()
    except WebSocketDisconnect:
        pass
    except (ValueError, KeyError, TypeError):  # whoever this is, it is not our page
        await socket.close(1008, "not what this game speaks")
    finally:
        table.sockets.pop(socket, None)
        await table.tell_all()
        if not table.sockets:
            socket.app.state.tables.pop(id, None)


def take_move(store: Store, id: str, player: str, move: dict[str, object]) -> None:
    if "again" in move:
        store.play_again(id)
    else:
        store.drop(id, player, int(str(move["column"])))


async def page(request: Request) -> FileResponse:
    return FileResponse(HERE / "page.html")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.store = Store(DATABASE)
    app.state.tables = Tables(app.state.store)
    yield
    app.state.store.close()


class Tables(defaultdict[str, Table]):
    """The tables at which somebody is."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def __missing__(self, id: str) -> Table:
        self[id] = Table(id, self._store)
        return self[id]


app = Starlette(routes=[Route("/", page), WebSocketRoute("/games/{id}", play)], lifespan=lifespan)
