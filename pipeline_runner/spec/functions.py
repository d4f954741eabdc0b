"""`module:function` and `file.py:function`, told apart by how they are written; nothing is imported here."""

from __future__ import annotations

import keyword
import re
from functools import cache

from pipeline_runner.marks import Mark
from pipeline_runner.spec.pipeline import InFile, Named
from pipeline_runner.spec.problems import BadFunction

_SHAPE = "write module:function, or file.py:function for a file beside the pipeline"


def parse_function(text: str, mark: Mark | None) -> Named | InFile | BadFunction:
    """The function that a text names, or what is wrong with the text."""
    function = _sound(text)
    return function if function is not None else _unsound(text, mark)


@cache
def _sound(text: str) -> Named | InFile | None:
    """The same one for all stages that name it: there may be thousands of them."""
    place, colon, attribute = text.rpartition(":")
    if not colon or not _is_dotted(attribute):
        return None
    if place.endswith(".py"):
        return InFile(place, attribute)
    return Named(place, attribute) if _is_dotted(place) else None


def _unsound(text: str, mark: Mark | None) -> BadFunction:
    place, colon, attribute = text.rpartition(":")
    if not colon:
        return BadFunction(mark=mark, text=text, why='there is no ":"', cure=_guess(text))
    if not _is_dotted(attribute):
        why = f'"{attribute}" cannot be a function\'s name' if attribute else 'nothing follows the ":"'
        return BadFunction(mark=mark, text=text, why=why, cure=_SHAPE)
    if "/" in place or "\\" in place:
        return BadFunction(mark=mark, text=text, why="a file's name ends in .py", cure=f"write {place}.py:{attribute}")
    why = f'"{place}" cannot be a module\'s name' if place else 'nothing stands before the ":"'
    return BadFunction(mark=mark, text=text, why=why, cure=_SHAPE)


def _guess(text: str) -> str:
    """`texts.read` and `texts.py.read` are `texts:read` and `texts.py:read` with the wrong last dot."""
    path, dot, name = text.rpartition(".")
    if dot and _is_dotted(name) and (_is_dotted(path) or re.fullmatch(r"\S+\.py", path)) and name != "py":
        return f"did you mean {path}:{name}?"
    return _SHAPE


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in text.split("."))
