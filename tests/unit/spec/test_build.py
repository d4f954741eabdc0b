from __future__ import annotations

import pickle

import pytest

from pipeline_runner.axes import Dispatch, OnError, Returns, StartMethod, Style
from pipeline_runner.errors import Problems
from pipeline_runner.spec.build import build, check, load
from pipeline_runner.spec.parameters import read_params
from pipeline_runner.spec.pipeline import (
    Csv,
    FromStage,
    Generate,
    Glob,
    InFile,
    Items,
    Jsonl,
    Lines,
    Named,
    Range,
    Retry,
    StageSpec,
    Zip,
)
from pipeline_runner.syntax.expressions import Reference, Text

ENVIRON = {"HOME": "/home/me"}


def spec(text, **more):
    return build(text, environ=ENVIRON, **more)


def stage(keys, top=""):
    return spec(f"{top}\nstages:\n  other: {{call: 'm:f'}}\n  a: {{call: 'm:f', {keys}}}\n").stages["a"]


def codes(text, **more):
    with pytest.raises(Problems) as caught:
        spec(text, **more)
    return [problem.code for problem in caught.value.problems]


def stage_codes(keys, top=""):
    return codes(f"{top}\nstages:\n  other: {{call: 'm:f'}}\n  a: {{call: 'm:f', {keys}}}\n")


ONE = "stages: {a: {call: 'm:f'}}"


def test_the_smallest_pipeline_is_named_after_its_file():
    pipeline = spec(ONE, name="some/census.yaml")
    assert pipeline.name == "census"
    assert pipeline.stages["a"].function == Named("m", "f")
    assert pipeline.stages["a"].retry == Retry()
    assert pipeline.stages["a"].on_error is OnError.STOP


def test_a_stage_holds_only_what_it_says_and_is_the_same_as_one_that_was_made_whole():
    a = stage("with: {x: 1}, env: {A: 1}, retry: 2, cache: null").without_places()
    assert vars(a).keys() == {"name", "function", "constants", "env", "retry"}
    whole = StageSpec(name="a", function=Named("m", "f"), constants={"x": 1}, env={"A": "1"}, retry=Retry(limit=2))
    assert a == whole
    assert vars(whole.without_places()) == vars(a)
    assert pickle.loads(pickle.dumps(a)) == whole


def test_every_key_of_a_stage_arrives():
    a = stage(
        "args: map, over: [1], dispatch: async, returns: unordered, method: multiprocessing.Pool.imap_unordered, "
        "backend: multiprocessing, needs: other, timeout: 1m30s, on_error: skip, workers: 2, chunk: 5, window: 7, "
        "start_method: spawn, max_calls_per_worker: 9, setup: 'file.py:setup', setup_with: {n: 1}, env: {A: 1, B: true, C: }, "
        "description: what, retry: {limit: 3, delay: 1s, backoff: 2, max_delay: 1m, jitter: 0.5, on: ValueError}"
    )
    assert a.style is Style.MAP
    assert a.dispatch is Dispatch.ASYNC
    assert a.returns is Returns.UNORDERED
    assert a.method == "multiprocessing.Pool.imap_unordered"
    assert (a.backend, a.needs, a.timeout_s, a.on_error) == ("multiprocessing", ("other",), 90.0, OnError.SKIP)
    assert (a.workers, a.chunk, a.window, a.max_calls_per_worker) == (2, 5, 7, 9)
    assert a.start_method is StartMethod.SPAWN
    assert a.setup == InFile("file.py", "setup")
    assert a.setup_with == {"n": 1}
    assert a.env == {"A": "1", "B": "true", "C": ""}
    assert a.description == "what"
    assert a.retry == Retry(3, 1.0, 2.0, 60.0, 0.5, ("ValueError",))


def test_an_alias_of_a_method_becomes_its_canonical_name():
    assert stage("over: [1], method: pathos.pools.ProcessPool.imap").method == "pathos.ProcessPool.imap"


@pytest.mark.parametrize(
    ("over", "source"),
    [
        ("{range: 10}", Range(0, 10)),
        ("{range: [2, 10]}", Range(2, 10)),
        ("{range: [10, 2, -3]}", Range(10, 2, -3)),
        ("{range: '${params.n}'}", Range(0, 3)),
        ("{glob: '${params.d}/*.txt'}", Glob("data/*.txt")),
        ("{lines: a.txt}", Lines("a.txt")),
        ("{csv: a.csv}", Csv("a.csv")),
        ("{jsonl: a.jsonl}", Jsonl("a.jsonl")),
        ("{generate: 'm:g', with: {n: '${params.n}'}, take: 5}", Generate(Named("m", "g"), {"n": 3}, 5)),
        ("{generate: 'gen.py:g'}", Generate(InFile("gen.py", "g"))),
        ("'${stages.other}'", FromStage(Reference("stages", ("other",)))),
        ("'${stages.other.rows[0]}'", FromStage(Reference("stages", ("other", "rows", 0)))),
        ("['${stages.other}', {range: 3}]", Zip((FromStage(Reference("stages", ("other",))), Range(0, 3)))),
        ("{x: {range: 2}, y: {glob: b}}", Zip((Range(0, 2), Glob("b")), ("x", "y"))),
        ("{lines: a.txt}, args: zip", Zip((Lines("a.txt"),))),
    ],
)
def test_over_is_read(over, source):
    assert stage(f"over: {over}", "params: {n: 3, d: data}").over == source


