"""One file over HTTP into a part: resumed by Range after a broken connection, tried again where that helps."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from geoseg.errors import ModelError, ResourceError
from geoseg.models.hub.cache import folder, replace_text, unwritable

Report = Callable[[int, int | None], None]

TIMEOUT = 30.0  # seconds without a byte
TRIES = 4  # in a row without progress
PAUSE = 1.0  # seconds before the second try; twice as long before each further one
LONGEST_PAUSE = 60.0  # seconds, whatever a server asks for

_CHUNK = 2**18
_PROGRESS = 2**18  # bytes that make a try count as progress
_SPARE = 2**26  # bytes of disk that a download leaves free
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_NUMBER = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class _BrokenError(Exception):
    """A try failed in a way that another one may mend; `pause` is what the server asked for, in seconds."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


class _ShortError(_BrokenError):
    """A server sent a part of what was asked for, whole as far as it goes; the next part has to be asked for."""

    def __init__(self) -> None:
        super().__init__("the server sends nothing of what was asked for", pause=0.0)


@dataclass(frozen=True, slots=True)
class Part:
    """A download under way: the bytes at `path`, and beside it which version of the file they are from."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".json")

    @property
    def validator(self) -> str | None:
        """The strong ETag (or the date) of the version that the bytes are from; without one they are of no use."""
        try:
            found = json.loads(self._note.read_text(encoding="utf-8"))["validator"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, str) else None

    def begin(self, validator: str | None) -> None:
        """Forget what was there; the bytes to come are from that version."""
        self.discard()
        if validator is not None:
            replace_text(self._note, json.dumps({"validator": validator}))

    def discard(self) -> None:
        """Remove the bytes and what was noted of them."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def shown(url: str) -> str:
    """`url` as messages and records show it: without query and fragment, where keys to private files may stand."""
    return urllib.parse.urlsplit(url)._replace(query="", fragment="").geturl()


def check_address(url: str, checked: bool) -> None:
    """Raise ModelError unless `url` is an https address; http will do where a checksum is known, or on this machine."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelError(f"{shown(url)}: found no web address; expected https://host/path")
    if parts.username or parts.password:
        raise ModelError(f"{parts.hostname}: found a user's name in the address; expected none: download it by hand")
    if parts.scheme == "http" and not checked and parts.hostname not in _LOCAL:
        raise ModelError(
            f"{shown(url)}: found an http address, where anyone on the way can change the file; expected https, "
            "or the file's checksum with --sha256"
        )


def transfer(url: str, part: Part, report: Report | None, checked: bool = False) -> str | None:
    """Fill `part` with the whole file at `url`, and return its ETag; `checked` says that its checksum is known.

    Raises ModelError when it cannot be had. The part stays only where a later call can go on with it.
    """
    opener = urllib.request.build_opener(_Redirects(checked))
    tries, pause = 0, PAUSE
    while True:
        before = part.size
        try:
            return _try(opener, url, part, report)
        except _BrokenError as error:
            if isinstance(error, _ShortError) and part.size > before:
                tries, pause = 0, PAUSE
                continue
            tries = 1 if part.size - before >= _PROGRESS else tries + 1
            if tries >= TRIES:
                raise _gave_up(url, part, error) from error
            time.sleep(min(error.pause if error.pause is not None else pause, LONGEST_PAUSE))
            pause *= 2


def _gave_up(url: str, part: Part, error: _BrokenError) -> ModelError:
    remedy = (
        "check the connection (proxies are taken from HTTPS_PROXY), try again later, or download it where there is a "
        f"network and copy the folder {folder()} from there"
    )
    if part.size and part.validator:
        remedy = f"{part.size} bytes are kept: run it again to go on from there"
    else:
        part.discard()
    return ModelError(f"{shown(url)}: cannot be downloaded: {error}; {remedy}")


def _try(opener: urllib.request.OpenerDirector, url: str, part: Part, report: Report | None) -> str | None:
    """One request: goes on after the bytes that are there, when the server still has that version of the file."""
    headers = {"User-Agent": f"geoseg/{version('geoseg')}", "Accept-Encoding": "identity"}
    validator = part.validator
    if validator is None:
        part.discard()
    elif part.size:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": validator}
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
            return _receive(url, part, response, report)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, part, error) from error
    except urllib.error.URLError as error:
        raise _unreachable(url, error.reason) from error
    except (http.client.HTTPException, OSError) as error:
        raise _unreachable(url, error) from error


def _receive(url: str, part: Part, response: Any, report: Report | None) -> str | None:
    start, end, total = _extent(url, part, response)
    _check_answer(url, part, response, total)
    if start == 0:
        part.begin(_validator(response))
    _write(part.path, response, _Extent(start, end, total), report)
    if end is not None and part.size != end:
        raise _BrokenError(f"found {part.size} bytes, expected {end}: the connection broke off")
    if total is not None and part.size < total:
        raise _ShortError
    etag = response.headers.get("ETag")
    return None if etag is None else str(etag)


class _Extent(NamedTuple):
    """Which bytes of the file an answer holds, from `start` up to `end`, and the file's size; None where not told."""

    start: int
    end: int | None
    total: int | None


