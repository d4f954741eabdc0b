"""Reading the files of a pipeline as text, with every way in which that can fail told as a problem."""

from __future__ import annotations

from pathlib import Path

from pipeline_runner.errors import Problems
from pipeline_runner.spec.problems import FileUnreadable
from pipeline_runner.syntax.reader import MOST_CHARACTERS, TooLarge, decode


def read_text(path: Path, name: str) -> str:
    """The file's text. Errors: Problems, naming the path as the user wrote it."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * MOST_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        raise Problems([FileUnreadable(mark=None, path=name, why=_why(error))]) from error
    if len(data) > 4 * MOST_CHARACTERS:
        raise Problems([TooLarge(mark=None, what=f'too many characters in "{name}"', most=MOST_CHARACTERS)])
    text = decode(data, name)
    if isinstance(text, str):
        return text
    raise Problems([text])


def _why(error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "it is a folder; name the file in it"
        case PermissionError():
            return "you may not read it"
        case OSError():
            return (error.strerror or str(error)).lower()
    return str(error)
