"""From YAML text to a checked pipeline, or to every problem of it at once, each at its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from pipeline_runner.axes import Style
from pipeline_runner.backends import table
from pipeline_runner.classes import dataclass, field, replace
from pipeline_runner.errors import Problem, Problems, in_order
from pipeline_runner.marks import Mark
from pipeline_runner.spec.checked import checked, told
from pipeline_runner.spec.compose import Part, with_parts
from pipeline_runner.spec.compose import unsuited as beside_pipeline
from pipeline_runner.spec.conditions import condition
from pipeline_runner.spec.files import Place, find, read_mapping, read_text
from pipeline_runner.spec.functions import parse_function
from pipeline_runner.spec.hidden import mask_of
from pipeline_runner.spec.hooks import SEEN, WHY, as_hook, hooks, unsuited, without_sources
from pipeline_runner.spec.include import with_included
from pipeline_runner.spec.marks import StageMarks, value_mark
from pipeline_runner.spec.merge import PASSED_ON, as_node, with_defaults, with_passed, with_profile
from pipeline_runner.spec.over import OverBuilder
from pipeline_runner.spec.parameters import fill_params, parameters_of
from pipeline_runner.spec.pipeline import (
    HOOKS,
    Command,
    Function,
    InFile,
    Named,
    PipelineSpec,
    Retry,
    StageName,
    StageSpec,
)
from pipeline_runner.spec.problems import (
    BadFunction,
    CallAndRun,
    EmptyFile,
    ListWithOver,
    NotAMapping,
    NothingToCall,
    NotOfCommands,
    NotText,
    OverNeeded,
    ShortestWithoutZip,
    StdoutWithoutRun,
    UnknownKey,
    UnknownStage,
    WrongType,
    describe,
)
from pipeline_runner.spec.rewire import outward
from pipeline_runner.spec.run import read_command
from pipeline_runner.spec.secrets import secrets, with_placeholders
from pipeline_runner.spec.templates import KNOWN_BEFORE, Broken, Filler, Names, Spot, is_broken
from pipeline_runner.spec.words import CLUSTERS
from pipeline_runner.syntax.expressions import as_text
from pipeline_runner.syntax.reader import (
    Entry,
    ListNode,
    MapNode,
    Node,
    Scalar,
    UnknownAnchor,
    plain,
    read,
)
from pipeline_runner.typed import TYPE_CHECKING, Any
from pipeline_runner.witness import saw
from pipeline_runner.worker.job import COMMAND

if TYPE_CHECKING:
    from pipeline_runner.spec import models


def load(
    path: str | os.PathLike[str],
    *,
    params: Mapping[str, object] | None = None,
    overrides: Mapping[str, str] | None = None,
    profile: str | None = None,
) -> PipelineSpec:
    """The pipeline of a file. `params` are values, `overrides` the texts of `-p`. Errors: Problems."""
    file = Path(path)
    text = read_text(file, os.fspath(path))
    saw("leads", str(file), answer=str(file.resolve()))
    folder = file.resolve().parent
    return build(text, os.fspath(path), folder=folder, params=params, overrides=overrides, profile=profile)


def check(text: str, name: str = "pipeline.yaml") -> list[Problem]:
    """Every problem of a text; never an exception."""
    try:
        build(text, name)
    except Problems as found:
        return list(found.problems)
    return []


def build(
    text: str,
    name: str = "pipeline.yaml",
    *,
    folder: Path | None = None,
    params: Mapping[str, object] | None = None,
    overrides: Mapping[str, str] | None = None,
    profile: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> PipelineSpec:
    """The pipeline that a text means. Errors: Problems, all of them together."""
    if not isinstance(text, str):
        raise Problems([NotText(mark=Mark(name, 1, 1), got=describe(text))])
    document = read(text, name)
    problems = list(document.problems)
    root = document.root
    if root is None:
        raise Problems(problems or [EmptyFile(mark=Mark(name, 1, 1))])
    if not isinstance(root, MapNode):
        raise Problems([*problems, NotAMapping(mark=root.mark, what="a pipeline", got=describe(plain(root)))])
    project = (Path.cwd() if folder is None else folder).resolve()
    around = Around(project, (Place(name, project / Path(name).name),), profile)
    root = with_included(root, around.opened[-1], project, problems, around.read)
    spec = build_node(
        with_profile(root, profile, problems),
        name,
        folder=Path.cwd() if folder is None else folder,
        around=around,
        problems=problems,
        params=params,
        overrides=overrides,
        environ=environ,
    )
    return replace(spec, profile=profile)


def build_node(
    root: MapNode,
    file: str,
    *,
    folder: Path,
    around: Around | None = None,
    problems: Sequence[Problem] = (),
    params: Mapping[str, object] | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> PipelineSpec:
    """The pipeline that marked nodes mean; `problems` were found before. Errors: Problems, all of them together."""
    environ = os.environ if environ is None else environ
    around = around or Around(folder)
    builder = _Builder(with_defaults(root), list(problems), params or {}, overrides or {}, environ, around)
    spec = builder.pipeline(folder, file)
    if builder.problems:
        raise Problems(mask_of(spec).whole(_in_order(builder.problems)), spec)
    return spec


@dataclass(frozen=True)
class Around:
    """What the files of one pipeline have in common."""

    project: Path  # the folder that holds them
    opened: tuple[Place, ...] = ()  # the file that is being read, and before it those whose stage it is
    profile: str | None = None
    read: set[Path] = field(default_factory=set)  # all of them, included ones too


def _in_order(problems: list[Problem]) -> list[Problem]:
    """As the files are read; a default that is wrong is told once, not once a stage that has it."""
    found: dict[tuple[object, ...], Problem] = {}
    missing = {problem.mark for problem in problems if isinstance(problem, UnknownAnchor)}
    for problem in problems:
        mark = problem.mark
        if mark in missing and not isinstance(problem, UnknownAnchor):
            continue  # what is wrong with nothing at all, where the missing anchor's value would be
        key = (mark.file, mark.line, mark.column, type(problem)) if mark else (problem,)
        found.setdefault(key, problem)
    return in_order(found.values())


@dataclass
class _Builder:
    root: MapNode
    problems: list[Problem]
    given: Mapping[str, object]
    overrides: Mapping[str, str]
    environ: Mapping[str, str]
    around: Around
    places: Mapping[str, Mark] = field(default_factory=dict)  # of what is given, where another file gives it
    warnings: list[str] = field(default_factory=list)
    unsound: dict[StageName, StageSpec] = field(default_factory=dict)
    said: tuple[str, ...] = ()  # the names of all stages, those of files within this one too
    needed: list[tuple[Mark, str]] = field(default_factory=list)  # in `needs`, and no stage of the file itself

    def pipeline(self, folder: Path, file: str) -> PipelineSpec:
        """The whole pipeline, or what is sound of it when there are problems."""
        params = self._params()
        known = with_placeholders(self.root, self.environ)
        env = _environment(self._section("env"), params, known, self.problems)
        names = Names(params, {**known, **env}, tuple(str(key) for key in self._section("stages").entries))
        stages = {str(key): entry for key, entry in self._section("stages").entries.items()}
        filled = {name: _stage_values(entry.value, names, self.problems) for name, entry in stages.items()}
        model = self._validate(self._top_values(names, filled, params, env))
        self._check_profiles()
        specs: dict[StageName, StageSpec] = {}
        parts: dict[StageName, Part] = {}
        unread: set[str] = set()  # stages whose file cannot be read
        for name, entry in stages.items():
            if isinstance(entry.value, MapNode) and (given := filled[name]) is not None:
                keys = model.stages.get(name) if model else _alone(given[0])
                if "pipeline" in given[0]:
                    part = self._part(_StageBuilder(self, name, entry, entry.value, given, names, keys), env)
                    parts |= {} if part is None else {part.name: part}
                    unread |= {name} if part is None else set()
                    continue
                spec = _StageBuilder(self, name, entry, entry.value, given, names, keys).build()
                if spec is not None:
                    specs[spec.name] = spec
        self.said = (*names.stages, *(f"{part.name}.{name}" for part in parts.values() for name in part.said))
        self._tell_unknown_needs(unread)
        hooked = self._hooks(names)
        marks = {name: one.marks for name, one in {**specs, **hooked}.items()}
        marks |= {name: one.marks for name, one in parts.items()}
        whole = PipelineSpec(
            name=(model and model.name) or Path(file).stem,
            stages=specs,
            hooks=hooked,
            unsound=self.unsound,
            folder=folder,
            file=file,
            files=frozenset(map(os.path.realpath, self.around.read)),
            params=params,
            given={name: params[name] for name in parameters_of((*self.given, *self.overrides), params)},
            env=env,
            workers=model.workers if model else None,
            limits=(model and model.limits) or {},
            clusters={name: _cluster(getattr(model, name), folder) for name in CLUSTERS if getattr(model, name, None)},
            secrets=secrets(self.root, self.environ, marks),
            description=(model and model.description) or "",
            warnings=tuple(dict.fromkeys(self.warnings)),
        )
        return with_parts(whole, parts, list(stages), self.problems)

    def _part(self, stage: _StageBuilder, env: Mapping[str, str]) -> Part | None:
        """A stage that is another file's pipeline. None where that file cannot be read, which has been told."""
        values, node = stage.filled[0], stage.node
        self.problems += beside_pipeline(node)
        needs = stage._needs(values)
        entry, text = node.entries["pipeline"], values["pipeline"]
        if not isinstance(text, str):
            return None
        opened = self.around.opened
        outside = values.get("allow_outside") is True
        beside = opened[-1] if opened else Place("", self.around.project / "-")
        cure = "add  allow_outside: true  to the stage"
        found = find(text, entry.value.mark, beside, self.around.project, opened, allow_outside=outside, cure=cure)
        if isinstance(found, Problem):
            self.problems.append(found)
            return None
        root = read_mapping(found, "a pipeline", entry.value.mark, self.problems)
        if root is None:
            return None
        passed = {key: as_node(values[key], node.entries[key].value.mark) for key in PASSED_ON if key in values}
        inner, said = self._inner(found, with_passed(root, passed), stage, {**self.environ, **env})
        marks = stage._marks
        for hook in inner.hooks.values():
            where = hook.marks[""]
            self.warnings.append(f'{where}: "{hook.hook}" is left out: the run is that of {opened[0].name}')
        return Part(StageName(stage.name), inner, tuple(map(StageName, needs)), values.get("if"), marks, said)

    def _tell_unknown_needs(self, unread: Collection[str]) -> None:
        """Only when the files of all stages have been read is it known which names there are in them."""
        known = frozenset(self.said) if self.needed else ()
        for mark, name in self.needed:
            if name not in known and name.partition(".")[0] not in unread:
                self.problems.append(UnknownStage(mark=mark, name=name, known=self.said))

    def _inner(
        self, file: Place, root: MapNode, stage: _StageBuilder, environ: Mapping[str, str]
    ) -> tuple[PipelineSpec, tuple[str, ...]]:
        """The pipeline of a stage's file, and the names of all that it has, be they sound or not."""
        inside = file.path.is_relative_to(self.around.project)
        project = self.around.project if inside else file.folder
        root = with_included(root, file, project, self.problems, self.around.read)
        profiles = root.get("profiles")
        known = isinstance(profiles, MapNode) and self.around.profile in profiles.entries
        root = with_profile(root, self.around.profile if known else None, self.problems)
        params, written = stage.filled[0].get("params"), stage.node.get("params")
        # What has no text for a name was told, with what else is wrong with the stage.
        given = {n: v for n, v in outward(params).items() if isinstance(n, str)} if isinstance(params, dict) else {}
        places = (
            {str(key): entry.key.mark for key, entry in written.entries.items()} if isinstance(written, MapNode) else {}
        )
        around = Around(project, (*self.around.opened, file), self.around.profile, self.around.read)
        builder = _Builder(with_defaults(root), self.problems, given, {}, environ, around, places, self.warnings)
        return builder.pipeline(file.folder, file.name), builder.said

    def _hooks(self, names: Names) -> dict[StageName, StageSpec]:
        specs: dict[StageName, StageSpec] = {}
        names = replace(names, run=SEEN)
        for hook in hooks(self.root, self.problems):
            filled = _stage_values(hook.node, names, self.problems, hook=True)
            if filled is None:
                raise AssertionError("a hook is a mapping: this is our bug")
            keys, wrong = checked("Stage", filled[0])
            for detail in wrong:
                detail["loc"] = (*hook.path, *detail["loc"])
                self.problems.append(told(detail, self.root))
            if problem := unsuited(hook, filled[0]):
                self.problems.append(problem)
            spec = _StageBuilder(self, hook.name, hook.entry, hook.node, filled, names, keys).build()
            if spec is not None:
                specs[hook.name] = as_hook(spec, hook.kind, speaks=filled[0].get("stdout") is None)
        return specs

    def _section(self, key: str) -> MapNode:
        """A part of the file that is a mapping; empty where it is written otherwise, which is told elsewhere."""
        node = self.root.get(key)
        return node if isinstance(node, MapNode) else MapNode({}, self.root.mark)

    def _params(self) -> dict[str, Any]:
        section = self._section("params")
        filler = Filler(Names({}, with_placeholders(self.root, self.environ)), self.problems)
        defaults = {str(key): filler.fill(entry.value, "params", ("env",)) for key, entry in section.entries.items()}
        marks = {str(key): entry.value.mark for key, entry in section.entries.items()}
        params, problems = fill_params(defaults, self.given, self.overrides, marks, self.places)
        self.problems += problems
        return params

    def _top_values(
        self, names: Names, stages: Mapping[str, _Filled | None], params: dict[str, Any], env: dict[str, str]
    ) -> dict[Any, Any]:
        filler = Filler(names, self.problems)
        values: dict[Any, Any] = {}
        for key, entry in self.root.entries.items():
            is_map = isinstance(entry.value, MapNode)
            if isinstance(key, str) and key.startswith("x-"):
                continue
            if key == "stages" and is_map:
                values[key] = {
                    k: plain(e.value) if (s := stages[str(k)]) is None else s[0]
                    for k, e in self._section("stages").entries.items()
                }
            elif key == "profiles" and is_map:
                continue  # by itself: in a profile that is not chosen, references need not lead anywhere
            elif key == "defaults" and is_map:
                # What is wrong with a reference in it is told by the stages that have it: only they know
                # whether it may be there.
                told_later: list[Problem] = []
                given = _stage_values(entry.value, names, told_later)
                values[key] = given[0] if given else {}
            elif key in HOOKS:
                continue  # by themselves, as stages
            elif key in ("profiles", "defaults") or (key in ("params", "env") and not is_map):
                values[key] = plain(entry.value)
            elif key == "params":
                values[key] = dict.fromkeys(entry.value.entries if isinstance(entry.value, MapNode) else ())
            else:
                value = filler.fill(entry.value, str(key))
                if not is_broken(value):
                    values[key] = value
        return values

    def _validate(self, values: dict[Any, Any]) -> models.Pipeline | None:
        keys, wrong = checked("Pipeline", values)
        self.problems += [told(detail, self.root) for detail in wrong]
        return keys

    def _check_profiles(self) -> None:
        for name, entry in self._section("profiles").entries.items():
            for detail in checked("Profile", plain(entry.value))[1]:
                if "${" not in str(detail.get("input")):
                    detail["loc"] = ("profiles", str(name), *detail["loc"])
                    self.problems.append(told(detail, self.root))


