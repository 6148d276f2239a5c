"""Fetching: from a server on this machine, and from a folder of the user's."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import struct
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.events import Event
from relrob.errors import ChecksumError, DatasetError
from relrob_datasets import Listing, catalogue, check, download, fetch, load, load_known
from relrob_datasets.manifest import CIFAR10, File, Form, Manifest


def idx(array: Any) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


PIXELS = np.random.default_rng(0).integers(0, 256, (3, 300, 400), dtype=np.uint8)
IMAGES, LABELS = idx(PIXELS), idx(np.array([2, 0, 1]))


def entry(name: str, data: bytes) -> File:
    md5 = hashlib.md5(data).hexdigest()  # noqa: S324
    return File(name, ("test",), len(data), md5, hashlib.sha256(data).hexdigest())


def small(*urls: str) -> Manifest:
    form = Form((entry("i.gz", IMAGES), entry("l.gz", LABELS)), "relrob_datasets.idx:read")
    return Manifest(
        "small",
        "Small",
        urls,
        (form,),
        ("a", "b", "c"),
        (300, 400, 1),
        (("test", 3),),
        "none",
        "us",
    )


@dataclass
class Site:
    """A server on 127.0.0.1: `answers[path]` = (status, headers, body)."""

    url: str
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    stall: threading.Event = field(default_factory=threading.Event)

    def serve(self, name: str, body: bytes, length: int | None = -1, status: int = 200) -> None:
        size = (
            {} if length is None else {"Content-Length": str(len(body) if length == -1 else length)}
        )
        self.answers[f"/{name}"] = status, size, body


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    monkeypatch.setenv("RELROB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.asked.append(self.path)
            if self.path == "/stall/i.gz":
                here.stall.wait(10)
                return
            status, headers, body = here.answers.get(self.path, (404, {"Content-Length": "0"}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Site(f"http://127.0.0.1:{server.server_address[1]}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield here
    here.stall.set()
    server.shutdown()
    thread.join()
    server.server_close()


def cached(tmp_path: Path) -> list[str]:
    """Every file below the cache directory, temporary ones too."""
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_fetch_checks_keeps_and_tells(site: Site, tmp_path: Path) -> None:
    site.serve("i.gz", IMAGES)
    site.serve("l.gz", LABELS, length=None)  # a server need not announce the length
    events: list[Event] = []
    folder = fetch(small(site.url), events.append)
    assert folder == tmp_path / "cache" / "datasets" / "small" and cached(tmp_path) == [
        "i.gz",
        "l.gz",
    ]
    assert {event.stage for event in events} == {"download"} and len(events) > 2
    last = [event for event in events if event.text == "i.gz"][-1]
    assert last.done == last.total == len(IMAGES)
    data = load_known(small(), "test")
    assert np.array_equal(data.images[..., 0], PIXELS) and data.labels.tolist() == [2, 0, 1]
    assert data.sha256 == hashlib.sha256(IMAGES + LABELS).hexdigest()
    site.asked.clear()
    fetch(small(site.url))
    assert site.asked == []  # whole files are not fetched twice
    (folder / "l.gz").write_bytes(b"damaged")
    fetch(small(site.url))
    assert site.asked == ["/l.gz"] and load_known(small(), "test").labels.tolist() == [2, 0, 1]


def test_the_second_address_is_tried(site: Site) -> None:
    site.serve("mirror/i.gz", IMAGES)
    site.serve("mirror/l.gz", LABELS)
    site.serve("i.gz", b"<html>moved</html>")
    fetch(small(site.url, f"{site.url}mirror/"))
    assert site.asked == ["/i.gz", "/mirror/i.gz", "/l.gz", "/mirror/l.gz"]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (
            {"body": IMAGES[:-5], "length": len(IMAGES)},
            DatasetError,
            f"gave {len(IMAGES) - 5} bytes of {len(IMAGES)}",
        ),
        (
            {"body": IMAGES[:-5], "length": None},
            DatasetError,
            f"gave {len(IMAGES) - 5} bytes of {len(IMAGES)}",
        ),
        (
            {"body": IMAGES + b"x" * 9, "length": None},
            DatasetError,
            f"gave more than {len(IMAGES)} bytes",
        ),
        ({"body": b"", "length": 0}, DatasetError, "bytes of|empty"),
        ({"body": IMAGES[:-1] + b"x"}, ChecksumError, "is not the published file: .* has sha256"),
        ({"body": b"<html>"}, ChecksumError, "is not the published file"),
        (
            {"body": b"gone", "status": 404},
            DatasetError,
            "answers 404 Not Found; try: .*datasets get small --from PATH",
        ),
        ({"body": b"", "status": 503}, DatasetError, "answers 503"),
    ],
)
def test_a_bad_answer_leaves_nothing(
    site: Site, tmp_path: Path, answer: Any, kind: type[DatasetError], words: str
) -> None:
    site.serve("i.gz", **answer)
    with pytest.raises(kind, match=words) as caught:
        fetch(small(site.url))
    assert type(caught.value) is kind and "\n" not in str(caught.value)
    assert cached(tmp_path) == []


def test_no_connection_silence_and_other_schemes(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "i.gz").write_bytes(IMAGES)
    site.answers["/redirect/i.gz"] = (
        302,
        {"Location": (tmp_path / "i.gz").as_uri(), "Content-Length": "0"},
        b"",
    )
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    for url, words in (
        ("http://127.0.0.1:9/", "Connection refused; try: .* --from PATH"),
        (f"{site.url}stall/", "timed out"),
        (f"{site.url}redirect/", "302"),
        (tmp_path.as_uri() + "/", "not an address of the web; accepted: http or https"),
        ("http://[bad/", "cannot fetch"),
    ):
        with pytest.raises(DatasetError, match=words) as caught:
            fetch(small(url))
        assert "\n" not in str(caught.value) and cached(tmp_path) == []


def test_an_interruption_leaves_nothing(site: Site, tmp_path: Path) -> None:
    site.serve("i.gz", IMAGES)

    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(small(site.url), interrupt)
    assert cached(tmp_path) == []


def test_from_a_folder_or_a_file(site: Site, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "raw").mkdir(parents=True)
    (mine / "raw" / "i.gz").write_bytes(IMAGES)
    (mine / "other.txt").write_text("x")
    (mine / "labels, renamed").write_bytes(LABELS)
    events: list[Event] = []
    fetch(small(), events.append, from_path=mine)
    assert cached(tmp_path) == ["i.gz"] and events[-1] == Event(
        "download", "i.gz", len(IMAGES), len(IMAGES)
    )
    with pytest.raises(
        DatasetError,
        match=r"'small' \(test\) is not on this machine; try: relrob datasets get small",
    ):
        load_known(small(), "test")
    folder = fetch(small(), from_path=mine / "labels, renamed")
    assert (
        cached(tmp_path) == ["i.gz", "l.gz"]
        and len(load_known(small(), "test")) == 3
        and site.asked == []
    )
    assert fetch(small(), from_path=folder) == folder  # its own folder is fine


def test_from_refuses_what_is_not_official(site: Site, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "i.gz").write_bytes(IMAGES[:-1])
    (tmp_path / "bad" / "l.gz").write_bytes(LABELS)
    (tmp_path / "empty").mkdir()
    (tmp_path / "note").write_text("x")
    for source, kind, words in (
        ("bad", ChecksumError, r"i\.gz has sha256"),
        ("bad/i.gz", ChecksumError, r"i\.gz has sha256"),
        ("note", ChecksumError, r"is no file of small; accepted: i\.gz, l\.gz"),
        ("empty", DatasetError, r"has no file of small; accepted: i\.gz, l\.gz"),
        ("absent", DatasetError, "does not exist"),
    ):
        with pytest.raises(kind, match=words):
            fetch(small(), from_path=tmp_path / source)
    assert cached(tmp_path) == []
    with pytest.raises(DatasetError, match="no data set 'imagenet' to fetch; accepted: mnist"):
        fetch("imagenet")


def test_a_manifest_that_does_not_fit_its_files_is_seen(site: Site) -> None:
    site.serve("i.gz", IMAGES)
    site.serve("l.gz", LABELS)
    fetch(small(site.url))
    with pytest.raises(DatasetError, match="has 3 images"):
        load_known(replace(small(), splits=(("test", 4),)), "test")
    with pytest.raises(DatasetError, match="label 2 at image 0"):
        load_known(replace(small(), classes=("a", "b")), "test")


def test_an_md5_serves_where_nothing_better_is_published(site: Site, tmp_path: Path) -> None:
    old = replace(
        small(),
        forms=(
            Form(
                tuple(replace(f, sha256="") for f in small().forms[0].files),
                small().forms[0].loader,
            ),
        ),
    )
    (tmp_path / "i.gz").write_bytes(IMAGES[:-1] + b"x")
    with pytest.raises(ChecksumError, match=r"i\.gz has md5"):
        fetch(old, from_path=tmp_path / "i.gz")
    (tmp_path / "i.gz").write_bytes(IMAGES)
    fetch(old, from_path=tmp_path / "i.gz")
    assert cached(tmp_path) == ["i.gz"]


def rows() -> dict[str, Listing]:
    return {row.name: row for row in catalogue()}


def test_the_catalogue_says_what_is_where(site: Site, tmp_path: Path) -> None:
    assert [row.state for row in catalogue()] == ["embedded", "to fetch", "to fetch", "to fetch"]
    assert rows()["mnist"].here == ("train", "test") and rows()["mnist"].size == 11594722
    folder = tmp_path / "cache" / "datasets" / "svhn"
    folder.mkdir(parents=True)
    (folder / "test_32x32.mat").write_bytes(b"not MATLAB")
    row = rows()["svhn"]
    assert (row.state, row.here, row.size, row.path) == ("on disk", ("test",), 10, folder)
    with pytest.raises(ChecksumError, match="test_32x32"):
        check("svhn")
    with pytest.raises(DatasetError, match="get cifar10"):
        check("cifar10")
    assert [(data.split, len(data)) for data in check("mnist")] == [
        ("train", 60000),
        ("test", 10000),
    ]
    assert [data.sha256 for data in check("mnist", "test")] == [load("mnist").sha256]


def test_each_form_of_a_manifest_is_found(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set kept as its archive and one kept as its batches are the same images."""
    batch = bytes(range(10)) * 307 + b"\x09" * 3 + bytes(3073)
    (tmp_path / "test_batch.bin").write_bytes(batch)
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "test_batch.bin", "x/test_batch.bin")
    files = [
        entry(path.name, path.read_bytes())
        for path in (tmp_path / "all.tar.gz", tmp_path / "test_batch.bin")
    ]
    forms = tuple(Form((file,), CIFAR10.forms[0].loader) for file in files)
    two = replace(CIFAR10, forms=forms, splits=(("test", 2),))
    seen = []
    for file in files:
        monkeypatch.setenv("RELROB_CACHE", str(tmp_path / f"cache of {file.name}"))
        fetch(two, from_path=tmp_path / file.name)
        seen.append(load_known(two, "test"))
    assert np.array_equal(seen[0].images, seen[1].images) and seen[0].sha256 != seen[1].sha256
    assert np.array_equal(seen[1].images[0, 0, :10, 0], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
