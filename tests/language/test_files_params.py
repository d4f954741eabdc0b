"""Parameters, profiles, `defaults`, `env`, `x-…`, anchors and merge keys: what users write is what they get."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_runner.errors import Problems
from pipeline_runner.spec.build import build, load
from pipeline_runner.spec.parameters import read_params

pytestmark = pytest.mark.timeout(60)

STAGE = "stages: {a: {call: 'm:f', with: {x: '${params.x}'}}}"


def given_as(default, text):
    """What stage `a` is given when `-p x=text` overrides a default."""
    return build(f"params: {{x: {default}}}\n{STAGE}", overrides={"x": text}).stages["a"].constants["x"]


def problems(text, **how):
    with pytest.raises(Problems) as found:
        build(text, **how)
    return found.value.problems


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        ("1", "3", 3),
        ("1.5", "3", 3.0),
        ("1.5", "1e-3", 0.001),
        ("true", "false", False),
        ("text", "3", "3"),
        ("text", "", ""),
        ("text", "[1, 2]", "[1, 2]"),
        ("[1]", "[1, 2]", [1, 2]),
        ("[]", "[]", []),
        ("{a: 1}", "{b: [2]}", {"b": [2]}),
        ("null", "3", 3),
        ("null", "[a]", ["a"]),
        ("null", "yes", "yes"),
        ("null", "null", None),
        ("null", "", None),
    ],
)
def test_a_p_text_is_read_by_the_type_of_the_default(default, text, value):
    got = given_as(default, text)
    assert (type(got), got) == (type(value), value)


@pytest.mark.parametrize(
    ("default", "text", "wants"),
    [
        ("1", "1.5", "a whole number"),
        ("1", "true", "a whole number"),
        ("true", "yes", "true or false"),
        ("[1]", "1", "a list"),
        ("{a: 1}", "[1]", "a mapping"),
        ("1", "", "a whole number"),
    ],
)
def test_a_value_of_another_type_is_told(default, text, wants):
    (problem,) = problems(f"params: {{x: {default}}}\n{STAGE}", overrides={"x": text})
    assert (problem.code, problem.wants) == ("bad-parameter", wants)


MODEL = """
params: {model: {rate: 0.1, layers: {n: 2}, name: net}, free: {}, "dotted.name": 1}
stages:
  a: {call: "m:f", with: {all: "${params}", rate: "${params.model.rate}"}}
"""


def test_p_with_dots_sets_one_key_within_a_parameter():
    spec = build(MODEL, overrides={"model.rate": "1", "model.layers.n": "3", "model.name": "5"})
    model = {"rate": 1.0, "layers": {"n": 3}, "name": "5"}
    assert spec.params["model"] == model
    assert spec.stages["a"].constants == {"all": {"model": model, "free": {}, "dotted.name": 1}, "rate": 1.0}
    assert build(MODEL).params["model"]["rate"] == 0.1


def test_what_was_set_within_a_parameter_is_kept_with_the_run():
    assert build(MODEL, overrides={"model.rate": "1"}).given == {
        "model": {"rate": 1.0, "layers": {"n": 2}, "name": "net"}
    }


def test_a_name_with_a_dot_is_itself_before_it_is_a_path():
    assert build(MODEL, overrides={"dotted.name": "2"}).params["dotted.name"] == 2


def test_an_empty_mapping_takes_any_key():
    assert build(MODEL, overrides={"free.anything": "[1]"}).params["free"] == {"anything": [1]}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.rat", 'there is no parameter "model.rat"; did you mean "model.rate"?'),
        ("model.rate.x", 'there is no parameter "model.rate.x"'),
        ("modl.rate", 'there is no parameter "modl.rate"'),
        ("modell", 'there is no parameter "modell"; did you mean "model"?'),
    ],
)
def test_a_name_that_there_is_not_is_told_with_the_nearest(name, said):
    (problem,) = problems(MODEL, overrides={name: "1"})
    assert problem.sentence().startswith(said)


def test_a_file_of_parameters_may_be_yaml_or_json_and_p_wins(tmp_path):
    for name, text in {"p.yaml": "x: 2\ny: [1]", "p.json": json.dumps({"x": 2, "y": [1]})}.items():
        (tmp_path / name).write_text(text)
        spec = build(
            "params: {x: 1, y: []}\nstages: {a: {call: 'm:f'}}",
            params=read_params(tmp_path / name),
            overrides={"x": "3"},
        )
        assert spec.params == {"x": 3, "y": [1]}


def test_env_may_speak_of_params_and_stages_of_both():
    spec = build(
        "params: {p: 3}\nenv: {A: 'n${params.p}'}\nstages: {a: {call: 'm:f', env: {B: '${env.A}!'}, with: {x: '${env.A} ${env.B}'}}}"
    )
    assert spec.env == {"A": "n3"}
    assert spec.stages["a"].env == {"B": "n3!"}
    assert spec.stages["a"].constants == {"x": "n3 n3!"}


PROFILE = """
params: {p: 1, q: 1}
env: {A: "1"}
limits: {api: 1}
workers: 1
defaults: {retry: 1}
profiles:
  big:
    description: big
    params: {p: 2}
    env: {B: "2"}
    limits: {api: 5}
    workers: 8
    defaults: {timeout: 5}
    secrets: [TOKEN]
    stages:
      a: {priority: 3}
      new: {call: "m:g"}
      shell: {run: "echo"}
