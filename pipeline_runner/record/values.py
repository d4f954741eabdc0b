"""What tells one kept value from another, read off its pickle: nothing is unpickled, so no code of a user's is run.

A pickle is a program for a small machine that has a stack and a memo. Here that machine works with digests in the
place of objects. So a value is told alike whatever else was pickled with it, and a set in whichever order it came.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterable, Sequence

from pipeline_runner.calls import Pack
from pipeline_runner.hashing import blake2b
from pipeline_runner.typed import Any

SIZE = 16  # bytes of a digest
LONGEST = 2_000_000  # steps of one pickle: 5 s

# What an object is made of is added to it later, when others may have it already: hence a list, of the one digest.
_Object = list[bytes]


class TooLong(Exception):
    """A pickle has more steps than anybody would wait for."""


def digests(pack: Pack) -> list[bytes]:
    """What tells each of these values from others. Errors: TooLong; OSError, where a file is not there any more."""
    machine = _Machine([] if pack.large is None else pack.large.views())
    return [digest for (digest,) in machine.items(pack.data)[pack.start : pack.stop]]


class _Machine:
    """Reads one pickled list."""

    def __init__(self, views: Sequence[memoryview]) -> None:
        self._views = views  # large buffers first, in their order; bytes at the back, as buffers.py reads them
        self._buffers = 0  # that were taken
        self._texts: dict[bytes, int] = {}  # by what the pickle calls them
        self._stack: list[_Object] = []
        self._below: list[list[_Object]] = []  # what is under each mark
        self._memo: dict[int, _Object] = {}
        self._items: list[_Object] = []

    def items(self, data: bytes) -> list[_Object]:
        for number, (step, argument, _) in enumerate(pickletools.genops(data)):
            if number == LONGEST:
                raise TooLong
            self._do(step.name, argument)
        return self._items

    def _do(self, name: str, argument: Any) -> None:
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                self._below.append(self._stack)
                self._stack = []
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._stack[-1]
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                self._stack.append(self._memo[argument])
            case "DUP":
                self._stack.append(self._stack[-1])
            case "POP" | "POP_MARK":
                self._taken(name)
            case "APPEND" | "APPENDS" | "SETITEM" | "SETITEMS" | "ADDITEMS" | "BUILD":
                self._fill(name, *self._taken(name))
            case _:
                made = self._made(name, argument, self._taken(name))
                self._stack.append([made])

    def _taken(self, name: str) -> list[_Object]:
        """What a step takes from the stack."""
        above: list[_Object] = []
        takes, marked = _TAKES[name]
        if marked:
            above, self._stack = self._stack, self._below.pop()
        at = len(self._stack) - takes
        taken = [*self._stack[at:], *above]
        del self._stack[at:]
        return taken

    def _fill(self, name: str, target: _Object, *parts: _Object) -> None:
        if not self._stack and not self._below:  # the list of all of them
            self._items.extend(parts)
        elif name == "ADDITEMS":
            together = sum(int.from_bytes(part) for (part,) in (target, *parts))
            target[0] = (together % (1 << 8 * SIZE)).to_bytes(SIZE)
        else:
            target[0] = _hash(name, b"", (target, *parts))
        self._stack.append(target)

    def _made(self, name: str, argument: Any, parts: Sequence[_Object]) -> bytes:
        match name:
            case "NEXT_BUFFER":
                self._buffers += 1
                return _hash(name, self._views[self._buffers - 1], ())
            case "BINPERSID":
                text = self._texts.setdefault(parts[0][0], len(self._texts))
                return _hash(name, self._views[-1 - text], ())
            case "FROZENSET":
                return _hash(name, b"", sorted(parts))
        told = argument if isinstance(argument, bytes | bytearray) else repr(argument).encode("utf-8", "surrogatepass")
        return _hash(name, told, parts)


def _hash(name: str, told: bytes | bytearray | memoryview, parts: Iterable[_Object]) -> bytes:
    made = blake2b(name.encode(), digest_size=SIZE)
    for (part,) in parts:
        made.update(part)
    made.update(told)
    return made.digest()


def _takes(step: pickletools.OpcodeInfo) -> tuple[int, bool]:
    """How many a step takes from below a mark, or in all; and whether it takes what is above a mark."""
    names = [kind.name for kind in step.stack_before]
    return (names.index("mark"), True) if "mark" in names else (len(names), False)


_TAKES = {step.name: _takes(step) for step in pickletools.opcodes}