@pytest.mark.parametrize(
    ("over", "values"),
    [
        ("[1, two, null]", [1, "two", None]),
        ("[]", []),
        ("'${params.l}'", [1, 2]),
        ("['${params.n}', '${params.d}']", [3, "data"]),
        ("['${params.d}/a', b]", ["data/a", "b"]),
        ("[[1, 2], [3, 4]], args: star", [[1, 2], [3, 4]]),
        ("[[1, 2], [3]]", [[1, 2], [3]]),
        ("[{glob: x, size: 2}]", [{"glob": "x", "size": 2}]),
        ("[{glob: x}], args: map", [{"glob": "x"}]),
    ],
)
def test_a_list_is_items(over, values):
    source = stage(f"over: {over}", "params: {n: 3, d: data, l: [1, 2]}").over
    assert isinstance(source, Items)
    assert source.values == values


def test_lists_are_columns_when_zip_is_asked_for():
    source = stage("over: [[1, 2], '${params.l}'], args: zip", "params: {l: [3, 4]}").over
    assert [column.values for column in source.columns] == [[1, 2], [3, 4]]
    named = stage("over: {x: [1, 2], y: '${params.l}'}", "params: {l: [3, 4]}").over
    assert named.names == ("x", "y")


def test_references_to_lists_are_columns():
    source = stage("over: ['${params.l}', '${params.l}']", "params: {l: [3, 4]}").over
    assert [column.values for column in source.columns] == [[3, 4], [3, 4]]


def test_unequal_columns_pass_with_shortest():
    assert stage("over: {x: [1, 2, 3], y: [1]}, shortest: true").shortest
    assert stage_codes("over: {x: [1, 2, 3], y: [1]}") == ["unequal-columns"]


def test_with_keeps_what_is_only_known_later():
    a = stage(
        "over: [1], with: {n: '${params.n}', all: '${stages.other}', id: 'a-${index}-${params.n}', r: '${run.id}'}",
        "params: {n: 3}",
    )
    assert a.constants == {
        "n": 3,
        "all": Reference("stages", ("other",)),
        "id": Text(("a-", Reference("index"), "-3")),
        "r": Reference("run", ("id",)),
    }


def test_positions_are_a_list():
    assert stage("with: [1, '${stages.other}']").constants == [1, Reference("stages", ("other",))]


def test_a_value_that_looks_like_a_reference_is_only_text():
    pipeline = spec(
        "params: {x: '$${stages.b}'}\nstages: {a: {call: 'm:f', with: {t: '${params.x}'}}}",
        overrides={"x": "${env.HOME}"},
    )
    assert pipeline.stages["a"].constants == {"t": "${env.HOME}"}


def test_the_environment_is_the_process_and_the_file_and_the_stage():
    pipeline = spec(
        "params: {x: 1}\nenv: {A: '${env.HOME}/x', B: '${params.x}'}\n"
        "stages: {a: {call: 'm:f', env: {C: c}, with: {t: '${env.HOME} ${env.A} ${env.B} ${env.C}'}}}"
    )
    assert pipeline.env == {"A": "/home/me/x", "B": "1"}
    assert pipeline.stages["a"].constants == {"t": "/home/me /home/me/x 1 c"}


def test_parameters_may_be_taken_from_the_environment():
    assert spec("params: {home: '${env.HOME}'}\n" + ONE).params == {"home": "/home/me"}


def test_numbers_may_be_parameters():
    a = stage(
        "workers: '${params.n}', timeout: '${params.t}', args: '${params.s}', over: [1]",
        "params: {n: 3, t: 5s, s: map}",
    )
    assert (a.workers, a.timeout_s, a.style) == (3, 5.0, Style.MAP)
    assert stage_codes("workers: '${params.n}'", "params: {n: three}") == ["wrong-type"]


def test_defaults_are_under_every_stage_and_the_stage_wins():
    pipeline = spec(
        "defaults: {retry: 2, timeout: 5s, env: {A: 1, B: 1}}\n"
        "stages:\n  a: {call: 'm:f', timeout: 9s, env: {B: 2}}\n  b: {call: 'm:f'}\n"
    )
    a, b = pipeline.stages["a"], pipeline.stages["b"]
    assert (a.timeout_s, a.retry.limit, a.env) == (9.0, 2, {"A": "1", "B": "2"})
    assert (b.timeout_s, b.retry.limit, b.env) == (5.0, 2, {"A": "1", "B": "1"})


