"""Games in a SQLite file, so that they outlive the worker that plays them."""

import sqlite3
from dataclasses import dataclass

from rules import COLORS, Board, IllegalMove


@dataclass(frozen=True)
class Game:
    """One game as it stands: the moves, and the secret of whoever sits at each color."""

    id: str
    board: Board
    seats: dict[str, str]

    def color_of(self, player: str) -> str | None:
        return next((color for color, owner in self.seats.items() if owner == player), None)


class Store:
    """Each change reads and writes in one transaction: while a reload is under way, two workers may play one game.
    The calls are short enough to be made in the event loop."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS games (id TEXT PRIMARY KEY, moves TEXT NOT NULL, red TEXT, yellow TEXT)"
        )

    def close(self) -> None:
        self._db.close()

    def game(self, id: str) -> Game:
        """The game of that name, which may be new."""
        row = self._db.execute("SELECT moves, red, yellow FROM games WHERE id = ?", (id,)).fetchone()
        moves, *owners = row or ("", None, None)
        return Game(id, Board(moves), {color: owner for color, owner in zip(COLORS, owners) if owner})

    def join(self, id: str, player: str) -> Game:
        """Gives the player a seat if one is free; without one they watch."""
        with self._transaction():
            game = self.game(id)
            free = [color for color in COLORS if color not in game.seats]
            if free and not game.color_of(player):
                game.seats[free[0]] = player
                self._save(game)
            return game

    def drop(self, id: str, player: str, column: int) -> None:
        with self._transaction():
            game = self.game(id)
            if game.color_of(player) is None or len(game.seats) < len(COLORS):
                raise IllegalMove("there is nobody to play with yet")
            if game.board.turn != game.color_of(player):
                raise IllegalMove("it is not your turn")
            game.board.drop(column)
            self._save(game)

    def play_again(self, id: str) -> None:
        """A new board, once the game is over."""
        with self._transaction():
            game = self.game(id)
            if game.board.over:
                self._save(Game(id, Board(), game.seats))

    def _save(self, game: Game) -> None:
        values = (game.id, game.board.moves, *(game.seats.get(color) for color in COLORS))
        self._db.execute("INSERT OR REPLACE INTO games VALUES (?, ?, ?, ?)", values)

    def _transaction(self) -> "Transaction":
        return Transaction(self._db)


class Transaction:
    """Holds the file's write lock; rolls back when an exception leaves it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._db.execute("ROLLBACK" if kind else "COMMIT")
