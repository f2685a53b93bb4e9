"""Proxies in front, mount points and the access log, set and changed through appctl while the app serves."""

import json
from pathlib import Path

from harness import http as web
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.waiting import wait_until

SHOWN = """
def app(environ, start_response):
    names = ["wsgi.url_scheme", "REMOTE_ADDR", "SCRIPT_NAME", "PATH_INFO"]
    body = " ".join(environ[name] or "-" for name in names).encode("latin-1")
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
FORWARDED = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}


def test_whose_forwarded_fields_count_is_changed_live(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web", source=SHOWN), port).expect(DONE)
    pids = appd.ready_pids("web")
    assert web.request(port, "/x", headers=FORWARDED).text == "https 192.0.2.1 - /x"
    appd.ok("set", "web", "--forwarded-allow-ips", "10.0.0.0/8")
    assert web.request(port, "/x", headers=FORWARDED).text == "http 127.0.0.1 - /x"
    appd.ok("set", "web", "--forwarded-allow-ips", "127.0.0.0/8")
    assert web.request(port, "/x", headers=FORWARDED).text == "https 192.0.2.1 - /x"
    assert appd.ready_pids("web") == pids


def test_proxy_protocol_is_turned_on_live(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web", source=SHOWN), port).expect(DONE)
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    header = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n"
    assert web.status_of(web.send_raw(port, header + request)) in (400, 501)
    appd.ok("set", "web", "--proxy-protocol", "v1")
    assert web.send_raw(port, header + request).endswith(b"http 192.0.2.7 - /")
    assert web.status_of(web.send_raw(port, request)) == 400
    appd.ok("set", "web", "--proxy-protocol", "auto")
    assert web.send_raw(port, request).endswith(b"http 127.0.0.1 - /")


def test_root_path_is_the_script_name(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web", source=SHOWN), port, "--root-path", "/shop").expect(DONE)
    assert web.request(port, "/shop/cart").text == "http 127.0.0.1 /shop /cart"
    assert web.request(port, "/cart").text == "http 127.0.0.1 /shop /cart"


def test_access_log_is_turned_on_live_and_each_record_is_a_line(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web", source=SHOWN), port).expect(DONE)
    log = Path(appd.observed("web")["access_log_path"])
    web.request(port, "/before")
    appd.ok("set", "web", "--access-log", "on", "--access-log-format", '%(h)s "%(r)s" %(s)s "%(a)s"')
    web.request(port, "/x%0aGET?y", headers={"User-Agent": 'a "quoted" \x1b[31m'.replace("\x1b", "\xff")})
    line = '127.0.0.1 "GET /x%0aGET?y HTTP/1.1" 200 "a \\"quoted\\" \\xff[31m"\n'
    wait_until(lambda: line in log.read_text(), "the line is in the log")
    assert line not in Path(appd.observed("web")["log_path"]).read_text()
    assert "/before" not in log.read_text()
    appd.ok("set", "web", "--access-log-format", "json")
    web.send_raw(port, b"GET /refused HTTP/1.1\r\n\r\n")
    wait_until(lambda: "/refused" in log.read_text(), "the refused request is in the log")
    record = json.loads(log.read_text().splitlines()[-1])
    assert (record["path"], record["status"], record["remote_addr"]) == ("/refused", 400, "127.0.0.1")
