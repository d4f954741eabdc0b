"""What a run does without is there for whoever asks for it, and is what it always was."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from pipeline_runner import hashing
from pipeline_runner.record.seal import MUCH, seal

pytestmark = pytest.mark.timeout(60)

ASK = """
import sys
from pipeline_runner.cli.paths import import_pathlib
import_pathlib()
assert sys.version_info >= (3, 13) or not {"urllib", "urllib.parse", "ipaddress"} & set(sys.modules)
import pathlib
if "late" not in sys.argv:
    from urllib.parse import quote
print(pathlib.PurePosixPath("/a b/é").as_uri(), pathlib.PureWindowsPath("c:/a b").as_uri())
from urllib.parse import quote, urlparse
print(quote("a b"), urlparse("http://[::1]:80/x").port)
"""


@pytest.mark.parametrize("words", [(), ("late",)])
def test_paths_are_told_as_urls_by_whoever_asks(python, words):
    done = python("-c", ASK, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "file:///a%20b/%C3%A9 file:///c:/a%20b\na%20b 80\n"


@pytest.mark.parametrize("data", [b"", b"small", b"x" * 1000])
def test_digests_without_openssl_are_the_same(data):
    assert hashing.sha256(data).digest() == hashlib.sha256(data).digest()
    assert hashing.blake2b(data, digest_size=16).digest() == hashlib.blake2b(data, digest_size=16).digest()
    assert hashing.blake2s(data).digest() == hashlib.blake2s(data).digest()


def test_a_seal_is_the_same_whoever_makes_it(monkeypatch):
    key, row = b"k" * 32, (b"row", 7, "é", None)
    told = [part if isinstance(part, bytes) else repr(part).encode() for part in row]
    whole = b"".join(len(part).to_bytes(8, "little") + part for part in told)
    for sealed in (0, MUCH + 1):
        monkeypatch.setattr("pipeline_runner.record.seal._sealed", sealed)
        assert seal(key, *row) == hmac.digest(key, whole, "sha256")
