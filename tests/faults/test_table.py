"""The tables of docs/testing.md have every fault, and name tests that are there."""

import re

from harness.paths import ROOT

TESTS = ROOT / "tests"
TEXT = (ROOT / "docs" / "testing.md").read_text()
FAULTS = 65


def rows() -> dict[int, str]:
    return {int(number): cell for number, cell in re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", TEXT, re.M)}


def threats() -> dict[str, str]:
    section = TEXT[TEXT.index("## Threats") : TEXT.index("## Failpoints")]
    return dict(re.findall(r"^\| ([^|-]+) \| ([^|]+) \|$", section, re.M))


def source(path: str) -> str:
    kind, _, name = path.replace("unit ", "unit/").partition("/")
    found = [*TESTS.joinpath(kind).rglob(f"{name}.py"), *TESTS.joinpath(kind).rglob(f"{name}.cc")]
    assert found, f"there is no {path}"
    return "".join(file.read_text() for file in found)


def test_every_fault_has_its_row() -> None:
    assert sorted(rows()) == list(range(1, FAULTS + 1))


def test_every_test_that_is_named_exists() -> None:
    for row, cell in {**rows(), **threats()}.items():
        for path, words in re.findall(r"`((?:faults|e2e|component|unit)[/ ][a-z0-9_/]+)`([^;`]*)", cell):
            tests = re.findall(r"def test_(\w+)", text := source(path)) or [text]
            for name in re.findall(r"…?[a-z0-9_]*_[a-z0-9_]*…?", words):
                assert any(name.strip("…") in test for test in tests), f"{row}: no {name} in {path}"
