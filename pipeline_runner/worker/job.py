"""What a worker is told once about a stage: which functions, with which constants, in which surroundings."""

from __future__ import annotations

from pipeline_runner.axes import Style
from pipeline_runner.typed import Literal, NamedTuple

COMMAND = "command"  # the one argument that the calls of a `run` stage are given


class FunctionSource(NamedTuple):
    """Where a worker finds a function."""

    kind: Literal["module", "file", "pickle", "shell"]
    where: str  # module name, or path of the file
    attribute: str  # kind "shell": what becomes of the command's stdout
    data: bytes = b""  # kind "pickle": by pickle, or dill where it had to be

    def __str__(self) -> str:
        return f"{self.where}:{self.attribute}" if self.where else self.attribute


class Step(NamedTuple):
    """One stage of a chain, as the worker runs it."""

    stage: str
    function: FunctionSource
    style: Style | None  # None: one call, from the constants alone
    names: tuple[str, ...]  # zip by name: the keyword of each column
    constants: bytes  # pickled: mapping of keywords, or list of positions
    wanted: bool  # whether anyone but the next step reads its values
    outs: bool = False  # whether its calls leave files behind


class Job(NamedTuple):
    """A chain of steps. Sent to each worker once, when it first meets a chunk of it."""

    folder: str  # the pipeline's: where functions are found, and calls find relative paths
    steps: tuple[Step, ...]
    setup: FunctionSource | None
    setup_with: bytes
    env: tuple[tuple[str, str], ...]
    workdir: str = ""  # where calls run instead
    each: bool = False  # its calls are of several stages: each brings the step that it runs (worker/each.py)