def test_defaults_may_be_parameters_and_are_told_once_when_they_are_wrong():
    text = (
        "defaults: {{workers: '${{params.w}}'}}\nparams: {{w: {}}}\nstages: {{a: {{call: 'm:f'}}, b: {{call: 'm:f'}}}}"
    )
    assert spec(text.format(2)).stages["b"].workers == 2
    assert codes(text.format("two")) == ["wrong-type"]
    assert codes("defaults: {workers: '${params.v}'}\nstages: {a: {call: 'm:f'}, b: {call: 'm:f'}}") == ["unknown-name"]


def test_a_profile_is_laid_over_the_file():
    text = (
        "params: {n: 1, m: 1}\nworkers: 2\n"
        "profiles:\n  big: {workers: 8, params: {n: 5}, defaults: {retry: 1}, stages: {a: {window: 3}}}\n"
        "stages: {a: {call: 'm:f', with: {n: '${params.n}', m: '${params.m}'}}}"
    )
    plain, big = spec(text), spec(text, profile="big")
    assert (plain.workers, big.workers) == (2, 8)
    assert big.stages["a"].constants == {"n": 5, "m": 1}
    assert (big.stages["a"].retry.limit, big.stages["a"].window) == (1, 3)
    assert codes(text, profile="bg") == ["unknown-profile"]


def test_a_profile_that_is_not_chosen_is_only_checked_for_its_keys():
    assert spec("profiles: {x: {defaults: {backend: dask}, dask: {scheduler: '${env.NONE}'}}}\n" + ONE)
    assert codes("profiles: {x: {defaults: {backend: dask}, dask: {a: 1}}}\n" + ONE) == ["unknown-key"]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("dask: {scheduler: 'tcp://127.0.0.1:8786'}", None),
        ("dask: {scheduler: 'tcp://localhost:8786'}", None),
        ("dask: {scheduler: 'tls://there:8786', tls: {ca: a.pem, cert: b.pem, key: c.pem}}", None),
        ("dask: {scheduler: 'tcp://there:8786'}", "wrong-type"),
        ("dask: {scheduler: 'tcp://127.0.0.1.evil.example:8786'}", "wrong-type"),
        ("dask: {scheduler: there}", "wrong-type"),
        ("dask: {scheduler: 8786}", "wrong-type"),
        ("dask: {tls: {ca: a.pem, cert: b.pem}}", "wrong-type"),
        ("dask: {tls: {ca: a.pem, cert: b.pem, key: c.pem, password: x}}", "unknown-key"),
        ("dask: {address: 'tcp://127.0.0.1:8786'}", "unknown-key"),
        ("ray: {address: 'head:6379'}", None),
        ("ray: {address: auto}", None),
        ("ray: {address: 'ray://head:10001'}", "wrong-type"),
        ("mpi: {launcher: srun}", None),
        ("mpi: {launcher: [mpiexec, --hostfile, hosts]}", None),
        ("mpi: {launcher: []}", "wrong-type"),
        ("mpi: mpiexec", "wrong-type"),
    ],
)
def test_where_a_cluster_is_is_checked(keys, code):
    for text in (f"{keys}\n" + ONE, f"profiles: {{x: {{{keys}}}}}\n" + ONE):
        assert [problem.code for problem in check(text)] == ([] if code is None else [code])


def test_files_of_a_connection_are_found_from_the_pipelines_folder(tmp_path):
    tls = "dask: {scheduler: 'tls://there:8786', tls: {ca: a.pem, cert: b.pem, key: /etc/c.pem}}\n"
    assert build(tls + ONE, folder=tmp_path).clusters["dask"] == {
        "scheduler": "tls://there:8786",
        "ca": str(tmp_path / "a.pem"),
        "cert": str(tmp_path / "b.pem"),
        "key": "/etc/c.pem",
    }


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        ("1", "5", 5),
        ("1.5", "2", 2.0),
        ("texts", "12", "12"),
        ("texts", "true", "true"),
        ("true", "false", False),
        ("[1]", "[2, 3]", [2, 3]),
        ("{a: 1}", "{b: 2}", {"b": 2}),
        ("null", "7", 7),
        ("''", "", ""),
    ],
)
def test_an_override_has_the_type_of_the_default(default, text, value):
    params = spec(f"params: {{x: {default}}}\n{ONE}", overrides={"x": text}).params
    assert params == {"x": value}
    assert type(params["x"]) is type(value)


