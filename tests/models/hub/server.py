"""A web server that behaves like a hub, and misbehaves when told to."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class File:
    """A file of the hub and its faults, each of which is used up one request after the other.

    `drops`: after how many bytes of an answer the connection breaks off. `statuses`: answered in place of the file.
    `etag` None leaves the header out; `length` False the size. `claimed` is told as its size instead. A part has at
    most so many bytes as `most`, and `told_range` is told of it.
    """

    content: bytes
    etag: str | None = ""
    drops: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    length: bool = True
    claimed: int | None = None
    most: int | None = None
    told_range: str | None = None
    kind: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def tag(self) -> str | None:
        return f'"{hashlib.sha256(self.content).hexdigest()}"' if self.etag == "" else self.etag


class Hub:
    """Files and redirects (an address, or all headers) by path, and every request: (method, path, Range)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, File] = {}
        self.redirects: dict[str, str | dict[str, str]] = {}
        self.asked: list[tuple[str, str, str | None]] = []

    def put(self, path: str, content: bytes, **faults) -> str:
        """Keep a file; its address."""
        self.files[path] = File(content, **faults)
        return self.url + path


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub on this machine, for as long as the context lasts."""

    class Handler(Answering):
        pass

    server = Quiet(("127.0.0.1", 0), Handler)
    Handler.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Handler.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that goes away early is no error of the server."""


class Answering(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = self.path.partition("?")[0]
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if path in self.hub.redirects:
            target = self.hub.redirects[path]
            headers = {"Location": target} if isinstance(target, str) else target
            self.told(302, {"Content-Length": "0", **headers})
        elif path not in self.hub.files:
            self.told(404, {"Content-Length": "0", "X-Error-Code": "EntryNotFound"})
        elif self.hub.files[path].statuses:
            file = self.hub.files[path]
            self.told(file.statuses.pop(0), {"Content-Length": "0", **file.headers})
        else:
            self.send_file(self.hub.files[path], body)

    def send_file(self, file, body):
        start = self.first(file)
        part = file.content[start:][: file.most if start else None]
        headers = {"Content-Type": file.kind, **file.headers}
        if file.length:
            headers["Content-Length"] = str(len(part) if file.claimed is None else file.claimed - start)
        if file.tag is not None:
            headers["ETag"] = file.tag
        if start:
            told = f"bytes {start}-{start + len(part) - 1}/{len(file.content)}"
            headers["Content-Range"] = told if file.told_range is None else file.told_range
        self.told(206 if start else 200, headers)
        if body:
            drop = file.drops.pop(0) if file.drops else len(part)
            self.wfile.write(part[:drop])
        self.close_connection = True

    def first(self, file):
        """The first byte that is asked for: 0 where the file is another one than If-Range says."""
        asked = self.headers.get("Range")
        if not asked or not file.ranges or self.headers.get("If-Range") not in (None, file.tag):
            return 0
        return int(asked.removeprefix("bytes=").rstrip("-"))

    def told(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass
