"""HTTP/2 by hand (RFC 9113), for what no client library would send."""

import socket
import struct
from pathlib import Path

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8


def frame(kind: int, payload: bytes = b"", stream: int = 0, flags: int = 0, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name: str, value: bytes) -> bytes:
    """Literal, without indexing and without Huffman (RFC 7541 §6.2.2)."""
    return b"\0" + integer(len(name), 7) + name.encode() + integer(len(value), 7) + value


def integer(value: int, bits: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    out, value = [most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def call(path: str, stream: int) -> bytes:
    """The HEADERS of a gRPC call."""
    fields = {":method": b"POST", ":scheme": b"http", ":path": path.encode(), ":authority": b"a"}
    fields |= {"te": b"trailers", "content-type": b"application/grpc"}
    block = b"".join(field(name, value) for name, value in fields.items())
    return frame(HEADERS, block, stream, END_HEADERS)


def message(data: bytes, stream: int) -> bytes:
    return frame(DATA, b"\0" + len(data).to_bytes(4, "big") + data, stream, END_STREAM)


def open_connection(path: Path, timeout: float = 20.0) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    # For connect(2), which waits for a place in the backlog only where the socket may block.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(timeout), 0))
    client.connect(str(path))
    client.settimeout(timeout)
    return client


def send_all(client: socket.socket, data: bytes) -> None:
    """As much of it as the other side takes."""
    try:
        client.sendall(data)
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        pass
