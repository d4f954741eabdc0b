"""The `prun` command: finds the one command that was asked for and loads nothing else."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from pipeline_runner.cli.paths import import_pathlib
from pipeline_runner.cli.quick import plain_run
from pipeline_runner.cli.streams import nobody_reads, steady
from pipeline_runner.errors import PipelineError, nearest, told_plainly
from pipeline_runner.typed import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import typer

_RUN = r"last|[0-9]{4,8}|[0-9]{8}-([0-9]{0,6}|[0-9]{6}-[0-9a-f]{0,6})"  # a run's name, or its beginning
COMMANDS = (
    *("run", "validate", "plan", "graph", "methods", "tune", "schema", "init"),
    *("runs", "show", "logs", "diff", "report", "ui", "replay", "clean"),
)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and leave with its exit code.

    `prun FILE …` is `prun run FILE …`. Only the module of the command that is asked for is
    imported: `prun schema` should not wait for networkx, and a plain run not for typer.
    """
    steady()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] not in COMMANDS and words[0] not in ("--help", "-h", "--version"):
        _mistyped(words[0])
        words.insert(0, "run")
    debug = "--debug" in words
    words = _resume_which([word for word in words if word != "--debug"])
    try:
        _obey(words)
    except (PipelineError, OSError) as refused:
        error = told_plainly(refused)
        if debug:
            raise
        if not isinstance(error, PipelineError):
            _our_bug(error)
        _say(str(error))
        raise SystemExit(error.exit_code) from error
    except Exception as error:  # nothing that a user does may end in our traceback
        if debug:
            raise
        _our_bug(error)


def _obey(words: Sequence[str]) -> None:
    plainly = _plain(words)
    if plainly is None:
        wanted = [words[0]] if words and words[0] in COMMANDS else COMMANDS
        build(wanted)(args=words, prog_name="prun")
        return
    try:  # what ends it otherwise, ends it with the codes that typer has for that
        raise SystemExit(plainly())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        nobody_reads()
        raise SystemExit(1) from None


def _plain(words: Sequence[str]) -> Callable[[], int] | None:
    """What does what is asked for and gives the exit code, where that is said so plainly that it needs no typer."""
    command, rest = words[:1], words[1:]
    if command == ["validate"] and rest and all(word and word[0] != "-" for word in rest):
        return lambda: _validate(rest)
    asked = plain_run(rest) if command == ["run"] else None
    return None if asked is None else lambda: _go(asked)


def _validate(files: Sequence[str]) -> int:
    gc.disable()  # all that is made stays
    from pipeline_runner.cli.checking import checked

    code = checked(files)
    gc.freeze()  # and need not be looked through at the end
    return code


def _go(asked: Mapping[str, Any]) -> int:
    gc.disable()  # until there is a plan: all that is made up to there stays
    import_pathlib()
    if not asked.get("dry_run") and os.path.isfile(asked.get("file", "")):
        from pipeline_runner.cli.early import fork_helpers

        fork_helpers()  # before all that workers need not have
    from pipeline_runner.cli.go import Asked, go

    return go(Asked(**asked))


def _our_bug(error: BaseException) -> NoReturn:
    _say(f"prun: {type(error).__name__}: {error}")
    _say("  this is a bug in prun; the same command with --debug shows where")
    raise SystemExit(1) from error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _mistyped(word: str) -> None:
    """A word that is no file, and no command either. Errors: SystemExit."""
    if word[:1] in "-./" or "." in word or os.path.exists(word):
        return
    turned = [name for name in COMMANDS if sorted(name) == sorted(word)]  # `rnu`
    meant = next(iter(turned), None) or nearest(word, COMMANDS, least=0.7)
    then = f'did you mean "prun {meant}"?' if meant else "prun --help lists the commands"
    _say(f'prun: there is no command and no file "{word}"; {then}')
    raise SystemExit(2)


def _resume_which(words: Sequence[str]) -> list[str]:
    """`--resume` may stand alone, for the last run: its value is made plain, so that a file after it is not taken for
    a run's name."""
    plain: list[str] = []
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        alone = word == "--resume" and (not re.fullmatch(_RUN, following) or os.path.exists(following))
        plain.append("--resume=last" if alone else word)
    return plain


def build(names: Sequence[str]) -> typer.Typer:
    """The command line with these commands. Each is a module here that has register(app)."""
    import typer

    app = typer.Typer(
        name="prun",
        help="Run pipelines: stages in YAML, each on the pool method that fits it.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(invoke_without_command=True)
    def top(version: bool = typer.Option(False, "--version", help="Show the version and leave.")) -> None:
        if version:
            from importlib.metadata import version as installed

            typer.echo(f"prun {installed('prun-pipelines')}")
            raise typer.Exit

    for name in names:
        import_module(f"pipeline_runner.cli.{name}").register(app)
    return app
