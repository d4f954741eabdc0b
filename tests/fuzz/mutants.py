"""Breaks real pipelines in every way that we know, and holds what checks them to its promise.

    python tests/fuzz/mutants.py 100000 --seed 7

Each mutant is read, built, planned and looked at as `prun validate` does it, but for what would have to ask another
process. No exception may come out, every problem must have a line and a column, and none may take more than 100 ms of
CPU. A mutant is known by its seed and number: `--only 4711` shows that one.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
MOST_S = 0.1  # CPU for one mutant
HANG_S = 10.0  # CPU after which it is given up
BLOCK = re.compile(r'^```yaml title="[^"]*"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
TOKEN = re.compile(r"\w+|[^\S\n]+|\n|.")
KEY = re.compile(r"(?<![\w$.])([A-Za-z_]\w*)(:[ \n])")
VALUE = re.compile(r"(?<=: )[^\n,{}\[\]#]+")
REFERENCE = re.compile(r"\$\{[^}\n]*\}")


@dataclass(frozen=True)
class Seed:
    """A text to break, and the folder in which its functions are."""

    name: str
    text: str
    folder: Path
    sound: bool = True  # nothing is wrong with it yet: what is done to it can be found past the first look


def seeds() -> list[Seed]:
    """Every pipeline of the repository, right and wrong ones."""
    files = [*ROOT.glob("examples/*/pipeline.yaml"), *ROOT.glob("tests/messages/*.yaml"), *HERE.glob("*.yaml")]
    found = [
        Seed(str(file.relative_to(ROOT)), file.read_text("utf-8"), file.parent, file.parent.name != "messages")
        for file in sorted(files)
    ]
    for page in sorted((ROOT / "README.md", *ROOT.glob("docs/**/*.md"))):
        for number, block in enumerate(BLOCK.finditer(page.read_text("utf-8"))):
            if "stages:" in block[1]:
                found.append(Seed(f"{page.relative_to(ROOT)}#{number}", block[1], HERE))
    return [*found, Seed("docs/reference/examples.yaml", every_key(), HERE)]


def every_key() -> str:
    """A pipeline that has each key of the language, as the reference shows it."""
    from pipeline_runner.syntax.reader import plain, read

    examples = plain(read((ROOT / "docs" / "reference" / "examples.yaml").read_text("utf-8"), "examples.yaml").root)
    top = [line for key, line in examples["top level"].items() if key not in ("stages", "include")]
    stages = []
    for key, line in (*examples["stage"].items(), *((f"retry_{key}", line) for key, line in examples["retry"].items())):
        call = "" if key in ("call", "run", "pipeline") else "    call: deeds:same\n"
        call = "    run: ls\n" if key == "stdout" else call
        stages.append(f"  on_{key}:\n{call}    {line}\n")
    return "\n".join(top) + "\nstages:\n" + "".join(stages)


HERE = Path(__file__).resolve().parent


# ------------------------------------------------------------------------------------------------ mutations

NASTY = [
    *("null", "~", "true", "no", "0", "-1", "1.5", "1e999", ".nan", ".inf", "0o17", "0x1F", "0755", "22:22", "9" * 400),
    *(
        '""',
        "''",
        '"\\ud800"',
        '"\\0"',
        "text",
        '"a: b"',
        "2001-01-01",
        "!x 1",
        "!!python/object:os.system x",
        "&a b",
        "*a",
    ),
    *("[]", "{}", "[1, [2, [3]]]", "[null]", "{a: {b: {c: 1}}}", "{a: 1, a: 2}", "{? [1] : 2}", "{1: 2}", "[" * 60),
    *("[" * 30 + "]" * 30, "{a: " * 45 + "1" + "}" * 45, "- - - 1", "|\n  text", ">-\n   folded\n   text", "x" * 5000),
    *("30s", "-5m", "2GiB", "1e9GiB", "m:f", "m.py:f", ":", "a:b:c", "../../etc/passwd:x", "m:" + "f." * 300 + "f"),
    *("é", "𝔘", "\u202eabc", "a\u0301", "\u200b", "\ufeff", "\u2028", "\x85", "名前", "🦆" * 20),
]
REFERENCES = [
    *("${", "${}", "${ }", "}", "$${x}", "${params}", "${params.}", "${params..x}", "${params.x.y.z}", "${stages}"),
    *(
        "${stages.read}",
        "${stages.read[0]}",
        "${stages.read.a.b}",
        "${stages.nobody}",
        "${item}",
        "${item.x}",
        "${index}",
    ),
    *(
        "${run.id}",
        "${run.nobody}",
        "${env.HOME}",
        "${env}",
        "${nobody}",
        "${1 +}",
        "${params.n * }",
        "${(((((}",
        "${'}",
    ),
    *(
        "${params.n | nobody}",
        "${params | length}",
        "${stages.read | sort | length}",
        "${item | stem}",
        "${[item, index]}",
    ),
    *(
        "${''.__class__.__mro__}",
        "${params.__class__}",
        "${range(10)}",
        "${range(999999999) | list}",
        "${'a' * 999999999}",
    ),
    *(
        "${9 ** 9 ** 9}",
        "${[0] * 99999999}",
        "${'%s' % params}",
        "${lipsum()}",
        "${cycler}",
        "${" + "(" * 300 + ")" * 300 + "}",
    ),
    *(
        "${" + "-" * 500 + "1}",
        "${'x' | center(999999999)}",
        "${params.n if}",
        "${{}}",
        "${{1: 2}[1]}",
        "${a b c}",
        "${#}",
    ),
    *(
        "${1 / 0}",
        "${params['top']}",
        "${params.top == 'full'}",
        "${'x' ~ params.top}",
        "${\n1\n}",
        "${params.top is even}",
    ),
    *(
        "${'a' | replace('', 'b' * 9999) }",
        "${0 | raw}",
        "${true and}",
        "${not}",
        "${params.names | map('upper') | list}",
    ),
]
PIECES = [
    *(
        "${",
        "}",
        "[",
        "]",
        "{",
        "}",
        ":",
        ": ",
        "- ",
        "? ",
        "\n",
        "\n\n",
        "  ",
        "\t",
        " #",
        "&a ",
        "*a",
        "<<: *a",
        "<<: ",
        "!x ",
    ),
    *(
        '"',
        "'",
        "|",
        ">",
        ",",
        "\\",
        "%",
        "@",
        "`",
        "---\n",
        "...\n",
        "\x00",
        "\x07",
        "\ufeff",
        "\u2028",
        "\x85",
        "\r",
        "\r\n",
    ),
]


def cut(text: str, random: Random) -> str:
    start = random.randrange(len(text) + 1)
    return text[:start] + text[start + random.randint(1, 20) :]


def put(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(random.choice((PIECES, NASTY, REFERENCES))) + text[at:]


def lines(text: str, random: Random) -> str:
    """A line less, twice, elsewhere, or two of them swapped."""
    found = text.splitlines(keepends=True)
    if not found:
        return text
    one, other = random.randrange(len(found)), random.randrange(len(found))
    match random.randrange(4):
        case 0:
            del found[one]
        case 1:
            found.insert(other, found[one])
        case 2:
            found.insert(other, found.pop(one))
        case _:
            found[one], found[other] = found[other], found[one]
    return "".join(found)


def tokens(text: str, random: Random) -> str:
    found = TOKEN.findall(text)
    if not found:
        return text
    one, other = random.randrange(len(found)), random.randrange(len(found))
    match random.randrange(4):
        case 0:
            del found[one]
        case 1:
            found.insert(other, found[one])
        case 2:
            found[one] = found[other]
        case _:
            found[one], found[other] = found[other], found[one]
    return "".join(found)


def indentation(text: str, random: Random) -> str:
    found = text.splitlines(keepends=True)
    if not found:
        return text
    at = random.randrange(len(found))
    bare = found[at].lstrip(" ")
    spaces = len(found[at]) - len(bare)
    found[at] = (
        random.choice([" " * (spaces + 1), " " * (spaces + 2), " " * max(0, spaces - 1), "", "\t", " " * 60]) + bare
    )
    return "".join(found)


def value(text: str, random: Random) -> str:
    """Something of another type where a value is."""
    return _put_over(text, VALUE, random, random.choice(random.choice((NASTY, NASTY, REFERENCES))))


def key(text: str, random: Random) -> str:
    """Another key, or one that is misspelt."""
    found = [match[1] for match in KEY.finditer(text)] or ["x"]
    word = random.choice((random.choice(found), random.choice(KEYS)))
    if random.random() < 0.5 and word:
        at = random.randrange(len(word))
        word = word[:at] + random.choice("aeixyz_-é ") + word[at + random.randint(0, 1) :]
    return _put_over(text, KEY, random, word, group=1)


def reference(text: str, random: Random) -> str:
    made = random.choice(REFERENCES)
    if random.random() < 0.3 and (found := REFERENCE.search(text)):
        at = random.randrange(len(found[0]) + 1)
        made = found[0][:at] + random.choice(PIECES[:12]) + found[0][at:]
    over = REFERENCE if random.random() < 0.6 and REFERENCE.search(text) else VALUE
    return _put_over(text, over, random, made if random.random() < 0.5 else f'"{made}"')


def _put_over(text: str, pattern: re.Pattern[str], random: Random, new: str, group: int = 0) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return put(text, random)
    chosen = random.choice(found)
    return text[: chosen.start(group)] + new + text[chosen.end(group) :]


def nest(text: str, random: Random) -> str:
    """Deep, wide or long."""
    at = random.randrange(len(text) + 1)
    tower = random.choice(["[", "{a: ", "- ", "? ", '"', "(", "${", "&a [", "a: &a "])
    return text[:at] + tower * random.choice([3, 39, 41, 200]) + text[at:]


def bombs(text: str, random: Random) -> str:
    """Aliases that double at every line."""
    levels = random.choice([3, 12, 40])
    bomb = "x-a0: &a0 [1, 2]\n" + "".join(f"x-a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(levels))
    return bomb + _put_over(text, VALUE, random, f"*a{levels}")


def case(text: str, random: Random) -> str:
    """A word in capitals, or letters that only look like it."""
    found = list(re.finditer(r"[a-z]{2,}", text))
    if not found:
        return text
    chosen = random.choice(found)
    changed = random.choice(
        [chosen[0].upper(), chosen[0].title(), chosen[0].replace("a", "а").replace("e", "е"), chosen[0] + "s"]
    )
    return text[: chosen.start()] + changed + text[chosen.end() :]


MUTATIONS: Sequence[Callable[[str, Random], str]] = (
    *(cut, put, lines, lines, tokens, tokens, indentation, value, value, value, key, key, reference, reference),
    *(nest, bombs, case),
)
KEYS: list[str] = []  # of the language, filled when it is loaded


def mutant(seed: int, number: int, texts: Sequence[Seed]) -> tuple[Seed, bytes]:
    """The mutant of a number: always the same bytes."""
    random = Random(f"{seed}:{number}")
    sound = [text for text in texts if text.sound]
    chosen = random.choice(sound if random.random() < 0.7 else texts)
    text = chosen.text
    for _ in range(random.choice([1, 1, 2, 3])):
        text = random.choice(MUTATIONS)(text, random)
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if random.random() < 0.12 and data:
        for _ in range(random.choice([1, 1, 3])):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return chosen, bytes(data)


# --------------------------------------------------------------------------------------------- holding it


class Hung(BaseException):
    """It took longer than anybody would wait."""


@dataclass
class Report:
    """What came of some mutants."""

    count: int = 0
    wrong: int = 0  # those in which there was something to tell
    seconds: float = 0.0  # CPU
    bad: list[tuple[int, str, str]] = field(default_factory=list)  # number, seed, what
    slowest: list[tuple[float, int, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, other: Report) -> None:
        self.count += other.count
        self.wrong += other.wrong
        self.seconds += other.seconds
        self.bad += other.bad
        self.slowest = sorted([*self.slowest, *other.slowest], reverse=True)[:5]
        self.kinds += other.kinds


def problems_of(data: bytes, folder: Path) -> list[object]:
    """What `prun validate` has to say of these bytes, without asking another process."""
    from pipeline_runner.errors import Problems
    from pipeline_runner.plan.check import cautions, everything
    from pipeline_runner.plan.make import attempt
    from pipeline_runner.plan.preflight.look import look, look_at
    from pipeline_runner.spec.build import build
    from pipeline_runner.syntax.reader import NotUtf8, decode

    text = decode(data, "mutant.yaml")
    if isinstance(text, NotUtf8):
        return [text]
    try:
        spec = build(text, "mutant.yaml", folder=folder)
    except Problems as found:
        return list(everything(found, ask=False))
    plan, problems = attempt(spec)
    if plan is None:
        return [*problems, *look_at(spec, spec.stages, ask=False).problems]
    cautions(plan)
    plan.explain()
    return list(look(plan, ask=False).problems)


def hold(number: int, seed: Seed, data: bytes, report: Report) -> None:
    """Check one mutant, and note what is not as promised."""
    report.count += 1
    try:
        with given_up_after(HANG_S):
            took = _timed(data, seed.folder, number, seed, report)
    except Hung:
        report.bad.append((number, seed.name, f"took more than {HANG_S:g} s"))
        return
    except Exception:
        report.bad.append((number, seed.name, traceback.format_exc(limit=-6)))
        return
    # Once is chance: the collector ran, or something was imported.
    for _ in range(2):
        if took > MOST_S:
            took = min(took, _timed(data, seed.folder, number, seed, Report()))
    if took > MOST_S:
        report.bad.append((number, seed.name, f"took {took * 1000:.0f} ms"))
    report.slowest = sorted([*report.slowest, (took, number, seed.name)], reverse=True)[:5]
    report.seconds += took


def _timed(data: bytes, folder: Path, number: int, seed: Seed, report: Report) -> float:
    began = time.process_time()
    found = problems_of(data, folder)
    took = time.process_time() - began
    report.wrong += bool(found)
    for problem in found:
        report.kinds[type(problem).__name__] += 1
        mark = getattr(problem, "mark", None)
        text = str(problem)
        if mark is None or mark.line < 1 or mark.column < 1:
            report.bad.append((number, seed.name, f"without a place: {text}"))
    return took


@contextmanager
def given_up_after(seconds: float) -> Iterator[None]:
    """Raise Hung when the block has taken so much CPU."""

    def up(number: int, frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGVTALRM, up)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def batch(given: tuple[int, int, int]) -> Report:
    """Mutants start to stop of a seed."""
    seed, start, stop = given
    texts = warm()
    report = Report()
    for number in range(start, stop):
        chosen, data = mutant(seed, number, texts)
        hold(number, chosen, data, report)
    return report


_texts: list[Seed] = []


def warm() -> list[Seed]:
    """The texts, each checked once, so that nothing is imported or compiled when time is taken."""
    if not _texts:
        sys.path.insert(0, str(ROOT))
        from pipeline_runner.spec.models import Pipeline, Retry, Stage

        for model in (Pipeline, Stage, Retry):
            KEYS.extend(field_.alias or name for name, field_ in model.model_fields.items())
        _texts.extend(seeds())
        for seed in _texts:
            with suppress(Exception):
                problems_of(seed.text.encode("utf-8", "surrogatepass"), seed.folder)
        gc.collect()
        gc.freeze()
    return _texts


# ---------------------------------------------------------------------------------------------- the command

SIZE = 250  # mutants that travel together


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=10_000, help="how many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", type=int, help="show and check this one")
    given = parser.parse_args(arguments)
    if given.only is not None:
        return _show(given.seed, given.only)
    began = time.monotonic()
    whole = Report()
    batches = [(given.seed, start, min(start + SIZE, given.count)) for start in range(0, given.count, SIZE)]
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for report in pool.imap_unordered(batch, batches):
            whole.add(report)
    print(told(whole, time.monotonic() - began, given.seed))
    return 1 if whole.bad else 0


def told(report: Report, seconds: float, seed: int) -> str:
    """The report for people."""
    lines_ = [
        f"{report.count:,} mutants of seed {seed} in {seconds:.0f} s, {report.seconds / max(1, report.count) * 1000:.1f} ms "
        f"of CPU each: {report.wrong:,} with problems, of {len(report.kinds)} kinds; {len(report.bad)} not as promised",
        "slowest: "
        + ", ".join(f"{took * 1000:.0f} ms (--only {number}, {name})" for took, number, name in report.slowest),
    ]
    for number, name, what in report.bad[:20]:
        lines_.append(f"--seed {seed} --only {number}, of {name}: {what}")
    return "\n".join(lines_)


def _show(seed: int, number: int) -> int:
    chosen, data = mutant(seed, number, warm())
    sys.stdout.write(data.decode("utf-8", "backslashreplace") + "\n")
    report = Report()
    hold(number, chosen, data, report)
    print(*problems_of(data, chosen.folder), sep="\n")
    print(told(report, report.seconds, seed))
    return 1 if report.bad else 0


if __name__ == "__main__":
    sys.exit(main())
