"""Files at URLs and compressed ones, with fsspec's own filesystems in memory, on disk and in a zip."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zipfile

import fsspec
import pytest

from pipeline_runner.spec.opening import SourceError, lacking, matches, stamp
from pipeline_runner.spec.pipeline import Csv, Glob, Jsonl, Lines
from pipeline_runner.spec.sources import items, size


@pytest.fixture
def memory():
    """A filesystem in memory, empty again afterwards."""
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [("", bytes), (".gz", gzip.compress), (".GZ", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_a_file_is_unpacked_by_its_suffix(suffix, pack, tmp_path, memory):
    text = '\ufeffname,n\n"a, b",1\n'.encode()
    (tmp_path / f"a.csv{suffix}").write_bytes(pack(text))
    memory.pipe_file(f"/a.csv{suffix}", pack(text))
    for path in (f"a.csv{suffix}", f"memory://a.csv{suffix}"):
        assert list(items(Csv(path), tmp_path)) == [{"name": "a, b", "n": "1"}]
        assert list(items(Lines(path), tmp_path)) == ["name,n", '"a, b",1']


def test_members_that_were_packed_one_after_the_other_are_one_file(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"1\n") + gzip.compress(b"2\n"))
    assert list(items(Jsonl("a.gz"), tmp_path)) == [1, 2]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [  # with no time in them: a test is named by its content, and each test process must find the same
        ("a.gz", b"plain", "not compressed with gzip"),
        ("a.bz2", b"plain", "invalid data stream"),
        ("a.xz", b"plain", "cannot be unpacked: input format not supported"),
        ("a.gz", gzip.compress(b"1\n" * 999, mtime=0)[:-9], "cannot be unpacked: compressed file ended"),
        ("a.xz", lzma.compress(b"1\n" * 999)[:-9], "cannot be unpacked: compressed file ended"),
        ("a.gz", gzip.compress(b"1\n", mtime=0)[:10] + b"\xff" * 9, "cannot be unpacked: error -3"),
    ],
)
def test_what_cannot_be_unpacked_is_named(name, content, why, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=why) as caught:
        list(items(Lines(name), tmp_path))
    assert caught.value.path == name


def test_lines_of_a_url_are_read_and_a_missing_one_is_named(memory, tmp_path):
    memory.pipe_file("/rows/a.jsonl", b'{"n": 1}\n[2]\n')
    assert list(items(Jsonl("memory://rows/a.jsonl"), tmp_path)) == [{"n": 1}, [2]]
    with pytest.raises(SourceError, match=r"memory://rows/b\.jsonl: there is no such file"):
        list(items(Jsonl("memory://rows/b.jsonl"), tmp_path))


def test_a_bad_line_of_a_url_is_named(memory, tmp_path):
    memory.pipe_file("/a.jsonl", b"1\n{\n")
    with pytest.raises(SourceError, match=r"memory://a\.jsonl:2: not JSON"):
        list(items(Jsonl("memory://a.jsonl"), tmp_path))


def test_a_glob_of_a_url_gives_sorted_urls_that_can_be_opened(memory, tmp_path):
    for name in ("/in/b.txt", "/in/a.txt", "/in/deep/c.txt", "/in/d.csv"):
        memory.pipe_file(name, name.encode())
    found = matches("memory://in/*.txt", tmp_path)
    assert found == ["memory:///in/a.txt", "memory:///in/b.txt"]
    assert [list(items(Lines(url), tmp_path)) for url in found] == [["/in/a.txt"], ["/in/b.txt"]]
    assert matches("memory://in/**/*.txt", tmp_path)[-1] == "memory:///in/deep/c.txt"
    assert matches("memory://nowhere/*", tmp_path) == []


def test_local_urls_are_relative_to_the_pipeline(tmp_path):
    (tmp_path / "a.txt").write_text("1\n")
    assert list(items(Lines("file://a.txt"), tmp_path)) == ["1"]
    assert list(items(Lines(f"file://{tmp_path}/a.txt"), tmp_path)) == ["1"]
    assert matches("file://*.txt", tmp_path) == [f"file://{tmp_path}/a.txt"]


def test_files_within_an_archive_are_found_and_read_as_they_are_now(tmp_path):
    for text in ("1\n", "2\n"):
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
            archive.writestr("in/a.txt", text)
            archive.writestr("in/b.txt", "b\n")
        assert list(items(Lines("zip://in/a.txt::data.zip"), tmp_path)) == [text.strip()]
        assert list(items(Lines(f"zip://in/a.txt::file://{tmp_path}/data.zip"), tmp_path)) == [text.strip()]
    assert matches("zip://in/*.txt::data.zip", tmp_path) == ["zip://in/a.txt::data.zip", "zip://in/b.txt::data.zip"]


def test_the_number_of_remote_files_is_not_asked_for_before_the_run(memory, tmp_path):
    memory.pipe_file("/a.txt", b"")
    assert size(Glob("memory://*.txt"), tmp_path) is None


def test_a_remote_file_is_told_from_what_it_was(memory, tmp_path):
    memory.pipe_file("/a.txt", b"one")
    before = stamp("memory://a.txt", tmp_path)
    assert stamp("memory://a.txt", tmp_path) == before
    memory.pipe_file("/a.txt", b"other")
    assert stamp("memory://a.txt", tmp_path) != before


def test_what_is_lacking_for_a_url_is_named(monkeypatch):
    assert lacking("memory://a") is None
    assert lacking("zip://a::data.zip") is None
    assert lacking("gz://a") == (
        'fsspec knows no URL that begins with "gz://"',
        "name a local file, or another URL",
    )
    assert lacking("memry://a")[0].endswith('; did you mean "memory://"?')
    assert lacking("oss://bucket/a") == ('"oss://" needs the package ossfs', "pip install ossfs")
    assert lacking("simplecache::oss://bucket/a") == ('"oss://" needs the package ossfs', "pip install ossfs")
    monkeypatch.setitem(sys.modules, "fsspec.implementations.git", None)
    assert lacking("git://a") == (
        '"git://" cannot be opened here: Install pygit2 to browse local git repos',
        "install what it names",
    )
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert lacking("memory://a") == (
        '"memory://a" is a URL, and those need fsspec',
        "pip install prun-pipelines[remote]",
    )


def test_an_error_of_a_filesystem_is_told_as_the_sources(tmp_path):
    with pytest.raises(SourceError, match=r"zip://a\.txt::no\.zip: there is no such file"):
        list(items(Lines("zip://a.txt::no.zip"), tmp_path))
    (tmp_path / "bad.zip").write_text("no archive")
    with pytest.raises(SourceError, match=r"zip://a\.txt::bad\.zip: BadZipFile: File is not a zip file"):
        list(items(Lines("zip://a.txt::bad.zip"), tmp_path))
