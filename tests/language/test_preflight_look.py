"""What is looked at before a run: the calls of a stage, files, and what is sent; nothing starts while anything is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from pipeline_runner import Pipeline, Problems, Stage
from pipeline_runner.plan.check import everything
from pipeline_runner.plan.make import make_plan
from pipeline_runner.plan.preflight import deps
from pipeline_runner.plan.preflight.ask import NoAnswer, Question, ask_python
from pipeline_runner.plan.preflight.look import look
from pipeline_runner.spec.build import build
from pipeline_runner.spec.patterns import matching
from pipeline_runner.spec.pipeline import Named

STEPS = """
def one(item): return item
def two(a, b): return a, b
def named(a, b, *, c=0): return a, b, c
def any(*args, **more): return args
def rows(start, stop): yield from range(start, stop)
def ready(host): pass
"""


@pytest.fixture
def looked(tmp_path):
    """Look at the stages of a text, with the functions above."""
    (tmp_path / "steps.py").write_text(STEPS)

    def at(stages, **files):
        for name, text in files.items():
            (tmp_path / name.replace("__", "/")).parent.mkdir(exist_ok=True)
            (tmp_path / name.replace("__", ".")).write_text(text)
        return look(make_plan(build(f"stages:\n{stages}", folder=tmp_path)))

    return at


def told(found):
    return [problem.sentence() for problem in found.problems]


def test_a_folder_that_is_named_for_a_file_with_functions_is_not_taken_for_a_slip(looked, tmp_path):
    (tmp_path / "more.py").mkdir()
    assert told(looked("  a: {call: 'more.py:one', over: [1]}")) == [
        '"more.py" is a folder; name the file in it that has the function'
    ]


FITTING = [
    "one, over: [1, 2]",
    "one, over: [[1, 2]]",
    "one, over: [{a: 1}]",
    "two, args: star, over: [[1, 2], {a: 1, b: 2}]",
    "two, args: single, over: [[1, 2], {a: 1, b: 2}]",
    "two, over: {a: [1], b: [2]}",
    "two, args: zip, over: [[1], [2]]",
    "two, with: [1, 2]",
    "two, with: {a: 1, b: 2}",
    "two, with: {b: 1}, over: [1]",
    "named, args: star, over: [[1, 2, ], {a: 1, b: 2, c: 3}]",
    "any, over: [1], with: {whatever: 1}",
    "any, args: star, over: [[1], [1, 2, 3]]",
    "one, over: {range: 3}, args: single",
    "one, over: {generate: 'steps:rows', with: [1, 2]}",
    "one, over: {generate: 'steps:rows', with: {start: 1, stop: 2}}",
    "one, over: [1], setup: steps:ready, setup_with: {host: x}",
    "one, over: []",
]


@pytest.mark.parametrize("stage", FITTING)
def test_calls_that_python_would_take_are_all_well(looked, stage):
    assert told(looked(f"  s: {{call: 'steps:{stage.replace(',', chr(39) + ',', 1)}}}")) == []


MISFITTING = [
    ("two, over: [1]", 'stage "s" does not give two its argument "b"'),
    ("two, over: [[1, 2]]", 'stage "s" does not give two its argument "b"'),
    ("one, args: star, over: [[1, 2]]", 'stage "s" gives one 2 arguments by position, and it takes at most 1'),
    ("one, args: single, over: [1, [1, 2]]", 'stage "s" gives one 2 arguments by position, and it takes at most 1'),
    (
        "one, args: star, over: [{itme: 1}]",
        'stage "s" gives "itme" to one, which takes no such argument; did you mean "item"?',
    ),
    ("one, args: zip, over: [[1], [2]]", 'stage "s" gives one 2 arguments by position, and it takes at most 1'),
    ("two, over: {a: [1], c: [2]}", 'stage "s" gives "c" to two, which takes no such argument'),
    ("two, with: [1]", 'stage "s" does not give two its argument "b"'),
    ("two, over: [1], with: {a: 2, b: 3}", 'stage "s" gives two its argument "a" twice: it is the item already'),
    ("named, with: {a: 1, b: 2, d: 3}", 'stage "s" gives "d" to named, which takes no such argument'),
    ("one, over: {generate: 'steps:rows', with: [1]}", 'stage "s" does not give rows its argument "stop"'),
    ("one, over: {generate: 'steps:rwos', with: [1]}", 'steps.py has no "rwos"; did you mean "rows"?'),
    ("one, over: [1], setup: steps:ready", 'stage "s" does not give ready its argument "host"'),
]


@pytest.mark.parametrize(("stage", "sentence"), MISFITTING)
def test_calls_that_python_would_refuse_are_told(looked, tmp_path, monkeypatch, stage, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in told(looked(f"  s: {{call: 'steps:{stage.replace(',', chr(39) + ',', 1)}}}"))


def test_rows_of_a_stage_are_known_when_they_come(looked):
    both = (
        "  a: {call: 'steps:one', over: [1]}\n  s: {call: 'steps:two', args: star, over: '${stages.a}', with: {%s: 1}}"
    )
    assert told(looked(both % "b")) == []
    assert told(looked(both % "bb")) == ['stage "s" gives "bb" to two, which takes no such argument; did you mean "b"?']


def test_the_columns_of_a_csv_are_its_head(looked):
    stage = "  s: {call: 'steps:two', args: star, over: {csv: data.csv}}"
    assert told(looked(stage, data__csv="a,b\n1,2\n")) == []
    assert (
        told(looked(stage, data__csv="a,bee\n1,2\n"))[0] == 'stage "s" gives "bee" to two, which takes no such argument'
    )


def test_each_problem_has_the_place_of_the_very_word(looked):
    (problem,) = looked("  s:\n    call: steps:named\n    with:\n      a: 1\n      b: 2\n      cc: 3\n").problems
    assert (problem.mark.line, problem.mark.column, problem.mark.width) == (7, 7, 2)


def test_a_broken_file_is_told_with_what_its_sound_stages_name(tmp_path):
    (tmp_path / "steps.py").write_text(STEPS)
    text = "stages:\n  a: {call: 'steps:one', over: [1], retrys: 3}\n  b: {call: 'steps:oen', over: [1]}\n"
    with pytest.raises(Problems) as caught:
        build(text, folder=tmp_path)
    assert [problem.code for problem in everything(caught.value)] == ["unknown-key", "no-such-name"]


@pytest.mark.parametrize(
    "text",
    [
        "stages: {a: {run: x, stdout: jsn}}\non_success: {call: 'steps:oen', with: {item: 1}}",
        "stages: {a: {call: 'steps:oen', ovr: [1]}}",
        "stages: {a: {call: 'steps:one', setup: 'steps:reday', over: [1], retry: x}}",
        "stages: {a: {call: 'steps:one', over: 5}, b: {call: 'steps:oen', over: '${stages.a}'}}",
        "stages: {a: {call: 'steps:one', over: [1]}}\non_success: {call: 'steps:oen', wiht: {item: 1}}",
    ],
)
def test_a_function_that_is_not_there_is_told_beside_what_else_is_wrong_with_the_stage_or_another(tmp_path, text):
    (tmp_path / "steps.py").write_text(STEPS)
    with pytest.raises(Problems) as caught:
        build(text, folder=tmp_path)
    codes = [problem.code for problem in everything(caught.value)]
    assert len(codes) == 2
    assert "no-such-name" in codes


def test_what_is_known_of_a_stage_in_which_something_is_wrong_is_not_held_against_its_function(tmp_path):
    (tmp_path / "steps.py").write_text(STEPS)
    with pytest.raises(Problems) as caught:
        build("stages: {a: {call: 'steps:one', ovr: [1]}, b: {call: 'no:where', if: false, x: 1}}", folder=tmp_path)
    assert [problem.code for problem in everything(caught.value)] == ["unknown-key", "unknown-key"]


def test_what_is_switched_off_may_name_what_is_not_there(looked):
    off = "  a: {call: 'nowhere:f', if: false}\n  b: {call: 'nowhere:f', over: '${stages.a}'}\n"
    assert told(looked(off + "  c: {call: 'steps:one', over: [1]}")) == []
    assert told(looked(off.replace("false", "true"))) == ['there is no module "nowhere"'] * 2


def test_hooks_are_looked_at_too(looked):
    stages = "  a: {call: 'steps:one', over: [1]}\non_failure: {call: 'steps:oen', with: {item: 1}}"
    assert [sentence.partition("; ")[2] for sentence in told(looked(stages))] == ['did you mean "one"?']


@pytest.mark.parametrize(
    ("over", "sentence"),
    [
        ("{matrix: {a: [1, 2], b: [3]}}", None),
        ("{matrix: {a: [1, 2], c: [3]}}", 'gives "c" to two'),
        ("{matrix: {a: [1], b: [2]}, include: [{c: 1}]}", 'gives "c" to two'),
        ("{batches: [1, 2, 3, 4], size: 2}", None),
        ("{batches: [1, 2, 3], size: 2}", 'does not give two its argument "b"'),
        ("{batches: {generate: 'steps:rwos', take: 3}, size: 2}", 'has no "rwos"'),
        ("{matrix: {a: [1], b: {lines: nowhere.txt}}}", 'cannot read "nowhere.txt"'),
    ],
)
def test_rows_that_are_put_together_are_held_to_it_too(looked, over, sentence):
    (*found,) = told(looked(f"  s: {{call: 'steps:two', args: star, over: {over}}}"))
    assert sentence in found[0] if sentence else found == []


# Files


def test_a_file_that_a_stage_before_makes_need_not_be_there_yet(looked):
    found = looked(
        "  a: {call: 'steps:one', over: [1]}\n  s: {call: 'steps:one', over: {lines: later.txt}, needs: [a]}"
    )
    assert told(found) == []
    (warning,) = found.warnings
    assert '"later.txt" is not there yet' in warning


def test_a_file_without_leave_to_read_is_told(looked, tmp_path):
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "secret.txt").chmod(0)
    wanted = [] if os.geteuid() == 0 else ['stage "s" cannot read "secret.txt": permission denied']
    assert told(looked("  s: {call: 'steps:one', over: {lines: secret.txt}}")) == wanted


def test_a_pattern_that_matches_nothing_is_a_warning_that_names_the_lost_folder(looked, tmp_path):
    (tmp_path / "texts").mkdir()
    found = looked("  s: {call: 'steps:one', over: {glob: 'txets/*.txt'}}")
    assert told(found) == []
    (warning,) = found.warnings
    assert warning.endswith('no file matches "txets/*.txt": there is no folder "txets"; did you mean "texts"?')


def test_a_pattern_whose_folder_has_a_name_that_no_folder_can_have_is_a_warning(looked):
    found = looked(f"  s: {{call: 'steps:one', over: {{glob: '{'x' * 5000}/*.txt'}}}}")
    assert told(found) == []
    (warning,) = found.warnings
    assert "there is no folder" in warning


def test_a_hook_may_read_what_stages_make(looked):
    found = looked("  a: {call: 'steps:one', over: [1]}\non_success: {call: 'steps:one', over: {lines: later.txt}}")
    assert told(found) == []


def test_a_dep_that_is_not_there_is_told_before_anything_runs(looked):
    found = looked("  s: {call: 'steps:one', over: [1], deps: [data.csv, '*.conf', sub/]}", date__csv="", a__conf="")
    assert told(found) == [
        'stage "s" depends on "data.csv", which is not there; did you mean "date.csv"?',
        'stage "s" depends on "sub/", which is not there',
    ]
    assert [(problem.mark.line, problem.mark.column) for problem in found.problems] == [(2, 44), (2, 64)]


@pytest.mark.parametrize(
    "deps", ["'${item}.txt'", "made.txt, needs: [a]", "other.txt, needs: [a]", "'*.no', needs: [a]"]
)
def test_a_dep_that_may_be_there_in_time_is_not_refused(looked, deps):
    stages = "  a: {run: 'touch ${out}', outs: made.txt}\n  s: {call: 'steps:one', over: [1], deps: %s}"
    assert looked(stages % deps) == type(looked("  a: {call: 'steps:any'}"))()


def test_a_dep_that_another_stage_makes_is_told_with_what_to_wait_for(looked):
    stages = "  a: {run: 'echo > ${out}', outs: made.txt}\n  s: {call: 'steps:one', over: [1], deps: made.txt}"
    (problem,) = looked(stages).problems
    assert problem.advice() == ('stage "a" makes it: add  needs: [a]',)
    found = looked(stages, made__txt="of an earlier run")
    assert told(found) == []
    assert 'stage "a" makes "made.txt", and "s" does not wait for it' in found.warnings[0]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("rows.csv", b"a,a\n1,2\n", "line 1: the column a is there twice"),
        ("rows.csv", b"a,b\n1,\xff\n", "line 2: not UTF-8: invalid start byte"),
        ("rows.csv", b"a,b\n1\n", "line 2: 1 values for 2 columns"),
        ("rows.jsonl", b"\n[1\n", "line 2: not JSON: Expecting ',' delimiter: line 2 column 1 (char 3)"),
        ("rows.lines", b"\xff\n", "line 1: not UTF-8: invalid start byte"),
        ("rows.csv", b'a,b\n1,"2\n3,4\n', "line 3: a quote is opened, and never closed"),
        ("rows.csv", b'"a,b\n1,2\n', "line 2: a quote is opened, and never closed"),
        ("rows.csv", b'a,b\n1,"2\n3 ""x"""\n', None),
        ("rows.csv", b"", None),
        ("rows.csv", b"a,b\n1,2\n3\n", None),  # that is for the run to tell
    ],
)
def test_a_file_of_items_is_read_up_to_its_first_row(looked, tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    kind = name.partition(".")[2]
    stage = f"{{call: 'steps:any', over: {{{kind}: {name}}}}}"
    assert told(looked(f"  s: {stage}")) == ([] if why is None else [f'stage "s" cannot read "{name}": {why}'])
    after = f"  s: {stage[:-1]}, needs: [before]}}\n  before: {{call: 'steps:any'}}"
    assert told(looked(after)) == []  # it may be written anew


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        ("[ech, hello]", 'stage "s" runs "ech", and there is no such program on the PATH'),
        ("[./tool.sh, hello]", 'stage "s" runs "./tool.sh", and there is no such program'),
        ("[./plain, hello]", 'stage "s" runs "./plain", and that may not be executed'),
        ("[./bin, hello]", 'stage "s" runs "./bin", and that is a folder'),
        ("[plain], env: {PATH: .}", 'stage "s" runs "plain", and there is no such program on the PATH'),
        ("['echo hello']", 'stage "s" runs "echo hello", and there is no such program on the PATH'),
        ("[tool], env: {PATH: nowhere}", 'stage "s" runs "tool", and there is no such program on the PATH'),
        ("['${params.program}']", 'stage "s" runs "ech", and there is no such program on the PATH'),
        ("[tool], env: {PATH: bin}", None),
        ("[bin/tool]", None),
        ("[./tool], workdir: bin", None),
        ("[echo, hello]", None),
        ("['${item}'], over: [ech]", None),  # may be one that a call can be without
        ("ech hello", 'stage "s" runs "ech", and there is no such program on the PATH'),
        ('"\\n  ech\\n  echo"', 'stage "s" runs "ech", and there is no such program on the PATH'),
        ("'ech ${params.program} > x'", 'stage "s" runs "ech", and there is no such program on the PATH'),
        ("./plain x", 'stage "s" runs "./plain", and that may not be executed'),
        ("bin/tool x", None),
        ("tool x, env: {PATH: bin}", None),
        ("tool x, workdir: bin, env: {PATH: .}", None),
        # What the shell itself knows, or may do otherwise:
        *(
            (f"'{text}'", None)
            for text in ("cd .", "export X=1", ". ./x", "if ech; then true; fi", "while ech; do true; done")
        ),
        *(
            (f"'{text}'", None)
            for text in ("ech || true", "ech; true", "ech & wait", "X=1 ech", "$ech", "ech() { true; }")
        ),
        *((f"'{text}'", None) for text in ("{ ech; }", "(ech)", "# ech", "ech${params.program}", "${params.program}")),
        ('"ech \\\\\\n || true"', None),
        *((f'"{word} ech\\ndo\\n  true\\ndone"', None) for word in ("while", "for x in")),
        ("ech hello, needs: [before]", None),  # which may install it
        ("ech hello, backend: dask", None),  # where it runs there may be one
        ("ech hello, method: dask.distributed.Client.submit", None),
        *((f"'ech ${{{value} | raw}}', over: [1]", None) for value in ("params.tail", "item")),
        *((f'"ech {quote}a\\n b{quote} || true"', None) for quote in ("'", '\\"')),
        ("'ech ${item}', over: [1]", 'stage "s" runs "ech", and there is no such program on the PATH'),
        ("ech 'a b' \"c\"", 'stage "s" runs "ech", and there is no such program on the PATH'),
        ("[./made], needs: [before]", None),
    ],
)
def test_a_program_that_is_nowhere_is_told_before_anything_runs(looked, tmp_path, run, sentence):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").touch(0o755)
    (tmp_path / "plain").touch(0o644)
    found = looked(f"  before: {{call: 'steps:any'}}\n  s: {{run: {run}}}\nparams: {{program: ech, tail: '|| true'}}")
    assert told(found) == ([] if sentence is None else [sentence])


