"""The plan in words and pictures."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from pipeline_runner.axes import Returns, Style
from pipeline_runner.plan.draw import draw

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def made(plan, stage):
    return plan(
        {
            "read": {"over": [1, 2, 3]},
            "count": {"over": "read"},
            "hist": {"over": "count", "style": Style.SINGLE},
            "words": {"over": "read", "returns": Returns.UNORDERED},
            "total": {"constants": {"c": stage("count"), "h": stage("hist")}, "needs": ["read"]},
            "alone": {},
        }
    )


def test_the_explanation_tells_each_stage_and_who_runs_beside_whom(plan, stage):
    made = plan({"read": {"over": [1, 2]}, "count": {"over": "read"}, "total": {"constants": [stage("count")]}})
    assert made.explain() == (
        "test: 3 stages, 2 groups, 2 waves, 4 workers\n"
        "\n"
        "read\n"
        "  method   multiprocessing.Pool.imap\n"
        "  calls    2 calls, args map, dispatch async, returns iterator, 2 workers, forkserver\n"
        "  why      parallel processes, takes calls as they come, values in call order as they come\n"
        "  not      multiprocessing.Pool.imap_unordered: hands values on in the order in which they end\n"
        "\n"
        "count\n"
        "  method   multiprocessing.Pool.imap\n"
        "  calls    2 calls, args map, dispatch async, returns iterator, 2 workers, forkserver\n"
        "  why      parallel processes, takes calls as they come, values in call order as they come\n"
        "  not      multiprocessing.Pool.imap_unordered: hands values on in the order in which they end\n"
        "  stream   read → count: read returns iterator, and count takes calls as they come\n"
        "\n"
        "total\n"
        "  method   multiprocessing.Pool.apply\n"
        "  calls    1 call, args single, dispatch blocking, returns value, 1 worker, forkserver\n"
        "  why      one call in a worker process\n"
        "  not      pathos.ProcessPool.pipe: starts slower\n"
        '  barrier  count → total: "with" of total takes all of count\n'
        "\n"
        "wave 1\n"
        "  group 1  read → count\n"
        "wave 2\n"
        "  group 2  total\n"
        "\n"
        "Groups of a wave may run side by side; the stages of a group run at the same time.\n"
        "Stages joined by → make one trip: an item goes through all of them in the same worker.\n"
    )


def test_the_explanation_fits_a_hundred_columns(made):
    assert max(map(len, made.explain().splitlines())) <= 100


def test_the_plan_as_data_is_plain_and_whole(made):
    data = json.loads(json.dumps(made.to_json()))
    assert list(data["stages"]) == list(made.stages)
    assert data["stages"]["read"]["runner_up"]["method"] == "multiprocessing.Pool.imap_unordered"
    assert {"source": "read", "target": "total", "kind": "order", "why": "total only comes after read"} in data["edges"]
    assert [group["chains"] for group in data["groups"]] == [
        [["read"], ["count"], ["hist"], ["words"]],
        [["total"]],
        [["alone"]],
    ]
    assert data["waves"] == [[0, 2], [1]]


def test_the_tree_has_every_stage_once_below_the_last_that_it_reads(made):
    assert draw(made, "text") == (
        "test\n"
        "read  [multiprocessing.Pool.imap]\n"
        "├─⇣ count  [multiprocessing.Pool.imap]\n"
        "│ ⇣ hist  [multiprocessing.Pool.apply_async]\n"
        "│ ↓ total  [multiprocessing.Pool.apply]  also from · read, ↓ count\n"
        "└─⇣ words  [multiprocessing.Pool.imap_unordered]\n"
        "alone  [multiprocessing.Pool.apply]\n"
        "\n"
        "⇣ begins while the stage above it runs   ↓ waits for all of it   · only comes after it\n"
    )


def test_mermaid_and_dot_have_every_stage_and_every_edge_by_its_kind(made):
    mermaid, dot = draw(made, "mermaid"), draw(made, "dot")
    assert mermaid.startswith("flowchart LR\n")
    assert len(re.findall(r"==>|-->|-\.->", mermaid)) == dot.count(" -> ") == len(made.edges)
    assert mermaid.count("==>|stream|") == dot.count("penwidth=2") == 3
    assert all(f"{name}<br/>" in mermaid and f'"{name}\\n' in dot for name in made.stages)


def test_the_svg_has_a_box_for_every_stage_and_none_lies_on_another(made):
    root = ElementTree.fromstring(draw(made, "svg"))
    boxes = [
        tuple(float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        for box in root.iter(f"{SVG}rect")
        if box.attrib["class"] == "box"
    ]
    assert len(boxes) == len(made.stages)
    for number, (x, y, width, height) in enumerate(boxes):
        for x2, y2, width2, height2 in boxes[number + 1 :]:
            assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y
        assert x + width <= float(root.attrib["width"])
        assert y + height <= float(root.attrib["height"])
    lines = [path.attrib["class"] for path in root.iter(f"{SVG}path") if path.attrib["class"].startswith("edge")]
    assert len(lines) == len(made.edges) + 3  # and the legend's


@pytest.mark.parametrize("name", ['<script>alert("1")</script>', "a&b", "end", '"quoted"', "前处理", "x\\"])
def test_names_are_text_in_every_picture(plan, name):
    made = plan({name: {"over": [1]}, "next": {"over": name}})
    titles = [text.text for text in ElementTree.fromstring(draw(made, "svg")).iter(f"{SVG}text")]
    assert name in titles
    assert "<script" not in draw(made, "mermaid")
    assert draw(made, "dot").count("label=") == 4
    assert name in draw(made, "text")
