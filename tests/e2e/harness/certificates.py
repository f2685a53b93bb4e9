"""Certificates, made by openssl(1)."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class Pair:
    cert: Path
    key: Path

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--cert", str(self.cert), "--key", str(self.key))


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """Signs certificates; its own is `cert`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.cert, self._key = folder / "ca.crt", folder / "ca.key"
        made = ("-keyout", str(self._key), "-out", str(self.cert), "-days", "2", "-subj", f"/CN={folder.name}")
        _openssl("req", "-x509", *_NEW_KEY, *made)

    def issue(self, name: str, *sans: str, serial: int = 1) -> Pair:
        """With that common name, and perhaps others, such as "DNS:ci.example"."""
        file = self._folder / f"{name}-{serial}"
        pair = Pair(file.with_suffix(".crt"), file.with_suffix(".key"))
        request, extensions = file.with_suffix(".csr"), file.with_suffix(".ext")
        _openssl("req", *_NEW_KEY, "-keyout", str(pair.key), "-out", str(request), "-subj", f"/CN={name}")
        extensions.write_text(f"subjectAltName={','.join(sans)}\n" if sans else "")
        signed_by = ("-CA", str(self.cert), "-CAkey", str(self._key), "-set_serial", str(serial))
        more = ("-in", str(request), "-out", str(pair.cert), "-days", "2", "-extfile", str(extensions))
        _openssl("x509", "-req", *signed_by, *more)
        return pair

    def issue_for_server(self, serial: int = 1) -> Pair:
        return self.issue("server", "DNS:localhost", "IP:127.0.0.1", "IP:::1", serial=serial)
