"""A web server of a folder that knows byte ranges; a process of its own, because opening a raster holds Python's lock.

`python range_server.py FOLDER` tells its port on the first line; GET /sent answers how many bytes of files it has sent.
"""

from __future__ import annotations

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Ranged(SimpleHTTPRequestHandler):
    sent = 0

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if self.path == "/sent":
            self.answer(200, str(Ranged.sent).encode())
        elif not path.is_file():
            self.send_error(404)
        else:
            content = path.read_bytes()
            asked = self.headers.get("Range", "").removeprefix("bytes=")
            first, last = (int(n) for n in asked.split("-")) if asked else (0, len(content) - 1)
            part = content[first : last + 1]
            Ranged.sent += len(part)
            told = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"} if asked else {}
            self.answer(206 if asked else 200, part, told)

    def answer(self, status, content, headers=None):
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Ranged, directory=sys.argv[1]))
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
