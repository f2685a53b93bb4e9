"""Makes calls of appd fail, by shim/fail_nth.c."""

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.appd import Appd


class FailNth:
    """What the library that appd was started with looks at."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "fail"
        self.path.write_bytes(bytes(mmap.PAGESIZE))
        self._file = self.path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), mmap.PAGESIZE)

    def arm(self, nth: int, error: int, lasting: bool = False) -> None:
        struct.pack_into("=iii", self._map, 4, error, lasting, 0)
        struct.pack_into("=i", self._map, 0, nth)

    def disarm(self) -> bool:
        """Whether something has failed."""
        struct.pack_into("=i", self._map, 0, 0)
        return bool(struct.unpack_from("=i", self._map, 12)[0])


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def start_failing(appd: Appd, library: Path, calls: str, folder: Path) -> FailNth:
    """Starts an appd of which calls can be made to fail; what it starts is as always."""
    failing = FailNth(folder)
    with environment(LD_PRELOAD=str(library), FAIL_PROCESS="appd", FAIL_CALLS=calls, FAIL_CONTROL=str(failing.path)):
        appd.start()
    return failing
