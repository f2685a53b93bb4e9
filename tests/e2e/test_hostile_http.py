"""Hostile bytes against a live worker: a named answer, and the worker goes on in the same process."""

import os
import random
import socket
import struct
import time
from pathlib import Path

import pytest

from harness import http
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.waiting import wait_until

HOST = b"Host: a\r\n"
# Bytes, and the statuses that may answer them; the connection must be closed afterwards.
HOSTILE: dict[str, tuple[bytes, set[int]]] = {
    "request_line_of_1_mb": (b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {414}),
    "request_line_that_never_ends": (b"G" * 1_000_000, {400, 414}),
    "header_field_of_1_mb": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n", {431}),
    "header_bomb": (b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % i for i in range(10_000)) + b"\r\n", {431}),
    "header_name_that_never_ends": (b"GET / HTTP/1.1\r\n" + b"X" * 1_000_000, {431}),
    "length_with_chunked": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "two_lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", {400}),
    "negative_length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", {400}),
    "length_with_plus": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +4\r\n\r\nabcd", {400}),
    "length_beyond_64_bits": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\n", {400, 413}),
    "length_over_the_limit": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2000000000\r\n\r\n", {413}),
    "bare_lf_after_request_line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", {400}),
    "bare_lf_after_header": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", {400}),
    "bare_cr_in_header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", {400}),
    "nul_in_header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n", {400}),
    "nul_in_path": (b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "folded_header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n z\r\n\r\n", {400}),
    "space_before_colon": (b"GET / HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n", {400}),
    "space_before_first_header": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", {400}),
    "header_without_colon": (b"GET / HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n", {400}),
    "header_with_empty_name": (b"GET / HTTP/1.1\r\n" + HOST + b": y\r\n\r\n", {400}),
    "no_host": (b"GET / HTTP/1.1\r\n\r\n", {400}),
    "two_hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    "http_0_9": (b"GET /\r\n\r\n", {400, 505}),
    "http_2_0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", {400, 505}),
    "http_1_99": (b"GET / HTTP/1.99\r\n" + HOST + b"\r\n", {400, 505}),
    "h2_preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "tls_client_hello": (bytes.fromhex("16030100c8010000c40303") + b"\x00" * 200, {400}),
    "method_with_bad_letters": (b"G@T{ / HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "unknown_transfer_encoding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", {400, 501}),
    "chunked_not_last": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", {400, 501}),
    "chunked_twice": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", {400, 501}),
    "obscured_chunked": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", {400, 501}),
    "chunked_in_http_1_0": (b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "chunk_size_with_sign": (b"POST /upload HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n+4\r\nabcd\r\n0\r\n\r\n", {400}),
    "chunk_size_in_0x": (b"POST /upload HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n", {400}),
    "chunk_size_beyond_64_bits": (b"POST /upload HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n", {400, 413}),
    "chunk_that_is_longer_than_it_says": (
        b"POST /upload HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
        {400},
    ),
    "chunk_with_bare_lf": (b"POST /upload HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n4\nabcd\n0\n\n", {400}),
    "chunk_extension_of_1_mb": (
        b"POST /upload HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n4;" + b"x" * 1_000_000 + b"\r\nabcd\r\n0\r\n\r\n",
        {400, 413, 431},
    ),
    "trailers_of_1_mb": (
        b"POST /upload HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
        {400, 413, 431},
    ),
    "garbage": (bytes(range(256)) * 100, {400}),
}


@pytest.fixture
def web(appd: Appd, port: int, tmp_path: Path) -> Appd:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    return appd


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_bytes_get_a_named_status_and_harm_nobody(web: Appd, port: int, kind: str) -> None:
    data, statuses = HOSTILE[kind]
    before = web.ready_pids("web")
    raw = http.send_raw(port, data, timeout=10)
    assert http.status_of(raw) in statuses, raw[:300]
    assert raw.count(b"HTTP/1.1 ") == 1, "one answer, and the rest is not taken for a second request"
    assert http.request(port).text == "hello"
    assert web.ready_pids("web") == before


@pytest.mark.parametrize("kind", ["length_with_chunked", "bare_lf_after_header", "two_lengths", "chunk_size_with_sign", "no_host"])
def test_the_verdict_is_the_same_however_the_bytes_are_cut(web: Appd, port: int, kind: str) -> None:
    data, statuses = HOSTILE[kind]
    for cut in range(1, len(data)):
        with http.connect(port) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each part a segment
            try:
                client.sendall(data[:cut])
                client.sendall(data[cut:])
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert http.status_of(http.read_to_end(client)) in statuses, cut


def test_request_smuggled_behind_a_refused_one_is_not_run(web: Appd, port: int) -> None:
    smuggled = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    raw = http.send_raw(port, smuggled + b"GET /version HTTP/1.1\r\n" + HOST + b"\r\n")
    assert raw.count(b"HTTP/1.1 ") == 1


def test_good_request_before_a_bad_one_is_answered(web: Appd, port: int) -> None:
    raw = http.send_raw(port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n" + b"nonsense\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 200") and raw.count(b"HTTP/1.1 ") == 2


def test_pipelined_requests_are_answered_in_order(web: Appd, port: int) -> None:
    requests = b"".join(b"GET /env?name=N%d HTTP/1.1\r\nHost: a\r\nX-Request-Number: %d\r\n\r\n" % (i, i) for i in range(50))
    raw = http.send_raw(port, requests + b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    numbers = [int(line.split(b":")[1]) for line in raw.split(b"\r\n") if line.startswith(b"X-Request-Number:")]
    assert numbers == list(range(50))


def test_expect_100_continue_is_answered_before_the_body(web: Appd, port: int) -> None:
    with http.connect(port) as client:
        client.sendall(b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert client.recv(1024).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"abcd")
        assert http.read_to_end(client).endswith(b"\r\n\r\nabcd")


def test_expect_with_a_body_over_the_limit_is_refused_without_it(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--limit-request-body", "1KiB").expect(DONE)
    raw = http.send_raw(port, b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 4096\r\nExpect: 100-continue\r\n\r\n")
    assert http.status_of(raw) == 413


def test_unknown_expectation_is_refused(web: Appd, port: int) -> None:
    raw = http.send_raw(port, b"GET / HTTP/1.1\r\n" + HOST + b"Expect: 200-maybe\r\nConnection: close\r\n\r\n")
    assert http.status_of(raw) == 417


def test_chunked_body_over_the_limit_is_cut_off(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--limit-request-body", "10000").expect(DONE)
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    raw = http.send_raw(port, b"POST /upload HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 100 + b"0\r\n\r\n")
    assert http.status_of(raw) == 413
    assert http.request(port, "/upload", "POST", b"y" * 10000).status == 200


def test_connection_close_and_http_1_0_are_honoured(web: Appd, port: int) -> None:
    raw = http.send_raw(port, b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert raw.endswith(b"hello") and b"connection: close" in raw.lower()
    raw = http.send_raw(port, b"GET / HTTP/1.0\r\n\r\n")
    assert http.status_of(raw) == 200 and raw.endswith(b"hello")


def test_absolute_form_and_star_are_understood(web: Appd, port: int) -> None:
    raw = http.send_raw(port, b"GET http://a/version HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert raw.endswith(b"\r\n\r\n1")
    raw = http.send_raw(port, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert http.status_of(raw) in (200, 204, 404)


def test_underscore_names_cannot_pass_for_dashed_ones(web: Appd, port: int) -> None:
    raw = http.send_raw(port, b"GET / HTTP/1.1\r\n" + HOST + b"X_Request_Number: 5\r\nConnection: close\r\n\r\n")
    assert b"X-Request-Number" not in raw


def test_slow_head_is_cut_off_at_client_header_timeout(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--client-header-timeout", "1s").expect(DONE)
    begin = time.monotonic()
    with http.connect(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        raw = http.read_to_end(client)
    assert 0.9 < time.monotonic() - begin < 5
    assert raw == b"" or http.status_of(raw) == 408


def test_slow_body_is_cut_off_at_client_body_timeout(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--client-body-timeout", "1s").expect(DONE)
    begin = time.monotonic()
    with http.connect(port) as client:
        client.sendall(b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc")
        raw = http.read_to_end(client)
    assert 0.9 < time.monotonic() - begin < 5
    assert raw == b"" or http.status_of(raw) == 408


def test_idle_connection_is_closed_after_keepalive(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--keepalive", "1s").expect(DONE)
    begin = time.monotonic()
    with http.connect(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        raw = http.read_to_end(client)
    assert 0.9 < time.monotonic() - begin < 5
    assert raw.endswith(b"hello")


def test_keepalive_zero_closes_after_each_answer(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--keepalive", "0").expect(DONE)
    raw = http.send_raw(port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    assert raw.endswith(b"hello") and b"connection: close" in raw.lower()


def test_client_that_never_reads_is_cut_off_at_send_timeout(appd: Appd, port: int, tmp_path: Path) -> None:
    extra = """
def big(environ, start_response):
    start_response("200 OK", [])
    return (b"x" * 65536 for _ in range(2000))
"""
    folder = write_app(tmp_path / "web", extra=extra)
    appd.create("web", folder, port, "--send-timeout", "1s", app="wsgi:big").expect(DONE)
    with http.connect(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        wait_until(lambda: appd.workers("web")[0]["connections"] == 0, "the worker has let go of the client")


def test_slow_clients_do_not_hold_a_sync_worker(web: Appd, port: int) -> None:
    slow = [http.connect(port) for _ in range(200)]
    for client in slow:
        client.sendall(b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nabc")
    try:
        begin = time.monotonic()
        for _ in range(20):
            assert http.request(port).text == "hello"
        assert time.monotonic() - begin < 1
    finally:
        for client in slow:
            client.close()


def test_clients_that_reset_in_the_middle_harm_nobody(web: Appd, port: int) -> None:
    before = web.ready_pids("web")
    for data in (b"GET /slow?ms=50 HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", b"GE"):
        for _ in range(10):
            client = http.connect(port)
            client.sendall(data)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    assert http.request(port).text == "hello"
    assert web.ready_pids("web") == before
    wait_until(lambda: web.workers("web")[0]["connections"] == 0, "no connection is left")


def test_random_bytes_never_bring_a_worker_down(web: Appd, port: int) -> None:
    source = random.Random(int(os.environ.get("APPD_TEST_SEED", "20261123")))
    before = web.ready_pids("web")
    template = b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
    for _ in range(300):
        data = bytearray(template)
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        with http.connect(port, timeout=5) as client:
            client.sendall(bytes(data))
            client.shutdown(socket.SHUT_WR)
            http.read_to_end(client)
    assert http.request(port).text == "hello"
    assert web.ready_pids("web") == before
