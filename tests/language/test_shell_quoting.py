"""Values in a command's text: whatever they are, they arrive byte for byte, and nothing of them runs."""

from __future__ import annotations

import json
import os
import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline_runner import Pipeline, Stage, check
from pipeline_runner.worker import shell
from pipeline_runner.worker.job import COMMAND
from pipeline_runner.worker.shell import CannotRun, Invocation, Refused

SHELLS = ("/bin/sh", "/bin/bash")
TOGETHER = 100  # values that one shell is given

HOSTILE = [
    "", " ", "  two  spaces ", "\t", "\n", "\n\n", "line\nbreak", "ends in newlines\n\n", "\r\n", "-n", "--help", "-e", "*", "?", "[a-z]*", "~", "~root",
    "'", "''", '"', '""', "it's", "'; touch pwned; '", '"; touch pwned; "', "$(touch pwned)", "`touch pwned`", "; touch pwned", "& touch pwned &",
    "| touch pwned", "&& touch pwned", "|| touch pwned", "\ntouch pwned\n", "> pwned", ">pwned", "< /etc/passwd", "$HOME", "${HOME}", "$((1+1))", "$1", "$@", "$$", "$",
    "\\", "\\\\", "\\n", "\\'", '\\"', "a\\", "!", "!!", "#", "# not a comment", "a#b", "EOF", "EOF\n", "\nEOF\ntouch pwned\n", "END", "{a,b}", "a=b", "PATH=x", "(touch pwned)",
    "%s", "%d%n", "\x01", "\x7f", "\x1b[31m", "\x81\x82\x83", "é", "ā", "日本語", "🙂", "\u202e", "\udcff\udcfe", "caf\udce9.txt", "a\u0301", "‘’“”", "a[$(touch pwned)]",
    "() { :; }; touch pwned", "prun_1", "$prun_1", "PRUN_1", "x" * 1000, "'" * 50, '"' * 51, "`" * 3, "$(" * 5, "\\" * 7,
]  # fmt: skip


def hostile(seed: int, count: int) -> list[str]:
    """As many values: each of the list, then pieces of them put together at random."""
    draw = random.Random(seed)
    return [*HOSTILE, *("".join(draw.choices(HOSTILE, k=draw.randint(1, 4))) for _ in range(count - len(HOSTILE)))]


def line(run):
    """The command of a stage, as the engine has it."""
    spec = Pipeline("p", [Stage("s", run=run, over=["x"])]).spec
    return spec.stages["s"].constants[COMMAND]


def given_to(command, item, program="/bin/sh"):
    """What a command writes that is given the item."""
    made = command.filled({"item": item, "index": 0})
    assert isinstance(made, Invocation), made
    if made.argv[0] == b"/bin/sh":
        made = made._replace(argv=(program.encode(), *made.argv[1:]))
    return os.fsencode(shell.run(made, "text"))


def holes(form="{}", count=TOGETHER, between=" "):
    return between.join(form.format(f"${{item[{number}]}}") for number in range(count))


BARE, DOUBLE, SINGLE, GLUED, IN_ALL = "{}", '"{}"', "'{}'", "a{}b", """a"b{}c"'d'"""
SEPARATOR = "<separator-of-the-test>"
PRINT = "printf '%s\\0'"
SEPARATED = f"| sed 's/{SEPARATOR}/\\x00/g'"
PRINT_SEPARATED = f"printf '%s{SEPARATOR}'"


def each(form):
    """A line for each value."""
    return "\n".join(form.replace("VALUE", f"${{item[{number}]}}") for number in range(TOGETHER))


