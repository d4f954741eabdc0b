"""Opens the files that sources read: on this machine or at any URL that fsspec knows, compressed or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

from pipeline_runner.errors import PipelineError, nearest
from pipeline_runner.spec.patterns import matching
from pipeline_runner.typed import IO, Any
from pipeline_runner.witness import digest, heard, saw

EXTRA = "pip install prun-pipelines[remote]"


class SourceError(PipelineError):
    """A source whose items cannot be had."""

    def __init__(self, path: str, line: int | None, why: str) -> None:
        super().__init__(path, line, why)
        self.path = path  # of the file, or the name of the generator
        self.line = line  # from 1; None: the whole
        self.why = why

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.why}" if self.line else f"{self.path}: {self.why}"


def is_url(path: str) -> bool:
    """Whether fsspec is to open it: `s3://bucket/a.csv`, `zip://a.csv::data.zip`."""
    return "://" in path


@contextmanager
def opened(path: str, folder: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, unpacked where its name ends in .gz, .bz2 or .xz. Errors: SourceError, also while it is read."""
    try:
        with ExitStack() as stack:
            file = stack.enter_context(_packed(path, folder))
            yield stack.enter_context(_unpacked(file, Path(path.partition("::")[0]).suffix.lower()))
    except _unreadable() as error:
        raise SourceError(path, None, _why(error, path, folder)) from error


def _packed(path: str, folder: Path) -> AbstractContextManager[IO[bytes]]:
    return _remote(path, folder) if is_url(path) else (folder / path).open("rb")


def matches(pattern: str, folder: Path) -> list[str]:
    """The paths that a pattern finds, sorted; relative ones stay relative to the folder, as the pattern is. Of a URL's
    pattern: URLs. Errors: SourceError."""
    if is_url(pattern):
        return _remote_matches(pattern, folder)
    found = matching(pattern, folder)
    if heard():
        saw("matches", pattern, str(folder), answer=digest(repr(found).encode()))
    return found


def stamp(url: str, folder: Path) -> object:
    """What a remote file's own filesystem tells its contents apart by: a checksum, or its size and time.

    Errors: whatever that filesystem raises.
    """
    filesystem, path = _filesystem(url, folder)
    return filesystem.ukey(path)


def lacking(url: str) -> tuple[str, str] | None:
    """Why a URL cannot be opened here, and what to do; None: nothing keeps it, as far as can be known."""
    if find_spec("fsspec") is None:
        return f'"{url}" is a URL, and those need fsspec', EXTRA
    parts = [part for part in url.split("::") if "://" in part or part in _protocols()]  # the others are local files
    return next(filter(None, map(_lacking, parts)), None)


def _lacking(part: str) -> tuple[str, str] | None:
    from fsspec.registry import get_filesystem_class, known_implementations

    protocol = part.partition("://")[0]
    if protocol not in _protocols():
        guess = nearest(protocol, _protocols())
        meant = f'; did you mean "{guess}://"?' if guess else ""
        return f'fsspec knows no URL that begins with "{protocol}://"{meant}', "name a local file, or another URL"
    known = known_implementations.get(protocol, {})
    package = known.get("class", "fsspec").partition(".")[0]
    if find_spec(package) is None:
        return f'"{protocol}://" needs the package {package}', f"pip install {package}"
    try:
        if package == "fsspec":  # its own may need others too: https:// does
            get_filesystem_class(protocol)
    except ImportError:
        return (
            f'"{protocol}://" cannot be opened here: {known.get("err", "its library is missing")}',
            "install what it names",
        )
    return None


def _protocols() -> list[str]:
    from fsspec import available_protocols

    known: list[str] = available_protocols()
    return known


# Libraries that unpack are imported where something is packed: 3 ms.


def _unpacked(file: IO[bytes], suffix: str) -> AbstractContextManager[Any]:
    match suffix:
        case ".gz":
            import gzip

            return gzip.GzipFile(fileobj=file)
        case ".bz2":
            import bz2

            return bz2.BZ2File(file)
        case ".xz":
            import lzma

            return lzma.LZMAFile(file)
    return nullcontext(file)


def _unreadable() -> tuple[type[Exception], ...]:
    """What reading may raise: zlib's and lzma's errors are of no common class."""
    import lzma
    import zlib

    return OSError, ValueError, EOFError, zlib.error, lzma.LZMAError


# Remote


def _filesystem(url: str, folder: Path) -> tuple[Any, str]:
    """A URL's filesystem, and the path in it."""
    from fsspec.core import url_to_fs

    chained = "::" in url
    # fsspec keeps a filesystem for each set of options, and one that is inside a file would keep what it once read.
    filesystem, path = url_to_fs(_located(url, folder), **({"skip_instance_cache": True} if chained else {}))
    return filesystem, path


def _located(url: str, folder: Path) -> str:
    """The same URL, with local paths in it relative to the pipeline's folder and not to where prun was started."""
    parts = []
    for part in url.split("::"):
        protocol, colon, path = part.partition("://")
        if protocol in ("file", "local") and colon and not Path(path).is_absolute():
            part = f"{protocol}://{folder.absolute() / path}"
        elif not colon and protocol not in _protocols():
            part = f"file://{folder.absolute() / part}"
        parts.append(part)
    return "::".join(parts)


@contextmanager
def _remote(url: str, folder: Path) -> Iterator[IO[bytes]]:
    with _told(url):
        filesystem, path = _filesystem(url, folder)
        file = filesystem.open(path, "rb")
    with file:
        yield file


def _remote_matches(pattern: str, folder: Path) -> list[str]:
    with _told(pattern):
        filesystem, path = _filesystem(pattern, folder)
        filesystem.invalidate_cache()  # what was there when it was last asked, perhaps by an earlier run
        found = sorted(filesystem.glob(path))
        rest = "".join(f"::{part}" for part in pattern.split("::")[1:])
        return [filesystem.unstrip_protocol(name) + rest for name in found]


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Errors: SourceError."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceError(url, None, "there is no such file") from error
    except Exception as error:  # botocore's ClientError, aiohttp's, …: no library says of which class its errors are
        raise SourceError(url, None, f"{type(error).__name__}: {error}") from error


def _why(error: BaseException, path: str, folder: Path) -> str:
    import gzip
    import lzma
    import zlib

    match error:
        case FileNotFoundError() if is_url(path):
            return "there is no such file"
        case FileNotFoundError():
            return f"there is no such file in {folder}"
        case IsADirectoryError():
            return "it is a folder"
        case gzip.BadGzipFile():
            return "not compressed with gzip, as its name says"
        case EOFError() | lzma.LZMAError() | zlib.error():
            return f"cannot be unpacked: {str(error)[:1].lower()}{str(error)[1:]}"
        case OSError():
            return (error.strerror or str(error)).lower()
    return str(error)