# Python itself


@pytest.mark.timeout(30)
def test_python_is_asked_once_for_all_that_reading_does_not_tell(looked):
    made = "globals()['double'] = lambda item, *, scale=1: item\nglobals()['halve'] = lambda item: item\n"
    stages = (
        "  a: {call: 'made:double', over: [1], with: {scael: 2}}\n  b: {call: 'made:halve', over: [1], with: {x: 1}}\n"
    )
    found = looked(stages, made__py=made)
    assert told(found) == [
        'stage "a" gives "scael" to double, which takes no such argument; did you mean "scale"?',
        'stage "b" gives "x" to halve, which takes no such argument',
    ]
    assert "made" not in sys.modules


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("import no_such_package_here\ndef f(item): 0", 'there is no module "no_such_package_here", which it imports'),
        ("from steps import oen\ndef f(item): 0", "ImportError: cannot import name 'oen'"),
        ("import stesp\ndef f(item): 0", 'there is no module "stesp", which it imports'),
        ("globals()['g'] = nobody", "NameError: name 'nobody' is not defined"),
        ("globals()['g'] = 1", 'it has no "f"'),
        ("globals()['f'] = 1", "f is an int, which cannot be called"),
    ],
)
def test_what_python_cannot_import_is_told(looked, module, sentence):
    (one,) = told(looked("  s: {call: 'own:f', over: [1]}", own__py=module))
    assert sentence in one


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("globals()['f'] = open('not-there-yet').read", "importing it raises FileNotFoundError"),
        ("import os\nglobals()['f'] = os._exit(3)", "its process ended with 3"),
        ("import sys\nglobals()['f'] = sys.exit(3)", "importing it raises SystemExit"),
    ],
)
def test_an_import_that_may_go_well_later_is_only_a_warning(looked, module, why):
    found = looked("  s: {call: 'own:f', over: [1]}", own__py=module)
    assert told(found) == []
    (warning,) = found.warnings
    assert why in warning