POSITIONS = {
    "bare": (f"{PRINT} {holes(BARE)}", "{}"),
    "in double quotes": (f"{PRINT} {holes(DOUBLE)}", "{}"),
    "in single quotes": (f"{PRINT} {holes(SINGLE)}", "{}"),
    "glued to text": (f"{PRINT} {holes(GLUED)}", "a{}b"),
    "glued to quotes": (f"{PRINT} {holes(IN_ALL)}", "ab{}cd"),
    "assigned": (each(f'v=VALUE; {PRINT} "$v"'), "{}"),
    "in a function": (f'show() {{ for v in {holes()}; do {PRINT} "$v"; done; }}; show a b c', "{}"),
    "after set --": (f"set -- x y; shift; {PRINT} {holes()}", "{}"),
    "in a loop": (f'for v in {holes()}; do {PRINT} "$v"; done', "{}"),
    "in a substitution": (f'printf %s "$({PRINT_SEPARATED} {holes()})" {SEPARATED}', "{}"),
    "in quotes in a substitution": (f'printf %s "$({PRINT_SEPARATED} {holes(DOUBLE)})" {SEPARATED}', "{}"),
    "in backticks": (f'printf %s "`{PRINT_SEPARATED} {holes()}`" {SEPARATED}', "{}"),
    "in a here-document": (f"cat <<EOF {SEPARATED}\n{holes(BARE + SEPARATOR, between='')}\nEOF\n{PRINT} end", "{}"),
    "beside comments": (f"{PRINT} {holes()} # {holes()}\n# it's {holes()}\nprintf ''", "{}"),
    "in a case": (each(f'case VALUE in "VALUE") {PRINT} VALUE;; *) exit 9;; esac'), "{}"),
    "in a subshell": (f"(cd . && {PRINT} {holes()})", "{}"),
}


@pytest.mark.timeout(100)
@pytest.mark.parametrize("program", SHELLS)
@pytest.mark.parametrize("position", POSITIONS)
def test_ten_thousand_hostile_values_arrive_byte_for_byte_and_none_runs(position, program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, form = POSITIONS[position]
    command = line(text)
    values = hostile(seed=len(position), count=10_000)
    for start in range(0, len(values), TOGETHER):
        some = values[start : start + TOGETHER]
        some += [""] * (TOGETHER - len(some))
        arrived = given_to(command, some, program).split(b"\0")
        assert arrived[: len(some)] == [os.fsencode(form.replace("{}", value)) for value in some]
    assert os.listdir(tmp_path) == []


@pytest.mark.timeout(60)
def test_ten_thousand_hostile_values_arrive_at_a_command_that_needs_no_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = hostile(seed=7, count=10_000)
    command = line(["printf", "%s\\0", "${item}"])
    for start in range(0, len(values), 1000):
        some = values[start : start + 1000]
        assert given_to(command, some).split(b"\0")[:-1] == list(map(os.fsencode, some))
    assert os.listdir(tmp_path) == []


WORDS = ["a", "it's", "$(touch pwned)", "two words", "", "*", "\n", "`touch pwned`", "caf\udce9"]
# A text of a shell beside what it stands for, when ${item[n]} stands for WORDS[n].
hole = st.sampled_from(range(len(WORDS))).map(lambda n: (f"${{item[{n}]}}", WORDS[n]))
plain = st.sampled_from([("x", "x"), ("-", "-"), ("é", "é"), (r"\"", '"'), (r"\$", "$"), (r"\\", "\\")])


def put_together(pieces):
    return "".join(text for text, _ in pieces), "".join(meant for _, meant in pieces)


def several(piece):
    return st.lists(piece, min_size=1, max_size=4).map(put_together)


def within(word):
    """What may stand in a word whose parts are words."""
    substitution = word.map(lambda w: (f"$(printf %s {w[0]}.)", w[1] + "."))
    in_case = word.map(lambda w: (f"$(case x in (y) echo no;; x) printf %s {w[0]}.;; esac)", w[1] + "."))
    in_lines = word.map(lambda w: (f"$( # it's a comment\nprintf %s {w[0]}.\n)", w[1] + "."))
    in_subshell = word.map(lambda w: (f"$( (printf %s {w[0]}) && printf .)", w[1] + "."))
    doubly = several(st.one_of(hole, plain, substitution, in_case, in_lines, in_subshell))
    return several(
        st.one_of(
            hole,
            plain,
            doubly.map(lambda w: (f'"{w[0]}"', w[1])),
            several(st.one_of(hole, st.just(("$(x", "$(x")), st.just(('"', '"')))).map(lambda w: (f"'{w[0]}'", w[1])),
        )
    )


nested = st.recursive(several(hole), within, max_leaves=12)


@pytest.mark.timeout(100)
@pytest.mark.parametrize("program", SHELLS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(word=nested)
def test_quotes_within_substitutions_within_quotes_are_read_as_the_shell_reads_them(word, program):
    text, meant = word
    command = line(f"printf '%s|' {text} ${{item[1]}}; : end")
    assert given_to(command, WORDS, program) == os.fsencode(f"{meant}|{WORDS[1]}|")


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ("cat <<'EOF'\n${item}\nEOF", "here-document whose first word is quoted"),
        ('cat <<"EOF"\n${item}\nEOF', "here-document whose first word is quoted"),
        ("cat <<\\EOF\n${item}\nEOF", "here-document whose first word is quoted"),
        ("cat <<${item}\nx\n", "the word that ends a here-document"),
        ("cat <<END'\nDear ${item}\n'\n", "the word that ends a here-document"),
        ("echo $((${item} + 1))", "the shell would calculate with it"),
        ("((${item} > 1)) && echo yes", "the shell would calculate with it"),
        ("[[ ${item} -eq 1 ]]", "[[ … ]]"),
        ("echo $${x:-${item}}", "within a ${…} of the shell itself"),
        ('echo "$${x:-${item}}"', "within a ${…} of the shell itself"),
        ("echo \\${item}", "a backslash stands before it"),
        ('echo "\\${item}"', "a backslash stands before it"),
        ("echo `echo \\`echo ${item}\\``", "within `…`"),
        ("echo $'a${item}'", "$'…'"),
        ("echo 'it${item}", "never closed"),
        ('echo "it${item}', "never closed"),
        ("echo $(echo ${item}", "never closed"),
    ],
)
def test_a_value_is_refused_where_it_cannot_be_made_safe(run, why):
    import json

    (problem,) = check(json.dumps({"stages": {"s": {"run": run, "over": [1]}}}))
    assert problem.code == "unsafe-in-shell"
    assert why in problem.sentence()
    assert problem.advice()


