"""`secrets`: used by stages, and shown and kept nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_runner import Pipeline
from pipeline_runner.errors import Problems
from pipeline_runner.masks import MASK, Mask
from pipeline_runner.spec.build import load

pytestmark = pytest.mark.timeout(120)

ROOT = str(Path(__file__).parents[2])
SECRET = "s3cr3t-'with\\quotes\"-0123456789"
FORMS = [SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1]]

DEEDS = """
import os, sys, time, warnings, logging

def read(): return os.environ.get("TOKEN")
def length(token): return len(token)
def say(item, token):
    print("the token is", token)
    print(repr(token), file=sys.stderr)
    sys.stdout.write("in two: " + token[:7]); sys.stdout.flush()
    sys.stdout.write(token[7:] + " and on\\n")
    os.write(1, ("raw " + token[:5]).encode()); os.write(1, (token[5:] + "\\n").encode())
    os.system('echo "child $TOKEN"')
    logging.getLogger().warning("logged %s", token)
    return item
def long(token):
    sys.stdout.write("x" * (1 << 20) + token + "y" * (1 << 20) + token + "\\n")
    for part in range(300): print("z" * (8192 - 20) + token + str(part))
def boom(item, token): raise ValueError(f"refused: {token} for {item}")
def boom_long(token): raise ValueError("x" * (10_000 - len(token) // 2) + token)
def boom_nested(token):
    try:
        boom(1, token)
    except ValueError as error:
        raise KeyError(token) from error
def give(token): return {"token": token, "list": [token]}
def spell(): return 1
def flaky(item, token, folder):
    path = os.path.join(folder, f"tried-{item}")
    if not os.path.exists(path):
        open(path, "w").close()
        raise RuntimeError(token)
    return item
def ps():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file: found.append(file.read().decode(errors="replace"))
        except OSError: pass
    return any(os.environ["TOKEN"] in line for line in found)
def die(item, token):
    print(token, end="", flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "deeds.py").write_text(DEEDS)

    def write(text):
        (folder / "pipeline.yaml").write_text(textwrap.dedent(text))
        return folder / "pipeline.yaml"

    return write


@pytest.fixture
def prun(project, tmp_path):
    """Run commands beside the pipeline, and look for the secret in all that they say."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)

    def prun(*words, token=SECRET, code=None):
        folder = tmp_path / "project"
        environ = {**os.environ, "PYTHONPATH": ROOT, "XDG_CONFIG_HOME": str(home)}
        environ.pop("TOKEN", None)
        if token is not None:
            environ["TOKEN"] = token
        done = subprocess.run(
            [sys.executable, "-m", "pipeline_runner", *words],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert code is None or done.returncode == code, done.stderr
        assert not told(done.stdout + done.stderr)
        return done

    return prun


def told(text):
    """The forms of the secret that are in a text."""
    return [form for form in FORMS if form in text]


def kept(folder):
    """The files below a folder that have the secret in them, or in their names."""
    found = []
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        found += [(str(path), form) for form in FORMS if form.encode() in data or form in path.name]
    return found


HEAD = "secrets: [TOKEN]\n"
TOKEN = "with: {token: '${env.TOKEN}'}"
EVERYWHERE = {
    "printed": f"call: deeds:say, over: [1, 2], {TOKEN}",
    "flood": f"call: deeds:long, {TOKEN}",
    "raised": f"call: deeds:boom, over: [1, 2], {TOKEN}",
    "raised_in_a_long_message": "call: deeds:boom_long, with: ['${env.TOKEN}']",
    "raised_in_another": "call: deeds:boom_nested, with: ['${env.TOKEN}']",
    "an_item": "call: deeds:boom, over: ['a ${env.TOKEN} b'], with: {token: x}",
    "a_long_item": "call: deeds:boom, over: ['aaaaaaaaaaaaaaaaaaaaaaaaaaaa ${env.TOKEN} bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb'], with: {token: x}",
    "an_item_in_a_mapping": "call: deeds:boom, over: [{k: ['${env.TOKEN}']}], with: {token: x}",
    "in_a_thread": f"call: deeds:boom, over: [1], {TOKEN}, backend: threads",
    "tried_again": "call: deeds:flaky, over: [1], with: {token: '${env.TOKEN}', folder: '${run.dir}'}, retry: 1",
    "a_value": f"call: deeds:give, {TOKEN}",
    "last_words": f"call: deeds:die, over: [1], {TOKEN}",
    "other_keys": "call: deeds:spell, needs: a_value, salt: '${env.TOKEN}', deps: ['${env.TOKEN}'], "
    "env: {OTHER: '${env.TOKEN}'}",
}


def test_a_secret_is_in_no_output_and_in_no_file(project, prun):
    """What `prun` looks through is all that each command says."""
    stages = "\n".join(f"  {name}: {{{stage}}}" for name, stage in EVERYWHERE.items())
    path = project(f"{HEAD}defaults: {{on_error: finish}}\nstages:\n{stages}")
    assert "***" in prun("pipeline.yaml", "-v", "--json", "--show", "all", code=1).stdout
    state = path.parent / ".prun"
    assert len(list(state.rglob("*"))) > 3
    assert kept(state) == []
    commands = [
        ["show", "last"],
        ["logs", "last"],
        ["plan", "pipeline.yaml"],
        ["replay", "last", "an_item[0]"],
        ["replay", "last", "a_value"],
    ]
    for command in commands:
        assert prun(*command).stdout or command[0] == "replay"
    assert "***" in prun("show", "last", "--json").stdout


def test_captured_lines_are_there_with_the_mask_in_the_secrets_place(project, prun):
    project(f"{HEAD}stages: {{one: {{{EVERYWHERE['printed']}}}}}")
    prun("pipeline.yaml", code=0)
    lines = prun("logs", "last", "one[0]", code=0).stdout
    for said in ("the token is ***", "in two: *** and on", "raw ***", "child ***", "logged ***"):
        assert said in lines


def test_a_failure_says_what_happened_with_the_mask(project, prun):
    project(f"{HEAD}stages: {{one: {{{EVERYWHERE['raised']}}}}}")
    done = prun("pipeline.yaml", "--json", code=1)
    assert json.loads(done.stdout)["failures"][0]["message"].startswith("refused: *** for ")
    assert "ValueError: refused: *** for " in done.stderr


def test_a_stage_is_given_the_secret_itself(project, prun):
    project(f"{HEAD}stages: {{one: {{call: 'deeds:length', with: {{token: '${{env.TOKEN}}'}}}}}}")
    assert f"one: {len(SECRET)}" in prun("pipeline.yaml", code=0).stdout


def test_workers_find_it_in_their_environment(project, monkeypatch):
    path = project("stages: {one: {call: 'builtins:abs', over: [1], method: multiprocessing.Pool.map}}")
    Pipeline.load(path).run(state=False)  # its fork server has never heard of a token
    monkeypatch.setenv("TOKEN", SECRET)
    path = project(f"{HEAD}stages: {{one: {{call: 'deeds:read', method: multiprocessing.Pool.apply}}}}")
    assert Pipeline.load(path).run(state=False)["one"] == SECRET


def test_no_process_has_it_in_its_command_line(project, prun):
    project(
        f"{HEAD}env: {{OTHER: '${{env.TOKEN}}'}}\nstages: {{one: {{call: 'deeds:ps', method: multiprocessing.Pool.apply}}}}"
    )
    assert "one: false" in prun("pipeline.yaml", code=0).stdout


@pytest.mark.parametrize(
    "method", ["pathos.ParallelPool.map", "multiprocessing.Process", "concurrent.futures.ProcessPoolExecutor.map"]
)
def test_no_process_of_any_library_has_it_in_its_command_line(project, prun, method):
    project(
        f"{HEAD}stages: {{one: {{call: 'deeds:say', over: [1], method: {method}, with: {{token: '${{env.TOKEN}}'}}}}, two: {{call: 'deeds:ps', needs: one}}}}"
    )
    assert "two: false" in prun("pipeline.yaml").stdout


def test_a_value_with_a_secret_in_it_is_not_kept_and_is_made_again_by_who_resumes(project, prun):
    project(f"{HEAD}stages: {{one: {{{EVERYWHERE['a_value']}}}}}")
    told = json.loads(prun("pipeline.yaml", "--json", code=0).stdout)
    assert told["stages"]["one"]["value"] == {"token": MASK, "list": [MASK]}
    again = json.loads(prun("pipeline.yaml", "--json", "--resume", code=0).stdout)
    assert again["stages"]["one"]["status"] == "done"


def test_a_secret_in_the_name_of_a_file_that_calls_read_is_not_kept_and_its_changes_are_seen(project, prun, tmp_path):
    project(f"{HEAD}stages: {{one: {{call: 'deeds:one', deps: ['${{env.TOKEN}}.txt']}}}}")
    (tmp_path / "project" / "deeds.py").write_text("def one(): return 1\n")
    read = tmp_path / "project" / f"{SECRET}.txt"
    read.write_text("one")
    prun("pipeline.yaml", code=0)
    assert kept(tmp_path / "project" / ".prun") == []
    same = prun("pipeline.yaml", "--resume", code=0)
    assert "has changed" not in same.stderr
    read.write_text("two")
    other = prun("pipeline.yaml", "--resume", code=0)
    assert f"file {MASK}.txt has changed; of its 1 finished call none is kept" in other.stderr


def test_another_secret_makes_another_recipe_and_the_same_one_the_same(project, monkeypatch):
    from pipeline_runner.plan.make import make_plan
    from pipeline_runner.record.keys import recipes

    path = project(f"{HEAD}stages: {{one: {{call: 'deeds:length', with: {{token: 'a ${{env.TOKEN}}'}}}}}}")
    keys = []
    for token in (SECRET, SECRET, "another-secret"):
        monkeypatch.setenv("TOKEN", token)
        keys.append(recipes(make_plan(load(path)))["one"].key)
    assert keys[0] == keys[1] != keys[2]


def test_a_recipe_cannot_be_made_from_a_guess_of_the_secret_alone(project, monkeypatch, tmp_path):
    """With another user's key the same secret gives another recipe."""
    from pipeline_runner.plan.make import make_plan
    from pipeline_runner.record.keys import recipes

    path = project(f"{HEAD}stages: {{one: {{call: 'deeds:length', with: {{token: '${{env.TOKEN}}'}}}}}}")
    monkeypatch.setenv("TOKEN", SECRET)
    keys = []
    for user in ("a", "b"):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / user))
        keys.append(recipes(make_plan(load(path)))["one"].key)
    assert keys[0] != keys[1]


