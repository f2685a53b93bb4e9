"""Four in a row: two players drop discs into seven columns, and four in a line win. Pure: no I/O, no players."""

from collections.abc import Iterator

COLUMNS, ROWS, LINE = 7, 6, 4
COLORS = ("red", "yellow")
Cell = tuple[int, int]  # column, row from below


class IllegalMove(Exception):
    """The message is for the player."""


class Board:
    """What the columns chosen so far come to. Red begins."""

    def __init__(self, moves: str = "") -> None:
        self.moves = ""
        self.discs: dict[Cell, str] = {}
        self.winning: list[Cell] = []
        for column in moves:
            self.drop(int(column))

    @property
    def turn(self) -> str | None:
        """Whose turn it is; None when the game is over."""
        return None if self.over else COLORS[len(self.moves) % 2]

    @property
    def winner(self) -> str | None:
        return self.discs[self.winning[0]] if self.winning else None

    @property
    def over(self) -> bool:
        return bool(self.winning) or len(self.moves) == COLUMNS * ROWS

    def drop(self, column: int) -> None:
        color = self.turn
        if color is None:
            raise IllegalMove("the game is over")
        if column not in range(COLUMNS):
            raise IllegalMove("there is no such column")
        row = sum(1 for each in self.discs if each[0] == column)
        if row == ROWS:
            raise IllegalMove("this column is full")
        self.moves += str(column)
        self.discs[column, row] = color
        self.winning = next(self._lines_through((column, row)), [])

    def _lines_through(self, cell: Cell) -> Iterator[list[Cell]]:
        for step in ((1, 0), (0, 1), (1, 1), (1, -1)):
            line = [*reversed(self._run(cell, (-step[0], -step[1]))), cell, *self._run(cell, step)]
            if len(line) >= LINE:
                yield line

    def _run(self, cell: Cell, step: Cell) -> list[Cell]:
        """The discs of the cell's color from the next one on, in one direction."""
        run = []
        at = (cell[0] + step[0], cell[1] + step[1])
        while self.discs.get(at) == self.discs[cell]:
            run.append(at)
            at = (at[0] + step[0], at[1] + step[1])
        return run
