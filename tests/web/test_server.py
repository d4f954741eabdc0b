"""`prun ui` as a process that is asked over HTTP: what it serves, to whom, and what it leaves alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(90)

WAITING = {
    "a": {"call": "deeds:double", "over": [1, 2]},
    "b": {"call": "deeds:wait", "with": {"x": 1, "path": "go"}, "needs": ["a"]},
    "c": {"call": "deeds:double", "with": ["${stages.b}"]},
}


def files_of(folder):
    """All that is in a folder, and when it was written."""
    found = [path for path in sorted(folder.rglob("*")) if not path.name.endswith("-shm")]  # shared memory of readers
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in found
    }


def test_the_runs_and_each_run_are_pages(prun, chain, shared):
    ui = shared
    status, headers, text = ui.ask()
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "a chain" in text
    assert "✕" in text
    (run,) = json.loads(prun("runs", "--json", cwd=chain).stdout)
    for name in (run["run"], run["run"][:15], "last"):
        status, _, text = ui.ask(f"runs/{name}/")
        assert status == 200
        assert "cannot 2" in text
        assert 'data-stage="after"' in text
    status, _, text = ui.ask("runs/last/output/")
    assert "said 1" in text
    assert "before 2" in text
    _, _, text = ui.ask("runs/last/output/?stage=bad&item=1")
    assert "before 2" in text
    assert "before 1" not in text
    assert "said 1" not in text
    for nowhere in ("runs/2020/", "runs/last/output/?stage=none", "runs/last/output/?stage=bad&item=x", "nothing"):
        assert ui.ask(nowhere)[0] == 404
    assert ui.ask(method="HEAD")[::2] == (200, "")


def test_only_whoever_has_the_address_sees_anything(shared, serve):
    ui = shared
    other = serve()
    own, token = f"127.0.0.1:{ui.port}", ui.token
    assert len({ui.token, other.token}) == 2
    assert len(token) >= 32
    refused = [
        ui.ask(raw="/"),
        ui.ask(raw=f"/{token}"),
        ui.ask(raw=f"/{token[:-1]}/"),
        ui.ask(raw=f"/{token}x/"),
        ui.ask(raw=f"/{other.token}/"),
        ui.ask(raw=f"/?token={token}"),
        ui.ask(raw=f"//{token}/"),
        ui.ask(raw="/%ff%00/"),
        ui.ask(headers={"Host": f"evil.example:{ui.port}"}),
        ui.ask(headers={"Host": "127.0.0.1"}),
        ui.ask(headers={"Host": f"127.0.0.1.evil.example:{ui.port}"}),
        ui.ask(headers={"Host": f"{own}@evil.example"}),
        ui.ask(headers={"Host": None}),
        ui.ask(headers={"Origin": "http://evil.example"}),
        ui.ask(headers={"Origin": "null"}),
        ui.ask(headers={"Origin": f"http://127.0.0.1:{other.port}"}),
        *(ui.ask(method=method) for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")),
    ]
    for status, _, text in refused:
        assert status in (400, 403, 405, 421)
        assert "a chain" not in text
        assert token not in text
    allowed = [{}, {"Host": f"localhost:{ui.port}"}, {"Host": own, "Origin": f"http://{own}"}]
    assert [ui.ask(headers=headers)[0] for headers in allowed] == [200] * 3
    assert ui.ask(method="POST")[1]["allow"] == "GET, HEAD"


def test_every_answer_tells_the_browser_to_be_careful(shared):
    ui = shared
    answers = [ui.ask(), ui.ask("runs/last/"), ui.ask("runs/last/output/"), ui.ask("none"), ui.ask(raw="/")]
    answers.append(ui.ask(headers={"If-None-Match": answers[0][1]["etag"]}))
    assert [status for status, _, _ in answers] == [200, 200, 200, 404, 403, 304]
    for _, headers, text in answers:
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert not {"server", "set-cookie", "access-control-allow-origin"} & headers.keys()
        assert ui.token not in text


def test_nothing_but_the_journal_can_be_asked_for(chain, shared):
    ui = shared
    (chain / "secret.txt").write_text("not for you")
    up = ("..", "%2e%2e", "..%2f..", "%2e%2e%2f%2e%2e", "....//", "..%5c..", "%252e%252e")
    paths = [f"{way}/{name}" for way in up for name in ("secret.txt", "deeds.py", "journal.db")]
    for path in [*paths, *(f"runs/{path}/" for path in paths), "journal.db", "runs//etc/passwd/", "static/page.css"]:
        status, _, text = ui.ask(path)
        assert status in (403, 404), path
        assert "not for you" not in text
        assert "def double" not in text
        assert "SQLite format" not in text


def test_it_listens_on_loopback_only(shared):
    ui = shared
    port = ui.port
    listens = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listens += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    assert [line[1] for line in listens if line[1].endswith(f":{port:04X}") and line[3] == "0A"] == [
        f"0100007F:{port:04X}"
    ]


def test_what_is_unchanged_is_not_sent_again(shared):
    ui = shared
    for page in ("", "runs/last/", "runs/last/output/"):
        _, headers, _ = ui.ask(page)
        assert ui.ask(page, headers={"If-None-Match": headers["etag"]})[::2] == (304, "")
        assert ui.ask(page, headers={"If-None-Match": '"another"'})[0] == 200


def test_an_empty_folder_is_no_error(serve, tmp_path):
    ui = serve()
    status, _, text = ui.ask()
    assert status == 200
    assert "No run is kept here yet" in text
    assert ui.ask("runs/last/")[0] == 503
    assert list(tmp_path.iterdir()) == []


def test_a_run_at_work_is_followed_and_a_killed_one_is_told(write, serve, begin, tmp_path):
    os.mkfifo(tmp_path / "go")
    write(WAITING)
    ui = serve()
    run = begin("-j", "1")
    with open(tmp_path / "go", "w"):  # once it is read from, the call is at work
        _, first, text = ui.ask("runs/last/")
        assert "▶</span> running" in text
        assert "1 of 3 stages have ended; 1 at work." in text
        assert "0 of 1 calls" in text
        assert "running" in ui.ask()[2]
        assert "waits" in ui.ask("runs/last/output/?stage=b")[2]
        run.kill()
        run.wait()
    text = ui.ask("runs/last/")[2]
    while "▶</span> running" in text:  # a page is made anew after a moment
        text = ui.ask("runs/last/")[2]
    assert "interrupted" in text
    assert "unfinished" in text
    assert ui.ask("runs/last/")[1]["etag"] != first["etag"]
    assert "prun --resume" in ui.ask()[2]


def test_a_folder_that_is_looked_at_stays_as_it_is(chain, write, serve, begin, tmp_path):
    os.mkfifo(tmp_path / "go")
    shutil.copytree(chain / ".prun", tmp_path / ".prun")
    write(WAITING)
    run = begin("-j", "1")
    with open(tmp_path / "go", "w"):
        run.kill()
        run.wait()
    kept = {path.name: files_of(path) for path in folders(tmp_path)}
    served = {name: serve(name, "--no-open") for name in kept}
    for name, ui in served.items():
        answers = [ui.ask(path)[0] for path in ("", "runs/last/", "runs/last/output/", "runs/2020/")]
        assert answers == ([200, 200, 200, 404] if name in ("killed", "older") else [503] * 4), name
        assert ui.end()[0] == 130
        assert files_of(tmp_path / name) == kept[name], name


def folders(tmp_path):
    """Copies of the state folder: as a killed run left it, as an older version would have, of a newer one, and damaged."""
    for name in ("killed", "older", "newer", "garbage", "short"):
        shutil.copytree(tmp_path / ".prun", tmp_path / name)
        journal = tmp_path / name / "journal.db"
        if name in ("older", "newer"):
            with closing(sqlite3.connect(journal)) as connection:
                if name == "older":
                    connection.executescript("DROP TABLE out; DROP TABLE file; DROP INDEX done_of_recipe;")
                number = 2 if name == "older" else 9
                connection.executescript(
                    f"PRAGMA user_version = {number}; PRAGMA application_id = {0x70720000 + number}"
                )
        elif name != "killed":
            (tmp_path / name / "journal.db-wal").unlink()
            journal.write_bytes(b"no database" * 1000 if name == "garbage" else journal.read_bytes()[:6000])
        yield tmp_path / name


def test_a_damaged_row_costs_no_other_runs_page(prun, chain, serve, tmp_path):
    shutil.copytree(chain, tmp_path, dirs_exist_ok=True)
    prun("pipeline.yaml", "-q")
    with closing(sqlite3.connect(tmp_path / ".prun" / "journal.db")) as journal, journal:
        (first, last) = [run for (run,) in journal.execute("SELECT id FROM run ORDER BY began")]
        journal.execute("UPDATE run SET body = '{broken' WHERE id = ?", (last,))
        journal.execute("UPDATE event SET body = x'ff00' WHERE run = ?", (last,))
    ui = serve()
    assert ui.ask()[0] == 200
    assert ui.ask(f"runs/{first}/")[0] == 200
    assert ui.ask(f"runs/{last}/")[0] == 200


def test_secrets_are_masked_as_in_the_journal(prun, write, serve, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "correct-horse-battery")
    write({"bad": {"call": "deeds:fail", "over": ["correct-horse-battery"]}}, secrets=["TOKEN"])
    assert prun("pipeline.yaml", "-q").returncode == 1
    monkeypatch.delenv("TOKEN")
    ui = serve()
    for page in ("", "runs/last/", "runs/last/output/"):
        assert "correct-horse" not in ui.ask(page)[2]
    assert "cannot ***" in ui.ask("runs/last/")[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_nothing_stays(serve, tmp_path, number):
    folder = tmp_path / "temporary"
    folder.mkdir()
    ui = serve(TMPDIR=str(folder))
    ui.ask()
    with closing(socket.create_connection(("127.0.0.1", ui.port))):  # one that has asked for nothing yet
        code, said = ui.end(number)
    assert code == 128 + number
    assert said == f"the runs in {tmp_path / '.prun'}; Ctrl-C ends it\n"
    assert list(folder.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        ui.ask()


def test_a_browser_is_led_there_without_the_address_in_its_arguments(serve, tmp_path):
    (tmp_path / "runtime").mkdir()
    os.mkfifo(tmp_path / "seen")
    (tmp_path / "browser").write_text(
        '#!/bin/sh\necho "$@" > arguments.new; mv arguments.new arguments; read x < seen\n'
    )
    (tmp_path / "browser").chmod(0o755)
    variables = {"BROWSER": str(tmp_path / "browser"), "XDG_RUNTIME_DIR": str(tmp_path / "runtime")}
    ui = serve("--state", "elsewhere", **variables)
    while not (tmp_path / "arguments").exists():
        assert ui.process.poll() is None
    told = (tmp_path / "arguments").read_text().strip()
    assert ui.token not in told
    page = Path(told.removeprefix("file://"))
    assert page.is_relative_to(tmp_path / "runtime")
    assert f'content="0;url={ui.address}"' in page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    assert ui.ask()[0] == 200  # while that browser is still there
    (tmp_path / "seen").write_text("yes\n")
    assert ui.end()[0] == 130
    assert list((tmp_path / "runtime").iterdir()) == []


def test_a_folder_may_be_the_pipelines_or_the_runs_own(chain, serve):
    for folder in (chain, chain / ".prun"):
        assert "a chain" in serve(str(folder), "--no-open").ask()[2]


def test_what_cannot_be_is_told_in_a_line(prun, tmp_path, write):
    (tmp_path / "file").touch()
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        for words, told in (
            (("file",), '"file" is no folder'),
            ((".", "--state", "x"), "FOLDER and --state cannot go together"),
            (("--port", port, "--no-open"), f"port {port} cannot be had: something listens there already"),
        ):
            said = prun("ui", *words)
            assert said.returncode == 2
            assert told in said.stderr
            assert "Traceback" not in said.stderr


def test_without_the_extra_it_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['uvicorn'] = None; from pipeline_runner.cli.app import run; run(['ui'])"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "`prun ui` needs uvicorn: pip install prun-pipelines[ui]\n"
