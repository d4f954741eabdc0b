"""What may be written in a pipeline's YAML, key by key: the models behind the checks, the JSON Schema and the docs."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from pipeline_runner.axes import Dispatch, OnError, Returns, StartMethod, Style
from pipeline_runner.backends import table
from pipeline_runner.spec import durations, sizes
from pipeline_runner.spec.words import STAGE_NAME, backend_words
from pipeline_runner.syntax.expressions import Expression, Reference, Text

FUNCTION = r"^[^:\s][^:]*:[^\s:.]+(\.[^\s:.]+)*$"


# ------------------------------------------------------------------------------- shapes in the schema


class Or:
    """In the schema, these alternatives too: what a check turns into the one type that the model keeps."""

    def __init__(self, *alternatives: dict[str, Any]) -> None:
        self.alternatives = alternatives

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [handler(core), *self.alternatives]}


class Shape:
    """In the schema, this in place of what pydantic would write for the type."""

    def __init__(self, **schema: Any) -> None:
        self.schema = schema

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(self.schema)


class Words(Shape):
    """In the schema, one of the words that the table of methods knows."""

    def __init__(self, which: Literal["methods", "backends"]) -> None:
        self.which = which

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "enum": list(method_names() if self.which == "methods" else backend_words())}


def method_names() -> tuple[str, ...]:
    """What `method` may say: canonical names and aliases."""
    return tuple(sorted(table().names))


# pydantic wants to know every "$ref" itself: schema.py makes these into references afterwards.
REFERENCE = {"definition": "Reference"}
ONE_TEXT = {"type": "string"}
COMMAND_WORDS = {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1}


# ----------------------------------------------------------------------------- turned into one type


def _method(name: object) -> object:
    if isinstance(name, str) and table().find(name) is None:
        raise PydanticCustomError("unknown_method", "unknown method")
    return name


def _backend(word: object) -> object:
    if isinstance(word, str) and word not in backend_words():
        raise PydanticCustomError("unknown_backend", "unknown backend")
    return word


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = durations.seconds(value)
    if found is None:
        raise PydanticCustomError("bad_duration", "not a duration")
    return found


def _bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = sizes.size(value)
    if found is None:
        raise PydanticCustomError("bad_size", "not a size")
    return found


LOOPBACK = r"(127(\.\d{1,3}){3}|localhost|\[::1\])"


def _scheduler(value: object) -> object:
    """Whoever listens on the way to a scheduler without TLS can run code on it: only this host is one way."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d+", value):
        raise PydanticCustomError("scheduler", "an address: tcp://127.0.0.1:8786, or tls://HOST:PORT")
    if value.startswith("tcp://") and not re.fullmatch(rf"tcp://{LOOPBACK}:\d+", value):
        raise PydanticCustomError("scheduler", "tls://HOST:PORT where the scheduler is on another host")
    return value


def _head(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"auto|[^\s:/]+:\d+", value):
        raise PydanticCustomError("ray_address", "HOST:PORT of a cluster's head, or auto")
    return value


def _variable(name: object) -> object:
    """The system takes no other names of variables."""
    if isinstance(name, str) and ("=" in name or "\0" in name):
        raise PydanticCustomError("bad_variable", "not the name of a variable")
    return name


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _one_or_several(value: object) -> object:
    return [value] if isinstance(value, str | Reference | Expression | Text) else value


