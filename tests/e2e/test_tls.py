"""The API on TCP: with TLS only, and for clients whose certificates say who they are."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from harness import processes
from harness.appd import DONE, FAILED, UNREACHABLE, Appd
from harness.apps import write_app
from harness.caller import Caller
from harness.certificates import Authority, Pair
from harness.paths import APPD
from harness.ports import free_port
from harness.waiting import wait_until

HALF_OPEN = 1000
# appd gives a connection 10 s to say who it is; the rest is for a slow machine.
PROOF_TIMEOUT = 120.0
GONE_TIMEOUT = 120.0


class Tls:
    """An appd with an entrance on TCP for clients of `people`."""

    def __init__(self, appd: Appd, folder: Path) -> None:
        self.appd = appd
        self.people = Authority(folder / "people")
        self.hosts = Authority(folder / "hosts")
        self.own = folder / "own"
        self.own.mkdir()
        self.files = Pair(self.own / "cert.pem", self.own / "key.pem")
        self.install(self.hosts.issue_for_server())
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"

    def install(self, pair: Pair) -> None:
        """As careful tools do it: a file is whole, or the one before."""
        for source, target in ((pair.key, self.files.key), (pair.cert, self.files.cert)):
            fresh = target.with_suffix(".new")
            shutil.copy(source, fresh)
            fresh.chmod(0o600)
            os.rename(fresh, target)

    def listen(self, more: str = "", address: str = "") -> tuple[str, str]:
        files = f"cert={self.files.cert},key={self.files.key},client_ca={self.people.cert}"
        return "--listen", f"{address or self.address},{files}{more}"

    def start(self, *rules: str) -> "Tls":
        self.appd.start(*self.listen(), *(word for rule in rules for word in ("--client", rule)))
        return self

    def caller(self, who: Pair | None, address: str = "", ca: Path | None = None) -> Caller:
        flags = ("--ca", str(ca or self.hosts.cert))
        return Caller(address or self.address, *flags, *(who.flags if who else ()))

    def served_serial(self) -> int:
        """Of the certificate that appd shows now. The handshake's end, which needs one of ours, does not matter."""
        shown = ssl.get_server_certificate(("127.0.0.1", self.port), timeout=30)
        text = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown, capture_output=True, text=True, check=True)
        return int(text.stdout.split("=")[1], 16)


@pytest.fixture
def tls(idle_appd: Appd, tmp_path: Path) -> Tls:
    return Tls(idle_appd, tmp_path / "")


def test_certificates_have_the_roles_that_their_names_are_given(tls: Tls, tmp_path: Path) -> None:
    tls.start("ops=admin", "spiffe://shop/ci=deployer:web", "view.example=viewer")
    ops = tls.caller(tls.people.issue("ops"))
    ops("create", "web", "--directory", str(write_app(tmp_path / "web")), "--app", "wsgi:app", "--bind", f"127.0.0.1:{free_port()}").expect(DONE)
    ops("create", "api", "--directory", str(write_app(tmp_path / "api")), "--app", "wsgi:app", "--bind", f"127.0.0.1:{free_port()}").expect(DONE)

    ci = tls.caller(tls.people.issue("whatever", "DNS:no.example", "URI:spiffe://shop/ci"))
    ci("scale", "web", "--workers", "2").expect(DONE)
    denied = ci("scale", "api", "--workers", "2").expect(FAILED)
    assert "APP_NOT_ALLOWED" in denied.stderr and "for web only" in denied.stderr
    denied = ci("stop", "web").expect(FAILED)
    assert "ROLE_TOO_LOW" in denied.stderr and "certificate spiffe://shop/ci is a deployer" in denied.stderr
    assert [app["name"] for app in ci("list", "-o", "json").expect(DONE).json["apps"]] == ["apps/web"]

    view = tls.caller(tls.people.issue("view", "DNS:view.example"))
    assert len(view("list", "-o", "json").expect(DONE).json["apps"]) == 2
    assert "ROLE_TOO_LOW" in view("scale", "web", "--workers", "3").expect(FAILED).stderr

    # A common name counts only where there is no other name.
    pretender = tls.caller(tls.people.issue("ops", "DNS:other.example", serial=2))
    unknown = pretender("list").expect(FAILED)
    assert "CLIENT_UNKNOWN" in unknown.stderr and "--client other.example=ROLE" in unknown.stderr

    newest = tls.appd.ok("history", "web", "-o", "json").json["revisions"][0]
    assert newest["caller"]["identity"] == "certificate spiffe://shop/ci"
    assert newest["caller"]["address"].startswith("127.0.0.1:") and "uid" not in newest["caller"]
    assert "certificate spiffe://shop/ci" in tls.appd.ok("history", "web").stdout