def _cluster(keys: models.DaskKeys | models.RayKeys | models.MpiKeys, folder: Path) -> dict[str, Any]:
    """What a backend's key says, flat, with its files where they are."""
    said: dict[str, Any] = keys.model_dump(exclude_none=True)
    said |= {name: str(folder / path) for name, path in said.pop("tls", {}).items()}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}


_Filled = tuple[dict[Any, Any], dict[str, Spot]]  # values by key; str(reference) → its place


def _stage_values(node: Node, names: Names, problems: list[Problem], *, hook: bool = False) -> _Filled | None:
    """The values of a stage's keys, without those in which something is wrong."""
    if not isinstance(node, MapNode):
        return None
    own, outside = node.get("env"), names
    if isinstance(own, MapNode):
        names = replace(names, env={**names.env, **_environment(own, names.params, names.env, problems)})
    filler = Filler(names, problems)
    values: dict[Any, Any] = {}
    for key, entry in node.entries.items():
        roots, why = _allowed(key, node)
        if hook and "stages" in roots:
            roots, why = without_sources(roots), WHY
        if key == "run":
            value: Any = read_command(entry.value, filler, roots, why)
        elif key == "if":
            value = condition(entry.value, filler, roots, why)
        elif key == "env":  # `PATH: "bin:${env.PATH}"` adds to the one outside, and once
            value = Filler(outside, problems, filler.places).fill(entry.value, key, roots, why)
        else:
            value = filler.fill(entry.value, str(key), roots, why)
        if not is_broken(value):
            values[key] = value
    return values, filler.places