def _retry(value: object) -> object:
    return {"limit": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _chunk(value: object) -> object:
    return None if value == "auto" else value


def _tokens(value: object) -> object:
    """`api` and `[api]` are `{api: 1}`, and `[api, api]` is `{api: 2}`."""
    names = _several(value)
    return dict(Counter(names)) if isinstance(names, list) and all(isinstance(v, str) for v in names) else value


def _path(value: object) -> object:
    """A path: text, or a template of one."""
    if isinstance(value, str) and not value:
        raise PydanticCustomError("empty_path", "a path that is not empty")
    if not isinstance(value, str | Reference | Expression | Text):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return value


Count = Annotated[int, Field(ge=1), Or(REFERENCE)]
Flag = Annotated[bool, Or(REFERENCE)]
Word = Annotated[str, Field(min_length=1)]
Span = Annotated[
    float, Field(ge=0), BeforeValidator(_seconds), Or({"type": "string", "pattern": durations.PATTERN}, REFERENCE)
]
LongSpan = Annotated[
    float, Field(gt=0), BeforeValidator(_seconds), Or({"type": "string", "pattern": durations.PATTERN}, REFERENCE)
]
Size = Annotated[int, Field(gt=0), BeforeValidator(_bytes), Or({"type": "string", "pattern": sizes.PATTERN}, REFERENCE)]
FunctionName = Annotated[str, Or(REFERENCE), Shape(anyOf=[{"type": "string", "pattern": FUNCTION}, REFERENCE])]
Texts = Annotated[list[str], BeforeValidator(_several), Or(ONE_TEXT)]
Paths = Annotated[
    list[Annotated[Any, BeforeValidator(_path), Shape(**ONE_TEXT)]], BeforeValidator(_one_or_several), Or(ONE_TEXT)
]
Environment = dict[Annotated[Word, BeforeValidator(_variable)], str | int | float | bool | None]
Limits = dict[Word, Count]
Tokens = Annotated[Limits, BeforeValidator(_tokens), Or(ONE_TEXT, {"type": "array", "items": ONE_TEXT})]
Anything = Annotated[Any, Shape()]
_STAGE = {"definition": "Stage"}
Hook = Annotated[Any, Shape(anyOf=[_STAGE, {"type": "array", "items": _STAGE}, {"type": "null"}])]


# -------------------------------------------------------------------------------------- the pipeline


class Written(BaseModel):
    """What people write: no key that we do not know, no value that has to be guessed."""

    # Built when it is first used: most runs have no hook and no profile. What is written below the keys is for the
    # schema, which reads it itself: that takes as long as all the rest of making these classes.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class Retry(Written):
    """How often, and after which wait, a failed call is tried again."""

    limit: Annotated[int, Field(ge=0), Or(REFERENCE)] = 1
    """Tries after the first."""
    delay: Span = 0.0
    """The wait before the second try: `30s`, `5m`, or seconds."""
    backoff: Annotated[float, Field(ge=1), Or(REFERENCE)] = 1.0
    """Each wait is the last one times this."""
    max_delay: Span | None = None
    """No wait is longer than this."""
    jitter: Annotated[float, Field(ge=0, le=1), Or(REFERENCE)] = 0.0
    """The share of a wait that is random, 0 to 1."""
    on: Texts = Field(default_factory=list)
    """Only these: exception class names (a command's is `CommandFailed`), or `lost`, `timeout`, `memory`. Left out:
    any failure."""


class StageKeys(Written):
    """The keys of a stage, as `defaults` may give them: any of them may be left out."""

    call: FunctionName | None = None
    """The Python function: `module:function`, or `file.py:function` (found beside the YAML first)."""
    run: Annotated[Any, Shape(anyOf=[{"type": ["string", "boolean"]}, COMMAND_WORDS])] = None
    """A command: text for `/bin/sh -c`, in which each `${…}` is quoted (of several
    lines, the first that fails ends all), or a list of words without a shell."""
    pipeline: Annotated[str, Field(min_length=1), Or(REFERENCE)] | None = None
    """Another file's pipeline as this stage: its stages take its place, as `stage.inner`, and are read as
    `${stages.x.inner}`; `${stages.x}` is the value of its last stage, or a mapping of them where there are several.
    What is in it is found from that file's folder."""
    params: Annotated[dict[Word, Any], Or(REFERENCE)] | None = None
    """Beside `pipeline`: values for that file's parameters. They may speak of `${params}` and `${stages}`."""
    over: Annotated[Any, Shape(definition="Over")] = None
    """Where the items come from: a list, `${stages.x}`, `${params.x}`, or a source such as `{glob: "*.txt"}` or
    `{matrix: {a: [1, 2], b: [x, y]}}`;
    for `args: zip` a list of sources, or a mapping of names to sources. Left out: one call."""
    args: Annotated[Style, Field(strict=False), Or(REFERENCE)] | None = None
    """How an item becomes a call: single `f(*item)`, map `f(item)`, star `f(*row)`, zip `f(a[i], b[i])`.
    Left out: what a named `method` takes; else `single` without `over`, `zip` for several sources, and `map` for all
    others."""
    with_: Annotated[Any, Shape(anyOf=[{"type": ["object", "array", "null"]}, REFERENCE])] = Field(None, alias="with")
    """The same keyword arguments in every call; what an item itself gives by that name goes before. Without `over` it
    may be a list of positions."""
    shortest: Flag | None = None
    """With `args: zip`, stop at the shortest column instead of refusing unequal ones."""
    dispatch: Annotated[Dispatch, Field(strict=False), Or(REFERENCE)] | None = None
    """When the next call is handed in: after one ends, after a batch ends, or as soon as a worker is free."""
    returns: Annotated[Returns, Field(strict=False), Or(REFERENCE)] | None = None
    """What the stage hands back; after `iterator` and `unordered` its readers start while it runs."""
    method: Annotated[str, BeforeValidator(_method), Words("methods"), Or(REFERENCE)] | None = None
    """Exactly this pool method, such as `multiprocessing.Pool.starmap_async`."""
    backend: Annotated[str, BeforeValidator(_backend), Words("backends"), Or(REFERENCE)] | None = None
    """Only methods of this library."""
    needs: Texts = Field(default_factory=list)
    """Stages that only have to come first."""
    if_: Annotated[Any, Shape(type=["string", "boolean", "number", "null"])] = Field(None, alias="if")
    """Run the stage or skip it: `${params.mode == 'full'}`, `${stages.x | length > 0}`; what depends on a skipped stage
    is skipped. `always`: run when all sources have ended, however they did."""
    retry: Annotated[Retry, BeforeValidator(_retry), Or({"type": "integer", "minimum": 0}, REFERENCE)] | None = None
    """Tries after the first, or `{limit, delay, backoff, max_delay, jitter, on}`."""
    timeout: LongSpan | None = None
    """A call's wall time: `30s`, `5m`, `1h30m`, or seconds; past it its worker is killed."""
    on_error: Annotated[OnError, Field(strict=False), Or(REFERENCE)] | None = None
    """After a call failed for good: stop the run, finish what is independent, or skip the call."""
    workers: Count | None = None
    """At most so many processes."""
    chunk: Annotated[int | None, Field(ge=1), BeforeValidator(_chunk), Or({"const": "auto"}, REFERENCE)] = None
    """Calls sent together: `auto` or a number."""
    window: Count | None = None
    """At most so many chunks in flight; left out: four a worker."""
    start_method: Annotated[StartMethod, Field(strict=False), Or(REFERENCE)] | None = None
    """How a worker process comes to be."""
    max_calls_per_worker: Count | None = None
    """A worker is replaced after so many calls."""
    setup: FunctionName | None = None
    """A function that is run once in each worker, before its first call."""
    setup_with: Annotated[dict[str, Any], Or(REFERENCE)] | None = None
    """Keyword arguments of `setup`."""
    limits: Tokens | None = None
    """Tokens that each call holds while it runs: `[api]` or `{api: 1}`, of those that `limits` at the top names."""
    memory: Size | None = None
    """Most resident memory of a worker and its children while a call runs: `2GiB`; past it they are killed."""
    threads: Count | None = None
    """BLAS and OpenMP threads in a worker. Left out: 1 when the run has more than one worker, unless the environment
    says otherwise."""
    priority: Annotated[int, Or(REFERENCE)] | None = None
    """Of what is ready, the higher goes first; left out: 0."""
    cache: Flag | None = None
    """Reuse results of any run: a call whose function, arguments, sources and files are the same is not made again."""
    salt: Annotated[Any, Shape(type=["string", "integer", "number"])] = None
    """Another one, and nothing that was kept counts any more: each call is made again."""
    deps: Paths | None = None
    """Files, folders and patterns (`conf/*.yaml`) that calls read, also with `${item}`: when their contents change,
    calls are made again."""
    outs: Paths | None = None
    """Files and folders that must exist after the call, also with `${item}`. `${out}` and `${outs[0]}` in `with` and
    `run` are temporary names, renamed when the call has ended well."""
    allow_outside: Flag | None = None
    """Let `outs`, and the file of `pipeline`, be outside of the project's folder."""
    stdout: Literal["text", "lines", "json", "none"] | None = None
    """What the output of `run` becomes: one text, as where it is left out; its lines; what it says as JSON; nothing."""
    env: Environment | None = None
    """Environment variables of the stage's workers."""
    workdir: str | None = None
    """The folder in which calls run; it must be there. Left out: the pipeline's."""
    description: str | None = None
    """A sentence for people."""


class Stage(StageKeys):
    """A stage: one function, called for each item of `over`, or once."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in ("call", "run", "pipeline")]})


class IncludedFile(Written):
    """A file of `include` that may lie outside the project's folder."""

    file: Word
    """Its path from this file."""
    allow_outside: bool | None = None
    """It may lie outside the folder of the pipeline that is run."""


class Tls(Written):
    """Files, from the pipeline's folder, by which both sides of a connection know each other."""

    ca: Word
    """The certificate of the authority that has signed both sides'."""
    cert: Word
    """The certificate to show."""
    key: Word
    """Its private key."""


class DaskKeys(Written):
    """The cluster of `backend: dask`."""

    scheduler: Annotated[str, BeforeValidator(_scheduler)] | None = None
    """The address of a scheduler that runs: `tcp://127.0.0.1:8786`; on another host, `tls://HOST:PORT`. Left out: a
    cluster is started on this machine, with the run's workers, and ended with the run."""
    tls: Tls | None = None
    """What `tls://` needs; left out: what Dask's own configuration says."""


class RayKeys(Written):
    """The cluster of `backend: ray`."""

    address: Annotated[str, BeforeValidator(_head)] | None = None
    """HOST:PORT of the head of a cluster that runs, or `auto`. Left out: Ray is started on this machine, with the run's
    workers, and ended with the run."""


class MpiKeys(Written):
    """How `backend: mpi` is launched."""

    launcher: Annotated[list[Word], Field(min_length=1), BeforeValidator(_several), Or(ONE_TEXT)] | None = None
    """The command that starts an MPI program, and its options: `[mpiexec, --hostfile, hosts]`. Left out: the `mpiexec`
    of this Python's environment, or else of the PATH. The number of processes is added: `-n`."""


class ProfileKeys(Written):
    """What `--profile` may change: it is merged over the rest of the file."""

    name: Word | None = None
    """What the pipeline is called; left out: the file's name."""
    description: str | None = None
    """A sentence for people."""
    params: dict[Word, Any] | None = None
    """Values for `${params.x}`; `-p x=…` overrides, and the default's type is the type."""
    env: Environment | None = None
    """Environment variables of every worker, and values for `${env.X}`."""
    workers: Count | None = None
    """Processes for the whole run; left out: the CPUs that this process may use."""
    limits: Limits | None = None
    """Named tokens, and how many there are of each."""
    defaults: StageKeys | None = None
    """Stage keys for every stage that does not say otherwise."""
    secrets: Annotated[list[Word], BeforeValidator(_several), Or(ONE_TEXT)] | None = None
    """Variables of the environment whose values are shown and kept nowhere: `***` stands for them."""
    on_success: Hook = None
    """A stage, or a list of them, that runs after a run that ended well (done, or partial). In its `with` there is
    `${run.status}`, `${run.failures}`, `${run.id}` and `${run.dir}`."""
    on_failure: Hook = None
    """The same after a run that failed; not after one that was interrupted."""
    dask: DaskKeys | None = None
    """The cluster of stages with `backend: dask`."""
    ray: RayKeys | None = None
    """The cluster of stages with `backend: ray`."""
    mpi: MpiKeys | None = None
    """How stages with `backend: mpi` are launched."""


class Profile(ProfileKeys):
    """A named set of changes, chosen by `--profile NAME`."""

    stages: dict[str, StageKeys] | None = None
    """Changes to single stages, by name."""


class Pipeline(ProfileKeys):
    """A pipeline of `prun`."""

    version: Literal[1] = 1
    """The version of this language: 1."""
    profiles: dict[Word, Profile] | None = None
    """Named sets of changes, chosen by `--profile NAME`."""
    include: Annotated[list[str | IncludedFile], BeforeValidator(_several), Or(ONE_TEXT)] | None = None
    """Other files, from this one's folder, whose stages, params and other keys are laid under this file's own."""
    stages: Annotated[dict[Annotated[str, Field(pattern=STAGE_NAME)], Stage], Field(min_length=1)]
    """The stages, by name, in any order: what reads what decides who goes first."""
