"""Pages as a real browser shows them: alive while a run goes on, and never taking what a run said for a part of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(90)

PAYLOADS = (Path(__file__).parent / "payloads.txt").read_text("utf-8").splitlines()

STEPS = {
    "first": {"call": "deeds:say", "over": [1, 2, 3]},
    "held": {"call": "deeds:wait", "with": {"x": 1, "path": "go"}, "needs": ["first"]},
    "bad": {"call": "deeds:fail", "over": ["this"], "on_error": "finish", "needs": ["held"]},
}


ORDER = ["held", "first", "bad"]  # by their names, the last first


def test_the_list_of_runs_shows_a_run_as_soon_as_it_begins(write, serve, begin, look, tmp_path):
    os.mkfifo(tmp_path / "go")
    write(STEPS)
    seen = look(serve().address)
    assert "No run is kept here yet" in seen.text()
    seen.page.evaluate("window.same = true")
    begin("-j", "1")
    with open(tmp_path / "go", "w"):
        seen.page.wait_for_selector("#runs .pill.running")
    seen.page.wait_for_selector("#runs .pill.failed")
    assert seen.page.evaluate("window.same")
    seen.page.click("#runs tbody a")
    seen.page.wait_for_selector(".badge.failed")
    assert seen.heard == []


def test_the_page_of_a_run_goes_on_with_it_and_leaves_what_one_has_done_with_it(write, serve, begin, look, tmp_path):
    os.mkfifo(tmp_path / "go")
    write(STEPS)
    ui = serve()
    begin("-j", "1")
    with open(tmp_path / "go", "w"):
        seen = look(f"{ui.address}runs/last/")
        page = seen.page
        page.wait_for_selector("#now >> xpath=.. >> text=1 of 3 stages have ended")
        assert page.locator("svg .box.done").count() == 1
        assert page.locator("svg .box.not-begun").count() == 1
        page.click("#stages th button:has-text('stage')")
        page.fill("[data-filters=stages]", "held")
        page.click("summary:has-text('Why each')")
        page.evaluate("window.same = document.querySelector('#stages tr[data-stage=bad]')")
        before = page.inner_text(".tiles b >> nth=0")
        page.wait_for_function("before => document.querySelector('.tiles b').innerText !== before", arg=before)
    page.wait_for_selector(".badge.failed")
    page.wait_for_selector("details.failure >> text=cannot this")
    assert page.locator("#now").count() == 0
    assert page.evaluate("window.same === document.querySelector('#stages tr[data-stage=bad]')")
    assert page.locator("#stages tbody tr").evaluate_all("rows => rows.map(r => r.dataset.stage)") == ORDER
    assert page.locator("#stages tbody tr:visible").evaluate_all("rows => rows.map(r => r.dataset.stage)") == ORDER[:1]
    assert page.locator("#stages th[aria-sort=descending] button").count() == 1
    assert page.locator("#stages thead button").count() == 11
    assert page.locator("details[open] >> text=Why each").count() == 1
    assert page.title().startswith("p: failed")
    page.click("#stages a >> text=held")
    page.wait_for_selector("#said >> text=waits 1")
    assert seen.heard == []
    assert all(url.startswith(ui.address) for url in seen.fetched)


def test_output_comes_as_it_is_captured(write, serve, begin, look, tmp_path):
    os.mkfifo(tmp_path / "go")
    write(STEPS)
    ui = serve()
    begin("-j", "1")
    with open(tmp_path / "go", "w"):
        seen = look(f"{ui.address}runs/last/output/")
        seen.page.wait_for_selector("#said tr:has-text('waits 1')")
        assert seen.page.locator("#said tr.stderr").count() == 3
    seen.page.wait_for_selector("#said tr:has-text('before this')")
    seen.page.click("#said a:has-text('first[1]')")
    seen.page.wait_for_selector("h1:has-text('Output of first, call 1')")
    assert seen.page.locator("#said tbody tr").count() == 2


def test_a_page_whose_server_has_ended_says_so(serve, look):
    ui = serve()
    seen = look(ui.address)
    ui.end()
    seen.page.wait_for_selector("#link:has-text('prun ui has ended')")
    assert "No run is kept here yet" in seen.text()


def tampered(journal):
    """Have the stages of its newest run be named as no pipeline may name them: a journal may come from anywhere."""
    with closing(sqlite3.connect(journal)) as connection, connection:
        (run,) = connection.execute("SELECT max(id) FROM run").fetchone()
        for at, text in enumerate(PAYLOADS):
            evil = f"{at} {text}"
            names = (f"S{at}E", json.dumps(evil)[1:-1], run)
            connection.execute("UPDATE run SET body = replace(body, ?, ?) WHERE id = ?", names)
            connection.execute("UPDATE event SET body = replace(body, ?, ?) WHERE run = ?", names)
            connection.execute("UPDATE event SET stage = ? WHERE stage = ? AND run = ?", (evil, f"S{at}E", run))


def shown(text):
    return re.sub(r"\s+", " ", text)


def harmless(seen, *, scripts=1):
    """What was said stays text: nothing of it runs, is fetched, or is an element."""
    assert seen.heard == []
    counts = seen.page.evaluate(
        """() => [document.scripts.length,
            document.querySelectorAll("img, iframe, object, embed, form, video, audio, base, link, math, style ~ style").length,
            document.querySelectorAll("[href^='javascript' i], [style]").length,
            [...document.querySelectorAll("*")].filter(e => [...e.attributes].some(a => a.name.startsWith("on"))).length]"""
    )
    assert counts == [scripts, 0, 0, 0]


def missing(text, prefix=""):
    text = shown(text)
    return [payload for payload in PAYLOADS if shown(prefix + payload) not in text]


def test_there_are_fifty_payloads():
    assert len(set(PAYLOADS)) == 50


def test_what_a_run_of_the_language_says_never_runs(prun, serve, look, write, tmp_path):
    stages = {
        f"s{at}": {"call": "deeds:fail", "over": [text], "on_error": "skip", "description": text, "backend": "threads"}
        for at, text in enumerate(PAYLOADS)
    }
    escaped = [payload.replace("${", "$${") for payload in PAYLOADS]
    write(stages, name=" ".join(escaped), description=" ".join(escaped), params={"p": ""})
    ran = prun("pipeline.yaml", "-q", "-p", f"p={json.dumps(PAYLOADS)}", "--report", "page.html")
    assert ran.returncode == 3, ran.stderr
    assert prun("report", "last", "-o", "later.html").returncode == 0
    assert prun("graph", "pipeline.yaml", "--format", "html", "-o", "graph.html").returncode == 0
    for file in ("page.html", "later.html", "graph.html"):
        seen = look((tmp_path / file).as_uri())
        harmless(seen)
        assert missing(seen.page.inner_text("h1")) == []
        assert missing(seen.text(), "" if file == "graph.html" else "cannot ") == []
    ui = serve()
    for path in ("", "runs/last/", "runs/last/output/"):
        seen = look(ui.address + path)
        harmless(seen)
        assert missing(seen.text()) == []


def test_what_comes_while_one_looks_never_runs(prun, serve, look, write, tmp_path):
    write({"first": {"call": "deeds:say", "over": [1]}})
    prun("pipeline.yaml", "-q")
    ui = serve()
    opened = [look(f"{ui.address}{path}") for path in ("", "runs/last/", "runs/last/output/")]
    names = [payload.replace("${", "$${") for payload in PAYLOADS]
    calls = {f"S{at}E": {"call": "deeds:say", "over": [text]} for at, text in enumerate(PAYLOADS)}
    write(calls, name=" ".join(names))
    ran = prun("pipeline.yaml", "-q", "--state", "elsewhere")
    assert ran.returncode == 0, ran.stderr
    tampered(tmp_path / "elsewhere" / "journal.db")
    shutil.rmtree(tmp_path / ".prun")
    (tmp_path / "elsewhere").rename(tmp_path / ".prun")
    for seen in opened:
        seen.page.wait_for_function("last => document.body.textContent.includes(last)", arg=PAYLOADS[-1])
        harmless(seen)
    runs, run, output = opened
    assert missing(runs.text()) == []
    assert missing(run.page.inner_text("h1")) == []
    rows = run.page.locator("#stages tr[data-stage]").evaluate_all("rows => rows.map(row => row.dataset.stage)")
    assert {f"{at} {text}" for at, text in enumerate(PAYLOADS)} == set(rows)
    assert missing(output.text()) == missing(output.text(), "said ") == []
    run.page.hover("#stages tbody th >> nth=3")
    assert run.page.locator(".lit").count() >= 2
    harmless(run)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_can_be_read(prun, write, serve, look, scheme):
    write(STEPS | {"held": {"call": "deeds:double", "with": [1]}}, name="a_name_without_any_blank_" * 6)
    prun("pipeline.yaml", "-q")
    ui = serve()
    for path in ("", "runs/last/", "runs/last/output/"):
        page = look(ui.address + path, color_scheme=scheme, viewport={"width": 360, "height": 700}).page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.evaluate(CONTRASTS) == []


def test_the_legend_of_a_graph_is_seen_whole(prun, look, write, tmp_path):
    write({"a": {"call": "deeds:double", "with": [1]}})
    prun("graph", "pipeline.yaml", "--format", "html", "-o", "graph.html")
    page = look((tmp_path / "graph.html").as_uri()).page
    wide = page.evaluate("document.querySelector('.wide svg').getBoundingClientRect().right")
    assert (
        page.evaluate(
            "Math.max(...[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().right))"
        )
        < wide
    )


# Of each element with text of its own: its colour against the nearest colour behind it, as WCAG counts it.
CONTRASTS = """() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const bright = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = e => { for (; e; e = e.parentElement) {
    const colour = rgb(getComputedStyle(e).backgroundColor); if (colour.length === 3 || colour[3] > 0) return colour; }
    return [255, 255, 255]; };
  const told = [...document.querySelectorAll("body *:not(script):not(svg *)")]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && e.checkVisibility());
  return told.map(e => { const [a, b] = [bright(rgb(getComputedStyle(e).color)), bright(behind(e))].sort((x, y) => y - x);
    return [e.outerHTML.slice(0, 80), (a + 0.05) / (b + 0.05)]; }).filter(([, ratio]) => ratio < 4.5);
}"""