@pytest.mark.timeout(30)
def test_a_module_of_the_project_that_is_no_python_is_told_however_far_away(looked):
    modules = {"own__py": "import mid\ndef f(item): 0", "mid__py": "from deep import x", "deep__py": "x = 1\ndef (\n"}
    (one,) = told(looked("  s: {call: 'own:f', over: [1]}", **modules))
    assert "SyntaxError: invalid syntax (deep.py, line 2)" in one


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("from . import deep", ""),
        ("from .deep import x", ""),
        ("from .deep import *", ""),
        ("from .deep import y", "ImportError: cannot import name 'y' from 'pack.deep'"),
        ("from . import gone", "ImportError: cannot import name 'gone' from 'pack'"),
        ("from .gone import x", 'there is no module "pack.gone"'),
    ],
)
def test_what_a_package_imports_of_itself_is_looked_at(looked, tmp_path, line, sentence):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "deep.py").write_text("x = 1\n")
    (tmp_path / "pack" / "mid.py").write_text(f"{line}\ndef f(item): 0")
    found = told(looked("  s: {call: 'pack.mid:f', over: [1]}"))
    assert [sentence in one for one in found] == [True] * bool(sentence)


@pytest.mark.timeout(30)
def test_an_import_under_a_condition_is_nobodys_problem(looked):
    module = "try:\n    import no_such_package\nexcept ImportError:\n    pass\ndef f(item):\n    import nor_this\n"
    assert looked("  s: {call: 'own:f', over: [1]}", own__py=module) == looked("  s: {call: 'steps:one', over: [1]}")