def _environment(
    section: MapNode, params: Mapping[str, Any], outer: Mapping[str, str], problems: list[Problem]
) -> dict[str, str]:
    """The variables of an `env`, as text."""
    filler = Filler(Names(params, outer), problems)
    values = {str(key): filler.fill(entry.value, "env") for key, entry in section.entries.items()}
    return {
        name: "" if value is None or isinstance(value, Broken) else as_text(value) for name, value in values.items()
    }


def _alone(values: dict[Any, Any]) -> models.Stage | None:
    """A stage's keys in a file where something is wrong elsewhere."""
    return checked("Stage", values)[0]


def _allowed(key: object, stage: MapNode) -> tuple[tuple[str, ...], str]:
    """Which references may stand in a key of a stage, and why no others."""
    if key == "over":
        return (*KNOWN_BEFORE, "stages"), 'in "over" there is no item yet, and no run'
    if key == "params":
        return (*KNOWN_BEFORE, "stages", "run"), ""
    call = ("item", "index") if "over" in stage.entries else ()
    if key in ("deps", "outs"):
        return (*KNOWN_BEFORE, *call), ""
    if key in ("with", "run"):
        return (*KNOWN_BEFORE, "stages", "run", *call, *(("out", "outs") if "outs" in stage.entries else ())), ""
    if key == "if":
        return (*KNOWN_BEFORE, "stages"), ""
    return KNOWN_BEFORE, ""