def _extent(url: str, part: Part, response: Any) -> _Extent:
    """What the answer holds. A server that sends another part than was asked for is asked again."""
    if response.status != http.client.PARTIAL_CONTENT:
        length = response.headers.get("Content-Length")
        if length is not None and not _NUMBER.fullmatch(length.strip()):
            raise ModelError(f"{shown(url)}: found the size {length[:40]!r} told by the server; expected a number")
        size = None if length is None else int(length)
        return _Extent(0, size, size)
    told = _CONTENT_RANGE.fullmatch(str(response.headers.get("Content-Range", "")).strip())
    first, last, total = map(int, told.groups()) if told else (-1, -1, -1)
    if not (first == part.size and first <= last < total):
        part.discard()
        raise _BrokenError("the server sent another part of the file than was asked for")
    return _Extent(first, last + 1, total)


def _check_answer(url: str, part: Part, response: Any, total: int | None) -> None:
    if response.headers.get_content_type() == "text/html":
        part.discard()
        raise ModelError(
            f"{shown(url)}: found a web page; expected a file: give the address that downloads it "
            "(for Hugging Face, hf:owner/repo:file)"
        )
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ModelError(f"{shown(url)}: found a compressed answer, expected the file as it is: download it by hand")
    free = shutil.disk_usage(part.path.parent).free
    if total is not None and total - part.size > free - _SPARE:
        raise ResourceError(
            f"{part.path.parent}: found {free} bytes free; {shown(url)} has {total}: make room there, or name another "
            "folder with GEOSEG_CACHE"
        )


def _validator(response: Any) -> str | None:
    """What If-Range may carry: a strong ETag, else the date of the last change."""
    etag: str | None = response.headers.get("ETag")
    date: str | None = response.headers.get("Last-Modified")
    return etag if etag and not etag.startswith("W/") else date


def _write(path: Path, response: Any, extent: _Extent, report: Report | None) -> None:
    done = extent.start
    while chunk := response.read(_CHUNK):
        _append(path, chunk)
        done += len(chunk)
        if extent.end is not None and done > extent.end:
            raise ModelError(f"{shown(response.url)}: found more than {extent.end} bytes, which the server said it has")
        if report is not None:
            report(done, extent.total)
    if done == extent.start:
        _append(path, b"")  # an empty file is a file


def _append(path: Path, chunk: bytes) -> None:
    """Add to the part; a full disk is told from a broken connection."""
    try:
        with path.open("ab") as file:
            file.write(chunk)
    except OSError as error:
        raise unwritable(path, error) from error


def _refused(url: str, part: Part, error: urllib.error.HTTPError) -> Exception:
    """What an answer of 400 and above means."""
    said = f"the server answers {error.code} {error.reason}"
    if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and part.size:
        part.discard()
        return _BrokenError(said, pause=0.0)
    if error.code in _AGAIN:
        asked = error.headers.get("Retry-After", "").strip()
        return _BrokenError(said, pause=float(asked) if _NUMBER.fullmatch(asked) else None)
    part.discard()
    if error.code in (401, 403, 407):
        return ModelError(
            f"{shown(url)}: {said}; the file wants an account: download it by hand and run  geoseg models import FILE"
        )
    if error.code in (404, 410):
        return ModelError(f"{shown(url)}: {said}; there is no such file (any more): check the address")
    return ModelError(f"{shown(url)}: {said}; expected the file: check the address")


def _unreachable(url: str, reason: object) -> Exception:
    """What a connection that failed means; what may pass is tried again."""
    host = urllib.parse.urlsplit(url).hostname
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ModelError(
            f"{shown(url)}: the certificate of {host} cannot be verified ({reason.verify_message}); where a proxy "
            "stands between, name its certificates with SSL_CERT_FILE"
        )
    if isinstance(reason, socket.gaierror):
        return _BrokenError(f"the host {host} cannot be found ({reason.strerror})")
    if isinstance(reason, TimeoutError):
        return _BrokenError(f"{host} did not answer for {TIMEOUT:g} seconds")
    return _BrokenError(f"the connection with {host} failed ({reason or type(reason).__name__})")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to what could be the first address too, and never from https to what is not."""

    def __init__(self, checked: bool = False) -> None:
        self._checked = checked

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The next request. Raises ModelError for a redirect that would leave https, or the web."""
        before, after = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if after.scheme not in ("http", "https") or (before.scheme == "https" and after.scheme != "https"):
            raise ModelError(
                f"{shown(req.full_url)}: the server sends on to {shown(newurl)}; expected an https address: "
                "download it by hand"
            )
        try:
            check_address(newurl, self._checked)
        except ModelError as error:
            raise ModelError(f"{shown(req.full_url)}: the server sends on to another address: {error}") from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)