def test_places_where_no_value_can_stand_do_no_harm_to_those_after_them():
    text = "cat <<'A' <<B\n'\nA\n${item[1]}\nB\necho $((1 + (2))) `echo \\`echo x\\`` ${item[1]} # it's\nprintf %s '${item[1]}'"
    assert given_to(line(text), WORDS).endswith(b"it's\n3 x it's\nit's")


# Texts that are hard to read, beside what they write: each VALUE is given a value with all that is dangerous in it.
VALUE = 'it\'s "$(touch pwned)" `touch pwned` \\ EOF\nEOF\n*'
HARD = [
    ("cat <<-EOF\n\tVALUE|\n\tEOF\nprintf %s VALUE", VALUE + "|\n" + VALUE),
    ("cat << EOF; printf %s VALUE\nVALUE|\nEOF\n", VALUE + "|\n" + VALUE),
    ("cat <<A; cat <<B\n'VALUE\nA\n\"VALUE|\nB\n", f"'{VALUE}\n\"{VALUE}|"),
    ("cat <<'E O F'\n'\nE O F\nprintf %s VALUE", "'\n" + VALUE),
    ('printf %s "$(cat <<EOF\nVALUE|\nEOF\n)" VALUE', VALUE + "|" + VALUE),
    ('cat <<EOF\n$(printf %s VALUE) $(printf %s "VALUE") VALUE|\nEOF\n', f"{VALUE} {VALUE} {VALUE}|"),
    ("cat <<EOF\n`printf %s VALUE` \\$x \\` VALUE|\nEOF\n", f"{VALUE} $x ` {VALUE}|"),
    ("printf %s 'a'\"b\"VALUE\\ c'VALUE'\"VALUE\"VALUE'|'", f"ab{VALUE} c{VALUE}{VALUE}{VALUE}|"),
    ('printf %s "a\\\nb VALUE"', "ab " + VALUE),
    ("printf '%s ' \\\n  VALUE \\\n  # it's no comment of a word VALUE\n  printf %s VALUE", f"{VALUE} {VALUE}"),
    ("printf %s \\#VALUE a\\ b#'c;#VALUE'", f"#{VALUE}a b#c;#{VALUE}"),
    ('if [ VALUE = "VALUE" ]; then printf %s "don\'t"; fi # don\'t VALUE\nprintf %s VALUE;# don\'t', f"don't{VALUE}"),
    ("set -- a b; printf %s $#VALUE $((1<<2))VALUE $((1 + (2 << 1)))VALUE", f"2{VALUE}4{VALUE}5{VALUE}"),
    (
        "x=a}b; printf %s $${x#*'}'}VALUE \"$${x%\"}\"*}\"VALUE $${x:-$(printf ')')}VALUE",
        f"b{VALUE}a{VALUE}a}}b{VALUE}",
    ),
    ("f() { case x in (y) ;; x) printf %s VALUE ;; esac; }; f; (f) && { f; }", VALUE * 3),
    ('printf %s "$(case x in x) case y in y) printf %s VALUE;; esac;; esac) VALUE"', f"{VALUE} {VALUE}"),
    ('printf %s "$(printf \'%s\' "$(printf \'%s\' "`printf %s "VALUE"`"VALUE)" \'VALUE\')"', VALUE * 3),
    ('v=\'VALUE\' w=x"VALUE"; export u=VALUE; printf %s "$v$w$u"', f"{VALUE}x{VALUE}{VALUE}"),
    ("printf %s VALUE > out; cat out; rm out; printf %s VALUE 2>/dev/null >&1", VALUE * 2),
    ("printf %s VALUE | cat - && printf %s VALUE || exit 9 & wait", VALUE * 2),
    ("eval 'printf %s \"$1\"' && set -- VALUE && eval 'printf %s \"$1\"'", VALUE),
    ("sh -c 'printf %s \"$1\"' sh VALUE", VALUE),
    ('while read -r x; do printf %s "$x"VALUE; done <<EOF\na\nb\nEOF\n', f"a{VALUE}b{VALUE}"),
]