@pytest.mark.parametrize(
    ("default", "text"), [("1", "1.5"), ("1", "ten"), ("true", "yes"), ("[1]", "2"), ("1.5", "[1"), ("1", "")]
)
def test_an_override_of_another_type_is_refused(default, text):
    assert codes(f"params: {{x: {default}}}\n{ONE}", overrides={"x": text}) == ["bad-parameter"]


def test_parameters_from_python_have_the_type_of_the_default(tmp_path):
    text = f"params: {{n: 1, f: 1.0, d: here, l: [1]}}\n{ONE}"
    params = spec(text, params={"n": 2, "f": 3, "d": tmp_path, "l": (1, 2)}).params
    assert params == {"n": 2, "f": 3.0, "d": str(tmp_path), "l": [1, 2]}
    assert codes(text, params={"n": "2"}) == ["bad-parameter"]
    assert codes(text, params={"n": True}) == ["bad-parameter"]
    assert codes(text, params={"m": 2}) == ["unknown-parameter"]


def test_an_override_wins_over_a_value():
    assert spec(f"params: {{n: 1}}\n{ONE}", params={"n": 2}, overrides={"n": "3"}).params == {"n": 3}


def test_marks_say_where_each_key_stands():
    a = spec(
        "stages:\n  o: {call: 'm:f'}\n  a:\n    call: m:f\n    needs: [o]\n    over: ${stages.o}\n    with: {n: 1}\n"
    ).stages["a"]
    assert str(a.mark("call")) == "pipeline.yaml:4:11"
    assert str(a.mark("method")) == "pipeline.yaml:3:3"
    assert str(a.mark("with")) == "pipeline.yaml:7:5"
    assert str(a.marks["${stages.o}"]) == "pipeline.yaml:6:11"
    assert str(a.marks["needs.o"]) == "pipeline.yaml:5:13"


def test_keys_without_effect_are_accepted_with_a_warning():
    pipeline = spec("stages: {a: {call: 'm:f', cache: true}}")
    assert pipeline.warnings == ()
    assert spec("stages: {a: {call: 'm:f', cache: false}}").warnings == ()


def test_problems_of_all_parts_come_together_in_the_order_of_the_file():
    text = "nam: x\nparams: {n: 1}\nstages:\n  a: {call: m.f, over: '${stages.b}', workers: x}\n  c: {call: 'm:f', needs: [d], with: {t: '${params.m}'}}\n"
    assert codes(text, overrides={"n": "one"}) == [
        "unknown-key",
        "bad-parameter",
        "bad-function",
        "unknown-stage",
        "wrong-type",
        "unknown-stage",
        "unknown-name",
    ]


def test_check_gives_problems_and_never_raises():
    assert check(ONE) == []
    assert [problem.code for problem in check("stages: {}")] == ["no-stages"]


def test_load_finds_the_folder_of_the_file(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(ONE)
    pipeline = load(file)
    assert pipeline.folder == tmp_path.resolve()
    assert pipeline.file == str(file)


@pytest.mark.parametrize("what", ["missing", "folder", "bytes", "name with nul"])
def test_a_file_that_cannot_be_read_is_a_problem(what, tmp_path):
    path = tmp_path / "p.yaml"
    if what == "folder":
        path.mkdir()
    if what == "bytes":
        path.write_bytes(b"a: \xff")
    with pytest.raises(Problems) as caught:
        load(f"{path}\0" if what == "name with nul" else path)
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value)


def test_parameters_are_read_from_a_file(tmp_path):
    file = tmp_path / "params.json"
    file.write_text('{"n": 1, "l": [1]}')
    assert read_params(file) == {"n": 1, "l": [1]}
    file.write_text("")
    assert read_params(file) == {}
    for bad in ("[1]", "a: [", "a: 1\na: 2"):
        file.write_text(bad)
        with pytest.raises(Problems):
            read_params(file)


def test_a_text_that_two_stages_have_means_the_same_and_stands_where_each_has_it():
    stages = spec(
        "params: {n: 3}\n"
        "stages:\n"
        "  a: {call: 'm:f'}\n"
        "  b: {call: 'm:f', with: ['${stages.a}', '${params.n}']}\n"
        "  c: {call: 'm:f', with: ['${stages.a}', '${params.n}', '${stages.a}']}\n"
    ).stages
    assert stages["c"].constants == [*stages["b"].constants, stages["b"].constants[0]]
    places = [(mark.line, mark.column) for name in "bc" for mark in [stages[name].marks["${stages.a}"]]]
    assert places == [(4, 28), (5, 28)]


def test_a_wrong_text_that_two_stages_have_is_told_of_both():
    assert (
        codes("stages:\n  a: {call: 'm:f', with: ['${stages.x}']}\n  b: {call: 'm:f', with: ['${stages.x}']}\n")
        == ["unknown-stage"] * 2
    )