stages:
  a: {call: "m:f", retry: 2}
  shell: {call: "m:f"}
"""


def test_a_profile_may_change_every_key_and_add_stages():
    spec = build(PROFILE, profile="big")
    assert spec.params == {"p": 2, "q": 1}
    assert spec.env == {"A": "1", "B": "2"}
    assert (spec.limits, spec.workers, spec.description) == ({"api": 5}, 8, "big")
    assert [secret.name for secret in spec.secrets] == ["TOKEN"]
    assert list(spec.stages) == ["a", "shell", "new"]
    a, new = spec.stages["a"], spec.stages["new"]
    assert (a.retry.limit, a.timeout_s, a.priority) == (2, 5, 3)
    assert (new.retry.limit, new.timeout_s) == (1, 5)
    assert str(spec.stages["shell"].function) == "echo"


def test_a_parameter_given_by_name_goes_before_the_profile():
    assert build(PROFILE, profile="big", overrides={"p": "9"}).params["p"] == 9


def test_an_unknown_profile_is_told_with_the_nearest():
    (problem,) = problems(PROFILE, profile="bug")
    assert problem.sentence() == 'there is no profile "bug"; did you mean "big"?'


# Defaults, anchors, merge keys, x-….


def test_defaults_lie_under_every_stage_and_env_name_by_name():
    spec = build(
        "defaults: {retry: 3, timeout: 5, env: {A: '1', B: '1'}}\nstages: {a: {call: 'm:f', retry: 0, env: {B: '2'}}, b: {call: 'm:f'}}"
    )
    a, b = spec.stages.values()
    assert (a.retry.limit, a.timeout_s, a.env) == (0, 5, {"A": "1", "B": "2"})
    assert (b.retry.limit, b.timeout_s, b.env) == (3, 5, {"A": "1", "B": "1"})


@pytest.mark.parametrize(
    ("own", "value"),
    [
        ("<<: *base", 1),
        ("<<: *base, retry: 2", 2),
        ("retry: 2, <<: *base", 2),
        ("<<: [*other, *base]", 5),
        ("<<: [*base, *other]", 1),
    ],
)
def test_merge_keys_give_what_the_mapping_does_not_have_itself_and_of_several_the_first_counts(own, value):
    text = (
        f"x-base: &base {{call: 'm:f', retry: 1}}\nx-other: &other {{call: 'm:f', retry: 5}}\nstages: {{a: {{{own}}}}}"
    )
    assert build(text).stages["a"].retry.limit == value


def test_x_keys_may_hold_anything_references_to_nothing_too():
    assert list(build("x-any: [1, {a: '${params.nothing}'}, ~]\nx-: 1\nstages: {a: {call: 'm:f'}}").stages) == ["a"]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Cn", "Zl", "Zp"], exclude_characters="\ufeff"),
    max_size=12,
)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def escaped(value):
    """A value as YAML that means just it: `${` is written `$${`."""
    match value:
        case str():
            return value.replace("${", "$${")
        case dict():
            return {key: escaped(inner) for key, inner in value.items()}
        case list():
            return [escaped(inner) for inner in value]
    return value


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_what_is_written_reads_back_the_same_directly_by_anchor_by_parameter_and_by_default(value):
    told = json.dumps(escaped(value), ensure_ascii=False)
    text = f"""
x-kept: &kept {told}
params: {{p: {told}}}
defaults: {{with: {{d: {told}}}}}
stages:
  a: {{call: "m:f", with: {{written: {told}, anchor: *kept, params: "${{params.p}}", item: [*kept]}}}}
  b: {{call: "m:f"}}
"""
    spec = build(text)
    assert spec.stages["a"].constants == {"written": value, "anchor": value, "params": value, "item": [value]}
    assert spec.stages["b"].constants == {"d": value}
    assert spec.params == {"p": value}


@settings(max_examples=60, deadline=None)
@given(value=VALUES, own=st.booleans())
def test_what_an_included_file_says_is_what_the_same_lines_here_would_say(tmp_path_factory, value, own):
    folder = tmp_path_factory.mktemp("files")
    told = f"params: {{p: {json.dumps(escaped(value), ensure_ascii=False)}}}\n"
    stages = "stages: {a: {call: 'm:f', with: {x: '${params.p}'}}}\n"
    (folder / "common.yaml").write_text(told + ("" if own else stages))
    (folder / "main.yaml").write_text("include: common.yaml\n" + (stages if own else ""))
    (folder / "whole.yaml").write_text(told + stages)
    one, other = load(folder / "main.yaml"), load(folder / "whole.yaml")
    assert (one.params, one.stages) == (other.params, other.stages)