def test_a_recipe_does_not_change_with_variables_that_a_calculation_does_not_read(project, monkeypatch):
    from pipeline_runner.plan.make import make_plan
    from pipeline_runner.record.keys import recipes

    path = project("stages: {one: {call: 'deeds:boom', over: [1], with: {token: '${item ~ env.USED}'}}}")
    monkeypatch.setenv("USED", "x")
    before = recipes(make_plan(load(path)))["one"].key
    monkeypatch.setenv("UNUSED_BY_ALL", "y")
    assert recipes(make_plan(load(path)))["one"].key == before
    monkeypatch.setenv("USED", "z")
    assert recipes(make_plan(load(path)))["one"].key != before


def test_a_secret_that_is_missing_is_asked_for_by_name_when_it_is_to_run(project, prun):
    project(f"{HEAD}stages: {{one: {{call: 'deeds:length', with: {{token: '${{env.TOKEN}}'}}}}}}")
    done = prun("pipeline.yaml", token=None, code=2)
    assert 'pipeline.yaml:1:11: the secret "TOKEN" is not in the environment; it is read by one' in done.stderr
    assert "set the variable TOKEN before the run" in done.stderr
    prun("validate", "pipeline.yaml", token=None, code=0)
    prun("plan", "pipeline.yaml", token=None, code=0)


