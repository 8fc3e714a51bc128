"""Files by their address: whole and checked, or not there."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoseg.errors import ModelError, ResourceError, WriteError
from geoseg.models.hub import fetch, transfer
from geoseg.models.hub.cache import folder, plain_name
from geoseg.models.hub.fetching import forget, sum_in_name

CONTENT = bytes(range(256)) * 4096  # one MiB
SUM = hashlib.sha256(CONTENT).hexdigest()


def ranges(hub):
    return [asked for _, _, asked in hub.asked]


def test_a_file_is_kept_by_its_checksum_and_asked_for_once(hub, cache, kept):
    url = hub.put("/models/town.bin", CONTENT)
    path = fetch(url)
    assert path == cache / "downloads" / SUM / "town.bin"
    assert path.read_bytes() == CONTENT
    assert fetch(url) == path
    assert len(hub.asked) == 1
    records = [name for name in kept() if name.startswith("index/")]
    record = json.loads((cache / records[0]).read_text())
    assert record == {"url": url, "sha256": SUM, "size": len(CONTENT), "name": "town.bin", "etag": f'"{SUM}"'}
    assert len(kept()) == 2


def test_progress_ends_with_the_size(hub):
    told = []
    fetch(hub.put("/a.bin", CONTENT), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)
    assert len(told) > 1


def test_a_file_without_a_length_is_read_to_its_end(hub):
    told = []
    path = fetch(hub.put("/a.bin", CONTENT, length=False), progress=lambda done, total: told.append(total))
    assert path.read_bytes() == CONTENT
    assert set(told) == {None}


def test_an_empty_file_is_a_file(hub):
    assert fetch(hub.put("/a.bin", b"")).read_bytes() == b""


def test_redirects_are_followed(hub):
    url = hub.put("/blob", CONTENT)
    hub.redirects["/model.bin"] = url
    assert fetch(hub.url + "/model.bin").name == "model.bin"
    assert [path for _, path, _ in hub.asked] == ["/model.bin", "/blob"]


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/model.bin", "file:///etc/hostname"])
def test_a_redirect_off_the_web_is_refused(hub, kept, target):
    hub.redirects["/model.bin"] = target
    with pytest.raises(ModelError, match=r"sends on to|is not allowed"):
        fetch(hub.url + "/model.bin")
    assert kept() == []


def test_a_redirect_from_https_to_http_is_refused():
    handler = transfer._Redirects()
    request = transfer.urllib.request.Request("https://host/model.bin")
    with pytest.raises(ModelError, match="expected an https address"):
        handler.redirect_request(request, None, 302, "Found", {}, "http://host/model.bin")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_https_goes_on(status):
    request = transfer.urllib.request.Request("https://host/model.bin", headers={"Range": "bytes=5-"})
    after = transfer._Redirects().redirect_request(request, None, status, "", {}, "https://cdn/blob?key=1")
    assert after.full_url == "https://cdn/blob?key=1"
    assert after.get_header("Range") == "bytes=5-"


def test_a_broken_connection_is_taken_up_where_it_broke(hub, kept):
    url = hub.put("/a.bin", CONTENT, drops=[300_000, 400_000])
    assert fetch(url).read_bytes() == CONTENT
    assert ranges(hub) == [None, "bytes=300000-", "bytes=700000-"]
    assert not [name for name in kept() if name.startswith("parts/")]


def test_many_breaks_with_progress_do_not_end_it(hub):
    size = 2**18
    url = hub.put("/a.bin", CONTENT * 2, drops=[size] * 7)
    assert fetch(url).read_bytes() == CONTENT * 2
    assert len(hub.asked) == 8


def test_breaks_without_progress_end_it_and_the_next_call_goes_on(hub, kept):
    file = hub.put("/a.bin", CONTENT, drops=[300_000, *[100] * transfer.TRIES])
    with pytest.raises(ModelError, match=r"300300 bytes are kept: run it again to go on from there"):
        fetch(file)
    assert not [name for name in kept() if name.startswith("downloads/")]
    hub.files["/a.bin"].drops.clear()
    assert fetch(file).read_bytes() == CONTENT
    assert ranges(hub)[-1] == f"bytes={300_000 + 100 * (len(hub.asked) - 2)}-"


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drops=st.lists(st.integers(0, 400_000), max_size=12), ranges=st.booleans())
def test_whatever_breaks_the_file_is_whole_or_not_there(hub, cache, drops, ranges):
    shutil.rmtree(cache, ignore_errors=True)
    url = hub.put("/a.bin", CONTENT, drops=drops, ranges=ranges)
    path = None
    while path is None:
        left = len(drops)
        try:
            path = fetch(url)
        except ModelError:
            assert not list(cache.glob("downloads/*/*"))
            assert left > len(hub.files["/a.bin"].drops)
    assert path.read_bytes() == CONTENT
    assert not list(cache.glob("parts/*"))


def test_a_file_that_changed_meanwhile_is_begun_again(hub):
    url = hub.put("/a.bin", CONTENT, drops=[300_000])
    new = b"new" + CONTENT
    fetched = []

    def change(done, total):
        hub.files["/a.bin"].content = new
        fetched.append(done)

    assert fetch(url, progress=change).read_bytes() == new
    assert ranges(hub) == [None, "bytes=300000-"]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_nothing_is_pieced_together(hub, etag):
    assert fetch(hub.put("/a.bin", CONTENT, etag=etag, drops=[300_000])).read_bytes() == CONTENT
    assert ranges(hub) == [None, None]


def test_without_an_etag_the_date_tells_versions_apart(hub):
    date = {"Last-Modified": "Fri, 20 Nov 2026 10:00:00 GMT"}
    url = hub.put("/a.bin", CONTENT, etag=None, drops=[300_000], headers=date)
    hub.files["/a.bin"].etag = None
    assert fetch(url).read_bytes() == CONTENT
    assert ranges(hub)[1] == "bytes=300000-"


def test_a_server_that_knows_no_ranges_begins_again(hub):
    assert fetch(hub.put("/a.bin", CONTENT, drops=[300_000], ranges=False)).read_bytes() == CONTENT
    assert ranges(hub) == [None, "bytes=300000-"]


def test_a_truncated_file_never_gets_its_name(hub, kept):
    url = hub.put("/a.bin", CONTENT, claimed=len(CONTENT) + 10, etag=None)
    with pytest.raises(ModelError, match=f"found {len(CONTENT)} bytes, expected {len(CONTENT) + 10}"):
        fetch(url)
    assert kept() == []
    assert len(hub.asked) == transfer.TRIES


def test_a_wrong_checksum_is_told_and_removed(hub, kept):
    url = hub.put("/a.bin", CONTENT)
    with pytest.raises(ModelError, match=f"found the checksum {SUM}, expected {'0' * 64}"):
        fetch(url, sha256="0" * 64)
    assert kept() == []


@pytest.mark.parametrize("given", [SUM, SUM.upper(), f"sha256:{SUM}"])
def test_a_right_checksum_passes(hub, given):
    assert fetch(hub.put("/a.bin", CONTENT), sha256=given).read_bytes() == CONTENT


def test_the_digits_in_a_file_name_are_compared(hub):
    url = hub.put(f"/town-{SUM[:8]}.pth", CONTENT)
    assert fetch(url, named=sum_in_name(url + "?key=1")).read_bytes() == CONTENT
    assert sum_in_name("https://host/town.pth") is None
    with pytest.raises(ModelError, match="expected 00000000"):
        fetch(url, named="00000000")


def test_parts_that_are_shorter_than_asked_for_are_put_together(hub):
    url = hub.put("/a.bin", CONTENT, drops=[300_000], most=100_000)
    assert fetch(url).read_bytes() == CONTENT
    assert ranges(hub) == [None, *(f"bytes={start}-" for start in range(300_000, len(CONTENT), 100_000))]


@pytest.mark.parametrize("told", ["bytes 7-99/1048576", "bytes 300000-/1048576", "bytes 300000-400000/*", "x", ""])
def test_a_part_that_is_not_the_one_asked_for_is_begun_again(hub, told):
    url = hub.put("/a.bin", CONTENT, drops=[300_000], told_range=told)
    assert fetch(url).read_bytes() == CONTENT
    assert ranges(hub) == [None, "bytes=300000-", None]


@pytest.mark.parametrize("told", ["\xb2", "-1", "x"])
def test_a_size_that_is_no_number_is_told(hub, kept, told):
    with pytest.raises(ModelError, match="expected a number"):
        fetch(hub.put("/a.bin", CONTENT, length=False, headers={"Content-Length": told}))
    assert kept() == []


@pytest.mark.parametrize("told", ["\xb2", "soon", "-5"])
def test_a_pause_that_is_no_number_is_left_aside(hub, told):
    url = hub.put("/a.bin", CONTENT, statuses=[503], headers={"Retry-After": told})
    assert fetch(url).read_bytes() == CONTENT


def test_a_redirect_from_this_machine_to_plain_http_elsewhere_is_refused(hub, kept):
    hub.redirects["/model.bin"] = "http://example.invalid/model.bin"
    with pytest.raises(ModelError, match=r"sends on to another address: .*anyone on the way can change"):
        fetch(hub.url + "/model.bin")
    assert kept() == []


def test_a_redirect_to_plain_http_will_do_where_the_checksum_is_known():
    request = transfer.urllib.request.Request("http://host/model.bin")
    after = transfer._Redirects(checked=True).redirect_request(request, None, 302, "", {}, "http://cdn/blob")
    assert after.full_url == "http://cdn/blob"


def test_what_was_forgotten_is_asked_for_again(hub, kept):
    url = hub.put("/a.bin", b"temporarily unavailable")
    fetch(url)
    forget(url)
    forget(url)
    assert kept() == []
    hub.put("/a.bin", CONTENT)
    assert fetch(url).read_bytes() == CONTENT


@pytest.mark.parametrize("given", ["", "abc", "g" * 64, SUM + "0", SUM[:8]])
def test_what_is_no_checksum_is_refused_before_anything_is_asked(hub, given):
    with pytest.raises(ModelError, match="expected the 64 hexadecimal digits"):
        fetch(hub.put("/a.bin", CONTENT), sha256=given)
    assert hub.asked == []


def test_a_file_that_was_replaced_on_the_server_is_told(hub, cache, kept):
    url = hub.put("/a.bin", CONTENT)
    shutil.rmtree(fetch(url).parent)
    hub.put("/a.bin", b"another")
    with pytest.raises(ModelError, match="was changed since it was downloaded before: pass --sha256"):
        fetch(url)
    assert [name.partition("/")[0] for name in kept()] == ["index"]
    assert fetch(url, sha256=hashlib.sha256(b"another").hexdigest()).read_bytes() == b"another"


def test_a_damaged_file_is_downloaded_again(hub):
    url = hub.put("/a.bin", CONTENT)
    fetch(url).write_bytes(b"damaged")
    assert fetch(url).read_bytes() == CONTENT
    assert len(hub.asked) == 2


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "404 .*no such file"),
        (410, "410 .*no such file"),
        (401, "401 .*geoseg models import FILE"),
        (403, "403 .*geoseg models import FILE"),
        (418, "418 .*check the address"),
    ],
)
def test_a_refusal_is_one_error_and_asked_once(hub, kept, status, said):
    url = hub.put("/a.bin", CONTENT, statuses=[status] * 9)
    with pytest.raises(ModelError, match=said):
        fetch(url)
    assert kept() == []
    assert len(hub.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_recovers_is_asked_again(hub, status):
    assert fetch(hub.put("/a.bin", CONTENT, statuses=[status, status])).read_bytes() == CONTENT
    assert len(hub.asked) == 3


def test_a_server_that_stays_down_is_told(hub, kept):
    with pytest.raises(ModelError, match=r"503 Service Unavailable.*copy the folder"):
        fetch(hub.put("/a.bin", CONTENT, statuses=[503] * 99))
    assert kept() == []
    assert len(hub.asked) == transfer.TRIES


def test_a_range_that_cannot_be_is_begun_again(hub):
    url = hub.put("/a.bin", CONTENT, drops=[300_000])

    def refuse(done, total):
        if len(hub.asked) == 1:
            hub.files["/a.bin"].statuses[:] = [416]

    assert fetch(url, progress=refuse).read_bytes() == CONTENT
    assert ranges(hub) == [None, "bytes=300000-", None]


def test_a_web_page_is_no_file(hub, kept):
    with pytest.raises(ModelError, match="found a web page; expected a file"):
        fetch(hub.put("/a.bin", b"<html>log in</html>", kind="text/html; charset=utf-8"))
    assert kept() == []


def test_a_compressed_answer_is_refused(hub, kept):
    with pytest.raises(ModelError, match="found a compressed answer"):
        fetch(hub.put("/a.bin", CONTENT, headers={"Content-Encoding": "gzip"}))
    assert kept() == []


def test_a_machine_that_does_not_answer_is_told(kept):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(ModelError, match=r"the connection with 127\.0\.0\.1 failed .*refused"):
        fetch(f"http://127.0.0.1:{port}/a.bin")
    assert kept() == []


def test_a_server_that_says_nothing_is_told(monkeypatch, kept):
    monkeypatch.setattr(transfer, "TIMEOUT", 0.05)
    told = pytest.raises(ModelError, match=r"did not answer for 0\.05 seconds")
    with socket.create_server(("127.0.0.1", 0)) as silent, told:
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/a.bin")
    assert kept() == []


def test_a_host_that_is_unknown_is_told(monkeypatch, kept):
    def unknown(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ModelError, match=r"the host no\.invalid cannot be found"):
        fetch("https://no.invalid/a.bin")
    assert kept() == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.invalid/a.bin", "anyone on the way can change"),
        ("https:///a.bin", "no web address"),
        ("ftp://host/a.bin", "no web address"),
        ("https://me:secret@host/a.bin", "a user's name in the address"),
    ],
)
def test_addresses_that_are_not_safe_are_refused(url, said):
    with pytest.raises(ModelError, match=said) as caught:
        fetch(url)
    assert "secret" not in str(caught.value)


def test_keys_in_the_query_are_neither_shown_nor_written(hub, cache):
    url = hub.put("/a.bin", CONTENT) + "?key=secret"
    assert fetch(url).name == "a.bin"
    hub.files.clear()
    shutil.rmtree(cache / "downloads")
    with pytest.raises(ModelError) as caught:
        fetch(url)
    assert "secret" not in str(caught.value)
    assert all("secret" not in path.read_text() for path in cache.rglob("*.json"))


def test_offline_a_warm_cache_is_used_and_checked(hub, monkeypatch):
    url = hub.put("/a.bin", CONTENT)
    path = fetch(url)
    monkeypatch.setenv("GEOSEG_OFFLINE", "1")
    assert fetch(url) == path
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelError, match="found no whole copy") as caught:
        fetch(url)
    assert str(path) in str(caught.value)
    assert len(hub.asked) == 1


def test_offline_a_cold_cache_says_where_to_put_the_file(hub, monkeypatch, kept):
    url = hub.put("/a.bin", CONTENT)
    monkeypatch.setenv("GEOSEG_OFFLINE", "1")
    with pytest.raises(ModelError, match=f"copy the folder {folder()}"):
        fetch(url)
    with pytest.raises(ModelError) as caught:
        fetch(url, sha256=SUM)
    place = folder() / "downloads" / SUM / "a.bin"
    assert f"download it by hand to {place}" in str(caught.value)
    assert (hub.asked, kept()) == ([], [])
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert fetch(url, sha256=SUM) == place


def test_no_network_and_a_warm_cache_needs_none(hub):
    url = hub.put("/a.bin", CONTENT)
    path = fetch(url)
    hub.files["/a.bin"].statuses[:] = [503] * 99
    assert fetch(url) == path


def test_two_processes_download_once(hub):
    url = hub.put("/a.bin", CONTENT * 8)
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        first, second = pool.map(fetch, [url, url])
    assert first == second
    assert first.read_bytes() == CONTENT * 8
    assert len(hub.asked) == 1


def test_a_full_disk_is_told_before_it_is_full(hub, monkeypatch, kept):
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 0, 2**26))
    with pytest.raises(ResourceError, match="make room there"):
        fetch(hub.put("/a.bin", CONTENT))
    assert kept() == []


def test_a_cache_that_cannot_be_written_is_told(hub, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GEOSEG_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WriteError, match="GEOSEG_CACHE"):
        fetch(hub.put("/a.bin", CONTENT))


def test_the_cache_is_where_the_platform_wants_it(monkeypatch, tmp_path):
    monkeypatch.delenv("GEOSEG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder().name == "geoseg"
    assert folder().is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a b.pth", "a-b.pth"),
        ("../../etc/passwd", "etc-passwd"),
        (".hidden", "hidden"),
        ("", "download"),
        ("..", "download"),
        ("ü" * 9, "download"),
        ("x" * 300 + ".pth", "x" * 116 + ".pth"),
    ],
)
def test_names_are_such_that_every_file_system_takes_them(text, name):
    assert plain_name(text) == name


def test_a_record_that_was_tampered_with_counts_for_nothing(hub, cache):
    url = hub.put("/a.bin", CONTENT)
    fetch(url)
    record = next((cache / "index").iterdir())
    for change in ({"name": "../../x"}, {"sha256": "../.."}, {"more": 1}):
        values = {"url": url, "sha256": SUM, "size": 1, "name": "a.bin", "etag": None, **change}
        record.write_text(json.dumps(values))
        assert fetch(url).read_bytes() == CONTENT
    record.write_text("{")
    assert fetch(url).read_bytes() == CONTENT
    assert len(hub.asked) == 5