def test_who_has_no_certificate_of_ours_does_not_get_in(tls: Tls, tmp_path: Path) -> None:
    tls.start("ops=admin")
    stranger = Authority(tmp_path / "strangers").issue("ops")
    for who in (None, stranger):
        refused = tls.caller(who)("list").expect(UNREACHABLE)
        assert "it ended the connection" in refused.stderr, refused.stderr
    # And the other way round: appctl tells nobody anything who is not trusted.
    refused = tls.caller(tls.people.issue("ops"), ca=tls.people.cert)("list").expect(UNREACHABLE)
    assert "certificate is none that is trusted here" in refused.stderr, refused.stderr
    tls.caller(tls.people.issue("ops"))("list").expect(DONE)
    plain = Caller(f"127.0.0.1:{free_port()}")("list").expect(UNREACHABLE)
    assert "connection refused" in plain.stderr


def test_plaintext_on_the_tls_port_is_ended(tls: Tls) -> None:
    tls.start("ops=admin")
    with socket.create_connection(("127.0.0.1", tls.port), timeout=PROOF_TIMEOUT) as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        answer = b""
        while more := client.recv(4096):
            answer += more
    assert b"HTTP" not in answer and len(answer) < 100  # an alert at most
    tls.caller(tls.people.issue("ops"))("list").expect(DONE)
    assert not tls.appd.unexpected_errors()


def test_a_new_certificate_is_taken_and_a_bad_one_is_not(tls: Tls) -> None:
    tls.start("ops=admin")
    ops = tls.caller(tls.people.issue("ops"))
    assert tls.served_serial() == 1
    tls.install(tls.hosts.issue_for_server(serial=2))
    assert tls.served_serial() == 2
    ops("list").expect(DONE)

    tls.files.cert.write_text("no certificate\n")
    assert tls.served_serial() == 2
    ops("list").expect(DONE)
    assert tls.appd.log().count("a new certificate is ignored") == 1
    assert f"cert {tls.files.cert}: holds no certificate" in tls.appd.log()

    tls.install(tls.hosts.issue_for_server(serial=3))
    assert tls.served_serial() == 3
    ops("list").expect(DONE)


def test_the_crowd_at_one_door_keeps_nobody_out_of_another(tls: Tls) -> None:
    tls.start("ops=admin")
    ops = tls.caller(tls.people.issue("ops"))
    crowd = []
    try:
        for _ in range(HALF_OPEN):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", tls.port))
            crowd.append(client)
        accepted = lambda: sum("socket" in name for name in processes.open_files(tls.appd.pid).values())  # noqa: E731
        wait_until(lambda: accepted() > 100, "appd has accepted a part of the crowd", 30)
        for _ in range(10):
            tls.appd.ok("list")
        assert accepted() < 600  # and no more than a part: two descriptors each
        # They have said nothing: appd ends them, and others get their places while the crowd is still there.
        wait_until(lambda: ops("list").exit == DONE, "a client of the same entrance gets through", PROOF_TIMEOUT)
    finally:
        for client in crowd:
            client.close()
    ops("list").expect(DONE)
    # The kernel may still be about to hand over some of them, and what they have to say last.
    wait_until(lambda: accepted() < 20, "the crowd has gone", GONE_TIMEOUT)