@dataclass
class _StageBuilder:
    """One stage: its keys are checked against each other here."""

    pipeline: _Builder
    name: str
    entry: Entry
    node: MapNode
    filled: _Filled
    names: Names
    keys: models.Stage | None  # None: a key is wrong by itself, and was told

    def build(self) -> StageSpec | None:
        before = len(self.problems)
        values, _ = self.filled
        self._call_or_run()
        style = self.keys.args if self.keys else None
        over = self._over(values, style)
        self._with(values, style)
        self._of_commands()
        needs = self._needs(values)
        command = values.get("run")
        function = (
            self._function("call")
            if command is None
            else Command(command.written, (self.keys and self.keys.stdout) or "text")
        )
        setup = self._function("setup")
        if self.keys is None or function is None or len(self.problems) > before:
            if isinstance(function, Named | InFile):
                name = StageName(self.name)
                self.pipeline.unsound[name] = StageSpec(
                    name=name,
                    function=function,
                    setup=setup,
                    condition=values.get("if"),
                    marks=self._marks,
                    node=self.node,
                )
            return None
        said: dict[str, Any] = {"name": StageName(self.name), "function": function, "marks": self._marks}
        said["node"] = self.node
        for key in values:
            if key in _SAID:
                attribute, field_name, into = _SAID[key]
                told = getattr(self.keys, attribute)
                if told is not None:
                    said[field_name] = told if into is None else into(told)
        if over is not None:
            said["over"] = over
        if setup is not None:
            said["setup"] = setup
        if command:
            said["constants"] = {COMMAND: command}
        if needs:
            said["needs"] = tuple(map(StageName, needs))
        return StageSpec.saying(said)

    @property
    def problems(self) -> list[Problem]:
        return self.pipeline.problems

    def _tell(self, problem: Problem) -> None:
        self.problems.append(problem)

    def _key_mark(self, key: str) -> Mark:
        entry = self.node.entries.get(key)
        return entry.key.mark if entry else self.entry.key.mark

    def _value_mark(self, key: str) -> Mark:
        return value_mark(self.entry, self.node, key)

    @property
    def _marks(self) -> StageMarks:
        return StageMarks(self.entry, self.node, self.filled[1])

    def _has(self, key: str) -> bool:
        node = self.node.get(key)
        return node is not None and not (isinstance(node, Scalar) and node.value is None)

    def _call_or_run(self) -> None:
        for key in ("params", "allow_outside"):
            if key in self.node.entries and not (key == "allow_outside" and self._has("outs")):
                where = f'in stage "{self.name}"'
                elsewhere = 'beside "pipeline"' if key == "allow_outside" else 'at the top level, or beside "pipeline"'
                self._tell(UnknownKey(mark=self._key_mark(key), key=key, where=where, known=(), elsewhere=elsewhere))
        if self._has("call") and self._has("run"):
            self._tell(CallAndRun(mark=self._key_mark("run"), stage=self.name))
        elif not self._has("call") and not self._has("run"):
            self._tell(NothingToCall(mark=self.entry.key.mark, stage=self.name))

    def _of_commands(self) -> None:
        """What only a function has, and only a command."""
        if self._has("run") and self._has("with"):
            cure = "write the values into the command: ${item}, ${params.x}; or give it variables with env"
            self._tell(NotOfCommands(mark=self._key_mark("with"), stage=self.name, key="with", cure=cure))
        if self._has("stdout") and not self._has("run"):
            self._tell(StdoutWithoutRun(mark=self._key_mark("stdout"), stage=self.name))

    def _over(self, values: dict[Any, Any], style: Style | None) -> Any:
        node = self.node.get("over")
        if node is None:
            if style not in (None, Style.SINGLE):
                self._tell(OverNeeded(mark=self._value_mark("args"), stage=self.name, key="args"))
            if values.get("shortest") is True:
                self._tell(OverNeeded(mark=self._key_mark("shortest"), stage=self.name, key="shortest"))
            return None
        if "over" not in values:
            return None
        shortest = values.get("shortest") is True
        source = OverBuilder(style, shortest, self.names.stages, self.problems).build(node, values["over"])
        if shortest and source is not None and type(source).__name__ != "Zip":
            self._tell(ShortestWithoutZip(mark=self._key_mark("shortest"), stage=self.name))
        return source

    def _with(self, values: dict[Any, Any], style: Style | None) -> None:
        given = values.get("with")
        if given is None:
            return
        match given:
            case list() if "over" in self.node.entries:
                self._tell(ListWithOver(mark=self._key_mark("with"), stage=self.name))
            case dict():
                for key in given:
                    if not isinstance(key, str) or not key.isidentifier():
                        node = self.node.get("with")
                        entry = node.entries.get(key) if isinstance(node, MapNode) else None
                        wants = "names of arguments as keys"
                        where = entry.key.mark if entry else self._value_mark("with")
                        self._tell(WrongType(mark=where, key="with", wants=wants, got=describe(key)))
            case list():
                pass
            case _:
                mark = self._value_mark("with")
                self._tell(WrongType(mark=mark, key="with", wants=_WITH, got=_describe(given), cure=_WITH_CURE))

    def _needs(self, values: dict[Any, Any]) -> list[str]:
        node = self.node.get("needs")
        items = node.items if isinstance(node, ListNode) else (node,) if isinstance(node, Scalar) else ()
        given = values.get("needs")
        names = given if isinstance(given, list) else [given]
        for item, name in zip(items, names, strict=False):
            if isinstance(name, str) and name not in self.names.any_stage:
                self.pipeline.needed.append((item.mark, name))
        return list(self.keys.needs) if self.keys else []

    def _function(self, key: str) -> Function | None:
        text = self.filled[0].get(key)
        if not isinstance(text, str):
            return None
        function = parse_function(text, None)
        if isinstance(function, BadFunction):
            self._tell(replace(function, mark=self._value_mark(key)))
            return None
        return function


