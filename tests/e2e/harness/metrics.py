"""What appd's metrics page says, and a real Prometheus that scrapes it."""

import json
import re
import subprocess
import threading
import urllib.parse
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any

from harness import http
from harness.ports import free_port
from harness.waiting import wait_until

SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Series = tuple[str, frozenset[tuple[str, str]]]


class Scrape:
    """One reading of a page."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.types: dict[str, str] = {}
        self.series: dict[Series, float] = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.types[name] = kind
            elif not line.startswith("#"):
                name, labels, value = SAMPLE.fullmatch(line).groups()  # type: ignore[union-attr]
                self.series[name, frozenset(LABEL.findall(labels or ""))] = float(value)

    def all(self, name: str, **labels: str) -> list[float]:
        """The values of the series of this name that have these labels."""
        wanted = set(labels.items())
        return [value for (known, own), value in self.series.items() if known == name and wanted <= own]

    def sum(self, name: str, **labels: str) -> float:
        found = self.all(name, **labels)
        assert found, f"no {name} with {labels}:\n{self.text}"
        return sum(found)

    def counters(self) -> dict[Series, float]:
        """What must never become smaller: counters, and the numbers of a histogram."""
        counting = {name for name, kind in self.types.items() if kind == "counter"}
        for name, kind in self.types.items():
            if kind == "histogram":
                counting |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
        return {series: value for series, value in self.series.items() if series[0] in counting}


class Away(Exception):
    """appd is ending, and says so."""


def scrape(port: int) -> Scrape:
    answer = http.request(port, "/metrics")
    if answer.status == 503:
        raise Away(answer.text)
    assert answer.status == 200, answer
    return Scrape(answer.text)


class Scraper:
    """Scrapes again and again until the end of the block, and then holds each counter against its past. Counters of
    single workers and of appd's own process begin anew with these."""

    OF_PROCESSES = ("appd_worker_", "process_")

    def __init__(self, port: int) -> None:
        self.scrapes = 0
        self._port = port
        self._last: dict[Series, float] = {}
        self._problems: list[str] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                now = scrape(self._port).counters()
            except (OSError, HTTPException, Away):
                continue  # appd has ended, ends, or is killed in the middle of an answer
            for series, value in now.items():
                if not series[0].startswith(self.OF_PROCESSES) and value < self._last.get(series, 0):
                    self._problems.append(f"{series}: {self._last[series]} → {value}")
            self._last = now
            self.scrapes += 1

    def __enter__(self) -> "Scraper":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        if error is None:
            assert not self._problems, "\n".join(self._problems)


class Prometheus:
    """Debian's, with a port and a folder of its own: one that runs on this host already is not touched."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._folder = folder
        folder.mkdir()

    def __enter__(self) -> "Prometheus":
        config = self._folder / "prometheus.yml"
        jobs = [{"job_name": "appd", "static_configs": [{"targets": [f"127.0.0.1:{self._target}"]}]}]
        # JSON is YAML.
        config.write_text(json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}))
        options = [f"--config.file={config}", f"--storage.tsdb.path={self._folder}/data"]
        options += [f"--web.listen-address=127.0.0.1:{self.port}"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(["/usr/bin/prometheus", *options], stdout=log, stderr=log)
        wait_until(self._scrapes, "Prometheus has scraped appd", 60)
        return self

    def _scrapes(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            return self.value("up") == 1
        except (OSError, ValueError):  # it does not listen yet, or is not ready
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = http.request(self.port, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        result = json.loads(answer.body)
        assert result["status"] == "success", f"{expression}: {result}"
        return result["data"]["result"]

    def value(self, expression: str) -> float | None:
        """Of an expression that gives one number."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)