@pytest.mark.parametrize("program", SHELLS)
@pytest.mark.parametrize(("text", "written"), HARD)
def test_a_text_that_is_hard_to_read_is_read_as_the_shell_reads_it(text, written, program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrived = given_to(line(text.replace("VALUE", "${item}")), VALUE, program)
    assert arrived == written.rstrip("\n").encode()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("run", "item", "written"),
    [
        ("printf '[%s]' ${item}", ["a b", "c"], "[a b][c]"),
        ("printf '[%s]' x ${item}", [], "[x]"),
        ("printf '[%s]' pre-${item}-post", ["a b", "c"], "[pre-a b][c-post]"),
        ("printf '[%s]' \"${item}\"", ["a b", "c"], "[a b c]"),
        ("printf '[%s]' '${item}'", ["a b", "c"], "[a b c]"),
        ("v=${item}; printf '[%s]' \"$v\"", ["x", "touch pwned"], "[x touch pwned]"),
        (["printf", "[%s]", "${item}"], ["a b", "c"], "[a b][c]"),
        (["printf", "[%s]", "x=${item}"], ["a b", "c"], "[x=a b c]"),
        (["printf", "[%s]", "x", "${item}"], [], "[x]"),
        ("printf '[%s]' ${item.name} ${item['a key']}", {"name": "it's", "a key": 3}, "[it's][3]"),
        ("printf '[%s]' ${item[0]} ${item[1] | stem}", ["x", "a/b c.png"], "[x][b c]"),
        ("printf '[%s]' ${item | raw}", "a 'b c'", "[a][b c]"),
        ("printf '[%s]' ${item | raw}", ["a", "b c"], "[a][b][c]"),
        ("printf '[%s]' ${item | raw} '${item}'", '"it\'s"', "[it's][\"it's\"]"),
        (["printf", "[%s]", "${item | raw}"], "a 'b c'", "[a 'b c']"),
        ("printf '[%s]' ${item} ${index} ${index + 1}", True, "[true][0][1]"),
        ("printf '[%s]' ${item}", None, "[null]"),
        ("printf '[%s]' ${item}", b"\xff'", "[\udcff']"),
        ("printf '[%s]' $${#HOME}; printf '%s' '$${x}'", "x", None),
    ],
)
def test_what_a_value_becomes_in_a_command(run, item, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = line(run)
    wanted = f"[{len(os.environ['HOME'])}]${{x}}" if written is None else written
    assert given_to(command, item) == os.fsencode(wanted)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("a\0b", "NUL"),
        ({"a": 1}, "a mapping cannot be a word of a command"),
        ([["a"]], "a list within a list"),
        ("\ud800", "cannot be written in"),
    ],
)
@pytest.mark.parametrize("run", ["echo ${item}", ["echo", "${item}"]])
def test_a_value_that_no_command_can_be_given_is_refused_with_a_sentence(run, item, why):
    refused = line(run).filled({"item": item, "index": 0})
    assert isinstance(refused, Refused)
    assert why in refused.why
    with pytest.raises(CannotRun, match=why):
        shell.run(refused, "text")


