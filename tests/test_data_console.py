import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune import console

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["qizhen-finetune", "data", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            console.main()
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return run


def test_build_check_stats_export_one_after_the_other(run: Run, sample_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    code, printed, _ = run(
        "build", "--kb", sample_file, "--out", out, "--texts", "--workers", 1, "--per-section", "drug=6,disease=3", "--json"
    )
    built = json.loads(printed)
    assert code == 0
    assert built["samples"] == sum(built["kinds"].values()) == sum(built["splits"].values())
    assert built["documents"] == 10
    code, printed, _ = run("check", out, "--kb", sample_file, "--json")
    assert (code, json.loads(printed)["faults"]) == (0, [])
    code, printed, _ = run("stats", out, "--json")
    assert json.loads(printed)["samples"] == built["samples"]
    code, printed, _ = run("stats", out)
    assert printed.splitlines()[0] == f"样本：{built['samples']}"
    code, printed, _ = run("export", out, "--form", "messages", "--json")
    assert sum(json.loads(printed)["files"].values()) == built["samples"]
    assert (out / "messages" / "messages-train.jsonl").is_file()


def test_a_spoilt_folder_ends_with_2_and_names_the_first_faults(run: Run, sample_file: Path, tmp_path: Path) -> None:
    run("build", "--kb", sample_file, "--out", tmp_path, "--workers", 1)
    samples = tmp_path / "samples.jsonl"
    samples.write_text(samples.read_text("utf-8").replace("知识库无法回答这个问题", "可以"), "utf-8")
    code, _, told = run("check", tmp_path, "--kb", sample_file)
    assert code == 2
    assert "samples.jsonl: 与清单里的摘要不符" in told
    assert "拒答不是规定的那一句" in told
    assert "另有" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("build", "--kb", "KB", "--out", "OUT", "--mix", "closed=1,clsed=2"), "--mix 读不懂 `closed=1,clsed=2`"),
        (("build", "--kb", "KB", "--out", "OUT", "--mix", "closed=0"), "不全为 0"),
        (("build", "--kb", "KB", "--out", "OUT", "--per-section", "viel"), "--per-section 读不懂 `viel`"),
        (("build", "--kb", "KB", "--out", "OUT", "--columns", "frage=x"), "--columns 读不懂 `frage=x`"),
        (("build", "--kb", "OUT/nothing", "--out", "OUT"), "没有这个文件"),
        (("check", "OUT"), "data build"),
        (("stats", "OUT"), "data build"),
        (("export", "OUT", "--form", "alpaca"), "data build"),
    ],
)
def test_misuse_ends_with_2_and_says_what_to_do(run: Run, sample_file: Path, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    filled = [word.replace("KB", str(sample_file)).replace("OUT", str(tmp_path)) for word in words]
    code, printed, error = run(*filled)
    assert (code, printed) == (2, "")
    assert told in error
    assert "hint: " in error