def test_a_secret_is_not_asked_for_by_stages_that_do_not_run(project, prun):
    project(
        f"{HEAD}stages: {{one: {{call: 'deeds:length', with: {{token: '${{env.TOKEN}}'}}}}, two: {{call: 'deeds:spell'}}}}"
    )
    prun("pipeline.yaml", "two", token=None, code=0)
    prun("pipeline.yaml", "one", token=None, code=2)


def test_a_secret_that_no_stage_names_is_for_all_of_them(project, prun):
    project(f"{HEAD}stages: {{one: {{call: 'deeds:read'}}, two: {{call: 'deeds:spell'}}}}")
    prun("pipeline.yaml", "two", token=None, code=2)


@pytest.mark.parametrize("token", ["", "abc"])
def test_a_secret_too_short_to_be_hidden_is_refused(project, prun, token):
    project(f"{HEAD}stages: {{one: {{call: 'deeds:read'}}}}")
    assert 'the secret "TOKEN"' in prun("pipeline.yaml", token=token, code=2).stderr


def test_a_secret_given_as_a_parameter_is_refused(project, monkeypatch):
    monkeypatch.setenv("TOKEN", SECRET)
    path = project(
        f"{HEAD}params: {{p: ''}}\nstages: {{one: {{call: 'deeds:length', with: {{token: '${{params.p}}'}}}}}}"
    )
    with pytest.raises(Problems, match='the parameter "p" was given the value of a secret'):
        Pipeline.load(path, params={"p": f"x{SECRET}"}).run(state=False)


