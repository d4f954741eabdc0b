"""`secrets`: variables of the environment that a pipeline has need of, and whose values are shown and kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline_runner.classes import dataclass
from pipeline_runner.errors import Problem
from pipeline_runner.marks import Mark
from pipeline_runner.masks import SHORTEST, Mask
from pipeline_runner.spec.command import CommandLine, Known
from pipeline_runner.spec.hidden import mask_of
from pipeline_runner.spec.pipeline import PipelineSpec, Secret, StageName
from pipeline_runner.spec.problems import listing
from pipeline_runner.syntax.expressions import ExpressionError, Raw, parse, references
from pipeline_runner.syntax.reader import ListNode, MapNode, Node, Scalar
from pipeline_runner.worker.job import COMMAND


@dataclass(frozen=True, kw_only=True)
class SecretMissing(Problem):
    """A secret that the environment does not have."""

    name: str
    readers: tuple[str, ...] = ()

    def sentence(self) -> str:
        need = f"; it is read by {listing(self.readers)}" if self.readers else ""
        return f'the secret "{self.name}" is not in the environment{need}'

    def advice(self) -> Sequence[str]:
        return (f"set the variable {self.name} before the run",)


@dataclass(frozen=True, kw_only=True)
class SecretTooShort(Problem):
    """A secret that could not be told from other text."""

    name: str

    def sentence(self) -> str:
        return f'the secret "{self.name}" has fewer than {SHORTEST} characters: it could not be told from other text'


@dataclass(frozen=True, kw_only=True)
class SecretGiven(Problem):
    """A parameter was given a secret's value; a run's parameters are kept, so that it can be resumed."""

    parameter: str

    def sentence(self) -> str:
        return f'the parameter "{self.parameter}" was given the value of a secret, which may not be kept with the run'

    def advice(self) -> Sequence[str]:
        return ("leave it out, and write ${env.NAME} where the value is needed",)


@dataclass(frozen=True, kw_only=True)
class SecretInWords(Problem):
    """A secret in the words of a command, which `ps` shows to everyone."""

    stage: str

    def sentence(self) -> str:
        return f'the command of stage "{self.stage}" has a secret among its words, which `ps` shows to everyone'

    def advice(self) -> Sequence[str]:
        return ("let the command read it from its environment: in a text for a shell, without raw, or by itself",)


def declared(root: MapNode) -> list[Scalar]:
    """The names that a file's `secrets` has."""
    node = root.get("secrets")
    items: Sequence[Node] = node.items if isinstance(node, ListNode) else () if node is None else (node,)
    named = [item for item in items if isinstance(item, Scalar) and isinstance(item.value, str) and item.value]
    return list({str(item.value): item for item in named}.values())


def with_placeholders(root: MapNode, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, in which a secret that is not set can be spoken of: it is asked for when the run begins."""
    return {**{str(item.value): "" for item in declared(root)}, **environ}


def secrets(
    root: MapNode, environ: Mapping[str, str], marks: Mapping[StageName, Mapping[str, Mark]]
) -> tuple[Secret, ...]:
    """The secrets of a file, each with the stages that name it. `marks`: those of each stage."""
    found: list[Secret] = []
    for item in declared(root):
        name = str(item.value)
        readers = frozenset(stage for stage, places in marks.items() if any(_is_of(key, name) for key in places))
        everywhere = not readers or any(_spoken_of(root.get(section), name) for section in ("env", "params"))
        found.append(Secret(name, environ.get(name), item.mark, everywhere, readers))
    return tuple(found)


def _is_of(reference: str, secret: str) -> bool:
    return reference.startswith((f"${{env.{secret}}}", f"${{env.{secret}.", f"${{env.{secret}["))


def _spoken_of(node: Node | None, secret: str) -> bool:
    match node:
        case MapNode():
            return any(_spoken_of(entry.value, secret) for entry in node.entries.values())
        case ListNode():
            return any(_spoken_of(item, secret) for item in node.items)
        case Scalar(value=str(text)) if "${" in text:
            try:
                return any(read.root == "env" and read.path[:1] == (secret,) for read in references(parse(text)))
            except ExpressionError:
                return False
    return False


def missing(spec: PipelineSpec) -> list[Problem]:
    """What keeps a pipeline from being run: secrets that are not there, of stages that would run."""
    problems: list[Problem] = []
    for secret in spec.secrets:
        needed = [name for name in (*spec.stages, *spec.hooks) if name in secret.readers]
        if not needed and not secret.everywhere:
            continue
        if not secret.value:
            problems.append(SecretMissing(mark=secret.mark, name=secret.name, readers=tuple(needed)))
        elif len(secret.value.strip()) < SHORTEST:
            problems.append(SecretTooShort(mark=secret.mark, name=secret.name))
    mask = mask_of(spec)
    problems += [
        SecretGiven(mark=None, parameter=name) for name, value in spec.given.items() if mask.whole(value) != value
    ]
    return [*problems, *_shown_by_ps(spec, mask)]


def _shown_by_ps(spec: PipelineSpec, mask: Mask) -> Iterator[Problem]:
    """Commands with a secret among their words: what is in a shell's text, as a value, is not."""
    for stage in (*spec.stages.values(), *spec.hooks.values()):
        command = stage.constants.get(COMMAND) if isinstance(stage.constants, Mapping) else None
        if isinstance(command, CommandLine):
            raw = [piece.value for word in command.words for piece in word if isinstance(piece, Known)]
            told = [value for value in raw if not command.shell or isinstance(value, Raw)]
            if mask.whole(told) != told:
                yield SecretInWords(mark=stage.mark("run"), stage=stage.name)
