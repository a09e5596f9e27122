"""Drawings are well-formed, escaped, and put values where they belong."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

from finetune.plots import bar_plot, line_plot
from finetune.training_log import plot_log, read_log, rewind_log

SVG = "{http://www.w3.org/2000/svg}"


def test_lines_go_through_their_points(tmp_path: Path) -> None:
    line_plot(tmp_path / "p.svg", "损失 <a&b>", "步", "奈特", {"训练": [(0, 10), (10, 0), (5, 5), (7, math.nan)]})
    root = ElementTree.fromstring((tmp_path / "p.svg").read_text("utf-8"))
    points = [tuple(map(float, point.split(","))) for point in root.find(f"{SVG}polyline").attrib["points"].split()]
    assert len(points) == 3
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 == (x0 + x2) / 2
    assert y1 == (y0 + y2) / 2
    assert y0 < y2  # paper counts downwards
    assert root.find(f"{SVG}title").text == "损失 <a&b>"


def test_bars_are_as_high_as_their_values(tmp_path: Path) -> None:
    bar_plot(tmp_path / "p.svg", "标准", "%", {"一": {"甲": 50.0, "乙": 100.0}, "二": {"甲": 25.0}})
    root = ElementTree.fromstring((tmp_path / "p.svg").read_text("utf-8"))
    heights = [
        float(bar.attrib["height"])
        for bar in root.iter(f"{SVG}rect")
        if bar.attrib.get("fill", "").startswith("#0") or "fill" in bar.attrib
    ]
    drawn = [height for height in heights if height not in (400.0, 10.0)]
    assert len(drawn) == 3
    assert drawn[1] / drawn[0] == 2
    assert abs(drawn[0] / drawn[2] - 2) < 0.01


def test_empty_and_flat_series_are_drawn(tmp_path: Path) -> None:
    line_plot(tmp_path / "a.svg", "t", "x", "y", {})
    line_plot(tmp_path / "b.svg", "t", "x", "y", {"s": [(1, 3), (2, 3)]})
    bar_plot(tmp_path / "c.svg", "t", "y", {})
    assert all(ElementTree.parse(path) for path in tmp_path.glob("*.svg"))
    assert not re.search("nan|inf", "".join(path.read_text("utf-8") for path in tmp_path.glob("*.svg")))


def test_a_log_is_rewound_to_a_step_and_survives_a_cut_line(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 2.0}\n{"step": 2, "eval_loss": 2.5}\n{"step": 3, "lo', "utf-8")
    assert [row["step"] for row in read_log(log)] == [1, 2, 2]
    rewind_log(log, 1)
    assert log.read_text("utf-8") == '{"step": 1, "loss": 3.0}\n'
    plot_log(log, tmp_path / "loss.svg")
    assert "训练" in (tmp_path / "loss.svg").read_text("utf-8")
    assert read_log(tmp_path / "none.jsonl") == []


def test_names_stand_beside_the_bars_and_on_none(tmp_path: Path) -> None:
    names = [f"第{n}列" for n in range(6)]
    bar_plot(tmp_path / "p.svg", "t", "%", {group: dict.fromkeys(names, 100.0) for group in "一二三"})
    bars = [bar.attrib for bar in ElementTree.parse(tmp_path / "p.svg").getroot().iter(f"{SVG}rect") if "x" in bar.attrib]
    marks = [float(bar["x"]) for bar in bars if bar["width"] == "10"]
    ends = [float(bar["x"]) + float(bar["width"]) for bar in bars if bar["width"] != "10"]
    assert (len(marks), len(ends)) == (6, 18)
    assert min(marks) > max(ends)