def test_a_problem_shows_no_secret(project, prun):
    project(f"{HEAD}stages: {{one: {{call: 'deeds:read', timeout: '${{env.TOKEN}}'}}}}")
    done = prun("validate", "pipeline.yaml", code=2)
    assert '"timeout" cannot be "***"' in done.stdout


def test_secrets_of_a_file_within_are_hidden_too_and_asked_for_when_it_runs(project, prun, tmp_path):
    (tmp_path / "project" / "in.yaml").write_text(f"{HEAD}stages: {{a: {{{EVERYWHERE['printed']}}}}}")
    project("stages: {in: {pipeline: in.yaml}, two: {call: 'deeds:spell'}}")
    prun("pipeline.yaml", code=0)
    assert "the token is ***" in prun("logs", "last").stdout
    assert kept(tmp_path / "project" / ".prun") == []
    prun("pipeline.yaml", "two", token=None, code=0)
    prun("pipeline.yaml", token=None, code=2)


# The mask itself.


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a hidden-value b", "a *** b"),
        ("hidden-valuehidden-value", "******"),
        ("cut: hidden-va", "cut: ***"),
        ("cut: hidden-va… and on", "cut: ***… and on"),
        ("hidd", "***"),
        ("hid", "hid"),
        ("", ""),
    ],
)
def test_a_secret_in_text_becomes_three_stars(text, masked):
    assert Mask(["hidden-value"]).text(text) == masked


def test_each_line_of_a_secret_with_several_lines_is_hidden():
    mask = Mask(["-----BEGIN-----\nabcdefgh\nijklmnop\n-----END-----\n"])
    assert mask.text("got abcdefgh and") == "got *** and"
    assert mask.text("-----BEGIN-----\nabcdefgh\nijklmnop\n-----END-----") == "***"


def test_of_two_secrets_the_longer_is_hidden_whole():
    assert Mask(["abcd", "abcdefgh"]).text("abcdefgh") == "***"


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4, max_size=30).filter(
        lambda s: len(s.strip()) >= 4
    ),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_form_of_a_secret_is_left_in_any_text(secret, before, after):
    mask = Mask([secret])
    for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]):
        assert form not in mask.text(before + form + after)
        assert mask.whole({"k": [form, (form,)]}) == {"k": [MASK, (MASK,)]}


def test_a_run_without_secrets_pays_nothing():
    assert not Mask([])
    assert Mask([]).text("x") == "x"


# Commands.


def test_a_secret_in_a_shells_text_is_in_no_command_line_and_is_hidden(project, prun, tmp_path):
    project(
        f"""\
{HEAD}stages:
  say: {{run: 'echo "got ${{env.TOKEN}}" >&2; printf %s ${{env.TOKEN}} | wc -c', over: [1]}}
  value: {{run: 'printf %s ${{env.TOKEN}}'}}
  fails: {{run: 'echo ${{env.TOKEN}} >&2; exit 3', over: [1], on_error: skip}}
  itself: {{run: 'true ${{env.TOKEN}}; cat /proc/$$/cmdline'}}
"""
    )
    done = prun("pipeline.yaml", "--json", "--show", "all")
    stages = json.loads(done.stdout)["stages"]
    assert stages["say"]["value"] == [str(len(SECRET))]
    assert stages["value"]["value"] == MASK
    assert "/bin/sh" in stages["itself"]["value"]
    assert MASK not in stages["itself"]["value"]
    assert "say[0] stderr: got ***" in prun("logs", "last").stdout
    prun("replay", "last", "value")
    assert kept(tmp_path / "project" / ".prun") == []


def test_the_note_of_a_replayed_command_hides_a_secret_that_a_shell_would_quote(project, prun, monkeypatch):
    monkeypatch.setenv("TOKEN", "it's a secret")
    project(f"{HEAD}stages: {{one: {{run: ': ${{env.TOKEN}}; exit 3'}}}}")
    prun("pipeline.yaml", code=1)
    told = prun("replay", "last", "one", code=1).stderr
    assert "note: one[0] runs: prun_1='***'\n" in told
    assert "secret" not in told


@pytest.mark.parametrize("command", ["[echo, '${env.TOKEN}']", "'echo ${env.TOKEN | raw}'"])
def test_a_secret_among_the_words_of_a_command_is_refused(project, prun, command):
    project(f"{HEAD}stages: {{one: {{run: {command}}}}}")
    assert "has a secret among its words" in prun("pipeline.yaml", code=2).stderr