@pytest.mark.parametrize("run", ["printf %s ${item}", ["/usr/bin/printf", "%s", "${item}"]])
def test_a_value_of_a_hundred_kilobytes_arrives_and_one_that_is_too_long_is_told_plainly(run):
    assert len(given_to(line(run), "x" * 100_000)) == 100_000
    with pytest.raises(CannotRun, match=r"too long for a command line: 500,0\d\d bytes.*Write it to a file"):
        given_to(line(run), "x" * 500_000)


def test_what_a_command_starts_does_not_inherit_its_values():
    inherited = given_to(line("/usr/bin/env; : ${item}"), "a secret value").decode()
    assert "a secret value" not in inherited
    assert {entry.partition("=")[0] for entry in inherited.splitlines()} <= {*os.environ, "PWD", "OLDPWD", "SHLVL", "_"}


@example(text="$(" * 3000 + "${item}")
@example(text="case " * 20_000 + "${item}")
@example(text="cat <<E " * 20_000 + "\n" + "${item} " * 900)
@example(text=" " * 100_000 + "${item}" * 900)
@example(text='"' * 3000 + "${item}")
@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    text=st.text(alphabet="a '\"`$(){}[]<>\\#\n;&|=E-", max_size=60).flatmap(lambda a: st.just(a + "${item}" + a[::-1]))
)
def test_no_text_at_all_breaks_the_reader_of_quotes(text):
    import json

    problems = check(json.dumps({"stages": {"s": {"run": text, "over": [1]}}}))
    assert all(problem.advice() or problem.sentence() for problem in problems)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("run", "sign"),
    [
        ("echo 'unclosed", "'"),
        ("echo it's", "'"),
        ('echo "unclosed ${params.x}', '"'),
        ('echo "unclosed', '"'),
        ("echo $(date", "$("),
        ("echo `date", "`"),
        ("echo $${HOME", "${"),
        ("echo $((1 + 2)", "(("),
    ],
)
def test_a_quote_or_bracket_that_is_never_closed_is_told_before_the_run(run, sign):
    (problem,) = check(json.dumps({"version": 1, "params": {"x": 1}, "stages": {"s": {"run": run}}}))
    if "${params" in run:
        assert "never closed" in problem.why
    else:
        assert problem.sentence() == f"the shell cannot read this command: a  {sign}  in it is never closed"


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "run",
    [
        "echo it\\'s",
        "echo one # don't",
        "cat <<'END'\nit's\nEND",
        "cat <<END\nit's \"so\nEND",
        "case x in x) echo 1;; esac",
        "echo 'open ${params.raw | raw}",
        "echo 'open ${item | raw}",
        ["echo", "it's"],
    ],
)
def test_a_quote_that_opens_nothing_or_may_be_closed_is_no_problem(run):
    text = {"version": 1, "params": {"raw": "'"}, "stages": {"s": {"run": run, "over": ["'"]}}}
    assert check(json.dumps(text)) == []