@pytest.mark.timeout(30)
def test_python_gets_the_variables_of_the_stage(looked):
    module = "import os\nglobals()['f'] = {'x': lambda item: 0}[os.environ['WHICH']]\n"
    assert looked("  s: {call: 'own:f', over: [1], env: {WHICH: x}}", own__py=module).warnings == ()


@pytest.mark.timeout(30)
def test_an_import_that_does_not_end_is_given_up_and_what_it_started_ends(tmp_path):
    module = "import subprocess, time\nsubprocess.Popen(['sleep', '1000.25'])\ntime.sleep(1000)\n"
    (tmp_path / "slow.py").write_text(module)
    (tmp_path / "quick.py").write_text("def f(item): 0\n")
    questions = [Question(Named("quick", "f"), str(tmp_path)), Question(Named("slow", "f"), str(tmp_path))]
    began = time.monotonic()
    quick, slow = ask_python(questions, str(tmp_path), {}, limit_s=2.0)
    assert list(quick.signature) == ["item"]
    assert isinstance(slow, NoAnswer)
    assert time.monotonic() - began < 10
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 1000.25" not in listed


@pytest.mark.timeout(30)
def test_what_an_import_prints_and_reads_is_not_ours(looked, capfd):
    module = "import sys\nprint('loud')\nsys.stdin.read()\nglobals()['f'] = lambda item: 0\n"
    assert told(looked("  s: {call: 'own:f', over: [1]}", own__py=module)) == []
    assert capfd.readouterr() == ("", "")