def test_who_has_said_who_he_is_stays_and_who_has_not_is_ended(tls: Tls) -> None:
    """A finished handshake is not enough to hold a place."""
    tls.start("ops=admin")
    pair = tls.people.issue("ops")
    context = ssl.create_default_context(cafile=str(tls.hosts.cert))
    context.load_cert_chain(pair.cert, pair.key)
    context.set_alpn_protocols(["h2"])
    watch = tls.caller(pair).follow("events", "-f", "-o", "json")
    assert watch.stdout is not None
    try:
        while "synced" not in watch.stdout.readline():
            pass
        with socket.create_connection(("127.0.0.1", tls.port), timeout=PROOF_TIMEOUT) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as silent:
                while silent.recv(4096):  # settings, and then the end
                    pass
        assert watch.poll() is None
    finally:
        watch.terminate()
        watch.communicate(timeout=30)


def test_ipv6(idle_appd: Appd, tmp_path: Path) -> None:
    tls = Tls(idle_appd, tmp_path)
    address = f"[::1]:{tls.port}"
    try:
        socket.create_server(("::1", tls.port), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this host has no IPv6")
    idle_appd.start(*tls.listen(address=address), "--client", "ops=admin")
    ops = tls.caller(tls.people.issue("ops"), address)
    ops("create", "web", "--directory", str(write_app(tmp_path / "web")), "--app", "wsgi:app", "--bind", f"127.0.0.1:{free_port()}").expect(DONE)
    caller = idle_appd.ok("history", "web", "-o", "json").json["revisions"][0]["caller"]
    assert caller["address"].startswith("[::1]:")


def test_an_entrance_has_a_role_of_its_own_and_survives_an_upgrade(tls: Tls) -> None:
    tls.appd.start(*tls.listen(",role=viewer"), "--client", "ops=admin")
    ops = tls.caller(tls.people.issue("ops"))
    denied = ops("upgrade").expect(FAILED)
    assert "certificate ops is a viewer here" in denied.stderr
    tls.appd.ok("upgrade")
    ops("list").expect(DONE)


def test_contexts_know_how_to_get_in(tls: Tls, tmp_path: Path) -> None:
    tls.start("ops=viewer")
    ops = tls.people.issue("ops")
    me = Caller(tls.address)
    me.command = me.command[:1]
    me.environment["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    me("context", "add", "far", tls.address, "--ca", str(tls.hosts.cert), *ops.flags).expect(DONE)
    me("list").expect(DONE)
    listed = me("context", "list", "-o", "json").expect(DONE).json["contexts"]["far"]
    assert listed == {"address": tls.address, "ca": str(tls.hosts.cert), "cert": str(ops.cert), "key": str(ops.key)}
    half = me("context", "add", "half", tls.address, "--cert", str(ops.cert))
    assert half.exit != DONE and "--cert and --key belong together" in half.stderr


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_what_is_wrong_with_the_files_is_said_at_the_start(tls: Tls, check: tuple[str, ...]) -> None:
    def why(listen: str, *more: str) -> str:
        appd = tls.appd
        command = [str(APPD), "--state-dir", str(appd.state_dir), "--runtime-dir", str(appd.runtime_dir), *check, *more]
        done = subprocess.run([*command, "--listen", listen], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and done.stderr.count("appd: ") == 1, done.stderr
        return done.stderr

    cert, key = tls.files.cert, tls.files.key
    assert "with TLS only: add ,cert=FILE,key=FILE" in why(tls.address)
    assert "No such file" in why(f"{tls.address},cert={cert},key={key}x")
    other = tls.hosts.issue_for_server(serial=9)
    assert f"is not the key of the certificate in {cert}" in why(f"{tls.address},cert={cert},key={other.key}")
    key.chmod(0o644)
    assert f"chmod o= {key}" in why(f"{tls.address},cert={cert},key={key}")
    key.chmod(0o600)
    assert "role must be viewer, deployer or admin" in why(f"{tls.address},cert={cert},key={key}", "--client", "x=boss")


def test_appd_with_tls_does_not_wake_up_while_nobody_is_there(tls: Tls) -> None:
    tls.start("ops=admin")
    tls.caller(tls.people.issue("ops"))("list").expect(DONE)

    def still() -> bool:
        """A whole interval without a switch; clients and gRPC have gone some seconds ago."""
        before = processes.context_switches([tls.appd.pid])
        time.sleep(5.0)  # the measurement itself
        return processes.context_switches([tls.appd.pid]) == before

    wait_until(still, "five seconds without a wake-up", 120)