def _canonical(method: str) -> str | None:
    found = table().find(method)
    return found.name if found else None


def _retry(keys: models.Retry) -> Retry:
    return Retry(keys.limit, keys.delay, keys.backoff, keys.max_delay, keys.jitter, tuple(keys.on))


def _as_texts(variables: Mapping[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else as_text(value) for name, value in variables.items()}


# Keys that are fields of a stage: the attribute of the checked keys, the field, and what makes its value of the other.
_SAID: Mapping[str, tuple[str, str, Callable[[Any], Any] | None]] = {
    **{
        key: (key, key, None)
        for key in (
            *("dispatch", "returns", "backend", "shortest", "on_error", "workers", "chunk"),
            *("window", "start_method", "max_calls_per_worker", "setup_with", "limits", "priority", "threads"),
            *("workdir", "cache", "allow_outside", "description"),
        )
    },
    "with": ("with_", "constants", None),
    "if": ("if_", "condition", None),
    "args": ("args", "style", None),
    "timeout": ("timeout", "timeout_s", None),
    "memory": ("memory", "memory_bytes", None),
    "method": ("method", "method", _canonical),
    "retry": ("retry", "retry", _retry),
    "env": ("env", "env", _as_texts),
    "salt": ("salt", "salt", as_text),
    "deps": ("deps", "deps", tuple),
    "outs": ("outs", "outs", tuple),
}

_WITH = "a mapping of arguments (or, without over, a list of them)"
_WITH_CURE = "write  with: {name: value}"


def _describe(value: Any) -> str:
    return "a reference" if hasattr(value, "path") or hasattr(value, "parts") else describe(value)