# The whole way


@pytest.mark.timeout(60)
@pytest.mark.parametrize("command", [["validate"], ["plan"], ["run"], ["run", "--dry-run"]])
def test_a_misspelt_name_ends_every_command_before_anything_runs(prun, tmp_path, command):
    (tmp_path / "steps.py").write_text("def mark(item):\n    open('ran', 'w')\n")
    text = "stages:\n  first: {call: 'steps:mark', over: [1]}\n  last: {call: 'steps:makr', over: '${stages.first}'}\n"
    (tmp_path / "pipeline.yaml").write_text(text)
    ran = prun(command[0], "pipeline.yaml", *command[1:], cwd=tmp_path)
    said = ran.stdout + ran.stderr
    assert ran.returncode == 2, said
    assert 'pipeline.yaml:3:16: steps.py has no "makr"; did you mean "mark"?' in said
    assert "steps.py:1: def mark(item)" in said
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / ".prun").exists()


@pytest.mark.timeout(60)
def test_warnings_are_told_and_the_run_goes_on(prun, tmp_path):
    (tmp_path / "pipeline.yaml").write_text("stages: {s: {call: 'math:sqrt', over: {glob: '*.nothing'}}}\n")
    ran = prun("pipeline.yaml", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert 'no file matches "*.nothing"' in ran.stderr


def held(numbers):
    return lambda item: (numbers, item)


@pytest.mark.timeout(60)
def test_what_no_worker_can_be_sent_is_told_at_the_line_of_the_stage():
    drawn = (number for number in range(3))
    stages = [Stage("s", call=held(drawn), over=[1]), Stage("t", call=max, over=[1], with_={"key": [drawn]})]
    pipeline = Pipeline("p", stages)
    with pytest.raises(Problems) as caught:
        pipeline.run(state=False)
    first, second = caught.value.problems
    assert first.sentence().startswith(
        'the function held.<locals>.<lambda> of stage "s" cannot be sent to a worker: its "numbers": TypeError'
    )
    assert second.sentence().startswith('the argument "key" of stage "t" cannot be sent to a worker: TypeError')
    assert first.mark.file == __file__


def test_a_function_given_in_python_is_held_to_its_own_signature():
    pipeline = Pipeline("p", [Stage("s", call=lambda a, b: a, over=[1])])
    with pytest.raises(Problems) as caught:
        pipeline.run(state=False)
    (problem,) = caught.value.problems
    assert problem.sentence() == (
        'stage "s" does not give test_a_function_given_in_python_is_held_to_its_own_signature.<locals>.<lambda> '
        'its argument "b"'
    )
    assert "test_preflight_look.py" in problem.advice()[0]


def test_a_workdir_of_a_name_that_no_folder_can_have_is_not_there(looked):
    with pytest.raises(Problems, match="workdir"):
        looked(f"  s: {{call: 'steps:one', over: [1], workdir: '{'x' * 5000}'}}")


# ---------------------------------------------------------------------------------------- blanks of items


BLANKS = [
    ("one, with: {x: '${item.b}'}, over: [{a: 1}]", "item 0: ${item.b} leads nowhere"),
    ("any, with: {x: '${item.b}'}, over: [{b: 1}, {a: 1}]", "item 1: ${item.b} leads nowhere"),
    ("any, with: {x: '${item.c}'}, over: {matrix: {a: [1, 2]}, include: [{a: 2, c: 1}]}", "item 0: ${item.c}"),
    ("any, with: {x: '${item.c}'}, over: {a: [1], b: [2]}", "item 0: ${item.c} leads nowhere"),
    ("any, with: {x: '${item.c}'}, over: {csv: rows.csv}", "item 0: ${item.c} leads nowhere"),
    ("any, with: {x: '${10 // index}'}, over: {range: 3}", "item 0: ${10 // index} has no value"),
    ("any, with: {x: ['${item[1].no}']}, over: {batches: [1, 2, 3], size: 2}", "item 0: ${item[1].no}"),
    ("any, outs: '${item.c}.txt', over: [{a: 1}]", "item 0: ${item.c} leads nowhere"),
]


@pytest.mark.parametrize(("stage", "why"), BLANKS)
def test_what_a_blank_takes_of_an_item_is_looked_for_before_the_run(looked, stage, why):
    sentences = told(looked(f"  x: {{call: steps:{stage}}}", rows__csv="a,b\n1,2\n"))
    assert [sentence for sentence in sentences if why in sentence], sentences


@pytest.mark.parametrize(
    "stage",
    [
        "any, with: {x: '${item.b}'}, over: [{b: 1}, {a: 1}], on_error: skip",
        "any, with: {x: '${item.c | default(0)}'}, over: {matrix: {a: [1, 2]}, include: [{a: 2, c: 1}]}",
        "any, with: {x: '${item.a}'}, over: {csv: rows.csv}",
        "any, with: {x: '${item.a} ${params}'}, over: {a: [1], b: [2]}",
        "any, with: {x: '${item | stem}'}, over: {glob: '*.py'}",
        "any, with: {x: '${item.c}'}, over: {generate: 'steps:rows', with: {start: 0, stop: 2}}",
        "any, with: {x: '${item.c}'}, over: []",
    ],
)
def test_a_blank_that_may_be_filled_in_is_none_of_its_business(looked, stage):
    assert told(looked(f"  x: {{call: steps:{stage}}}", rows__csv="a,b\n1,2\n")) == []


def test_an_item_that_no_command_can_be_given_is_told_before_the_run(looked):
    (sentence,) = told(looked("  x: {run: 'echo ${item}', over: [1, {a: 2}]}"))
    assert sentence.startswith('stage "x", item 1: a mapping cannot be a word of a command')


@pytest.mark.timeout(20)
def test_links_in_a_circle_are_not_followed_where_files_are_looked_for(looked, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("up", "again"):
        (tmp_path / "data" / name).symlink_to("..")
    found = looked('  a: {call: "steps:one", over: {glob: "**/*.csv"}, deps: "**/*.txt"}', data__x_csv="1")
    assert [problem.path for problem in found.problems] == ["**/*.txt"]


ENDLESS = """
import itertools
from itertools import count as up

def ever(x):
    yield "first"
    while True:
        yield x

def counted(x):
    for number in up():
        yield number

def turning(x):
    for number in itertools.cycle([x]):
        if number:
            yield number

def left(x):
    while True:
        if x:
            break
        yield x

def bounded(x):
    for number in range(x):
        yield number

def waits(x):
    def inner():
        yield x
    while True:
        if inner():
            return x

def listed(x):
    for number in zip(range(x), itertools.count()):
        yield number
"""


@pytest.mark.parametrize("name", ["ever", "counted", "turning"])
def test_a_call_that_yields_without_end_is_warned_of_with_where_such_items_come_from(looked, name):
    found = looked(f"  a: {{call: 'ends:{name}', over: [1]}}", ends__py=ENDLESS)
    (warning,) = found.warnings
    assert f'"ends:{name}" yields without end' in warning
    assert f'over: {{generate: "ends:{name}"}}' in warning
    assert found.problems == ()


@pytest.mark.parametrize("name", ["left", "bounded", "waits", "listed"])
def test_a_call_that_yields_and_ends_has_a_list_as_its_value_and_needs_no_warning(looked, name):
    assert looked(f"  a: {{call: 'ends:{name}', over: [1]}}", ends__py=ENDLESS).warnings == ()


def test_a_generator_without_end_is_a_source(looked):
    text = "  a: {call: 'steps:one', over: {generate: 'ends:ever', with: {x: 1}, take: 3}}"
    assert looked(text, ends__py=ENDLESS).warnings == ()


def test_a_pattern_with_a_character_that_no_path_has_finds_nothing(tmp_path):
    (tmp_path / "a").touch()
    assert (matching("a*", tmp_path), matching("a\0*", tmp_path), matching("**/a\0", tmp_path)) == (["a"], [], [])


def test_who_writes_the_deps_of_many_stages_is_gathered_once(looked, monkeypatch):
    asked, fixed = [], deps.fixed
    monkeypatch.setattr(deps, "fixed", lambda stage: (asked.append(stage.name), fixed(stage))[1])
    stages = [
        f"  s{n}: {{run: 'cp s{n - 1} ${{out}}', deps: [s{n - 1}], outs: [s{n}], needs: s{n - 1}}}"
        for n in range(1, 50)
    ]
    assert told(looked("\n".join(["  s0: {run: 'echo > ${out}', outs: [s0]}", *stages]))) == []
    assert len(asked) == 50
