import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer

from app import console

Run = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
ANSWER_KEYS = ["id", "question", "status", "sentences", "citations", "notices", "candidates", "release", "generator", "milliseconds"]
CITATION_KEYS = ["number", "document", "title", "section", "start", "end", "quote", "source"]
HIT_KEYS = ["document", "title", "section", "start", "end", "text", "score", "similarity"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["qizhen", *map(str, arguments)])
        code = 0
        try:
            console.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_build_prints_one_object(run: Run, tmp_path: Path, sample_file: Path) -> None:
    code, out, _ = run("index", "build", "--kb", sample_file, "--index", tmp_path / "index", "--json")
    built = json.loads(out)
    assert code == 0
    assert list(built) == ["release", "parent", "documents", "passages", "added", "changed", "removed", "seconds"]
    assert (built["parent"], built["documents"], built["added"]) == ("", 10, 10)
    code, out, _ = run("index", "build", "--kb", sample_file, "--index", tmp_path / "index")
    assert "没有变化" in out


def test_ask_prints_the_contract(run: Run, sample_index: Path) -> None:
    code, out, _ = run("ask", "头孢克洛能治什么病", "--index", sample_index, "--json")
    answer = json.loads(out)
    assert (code, list(answer)) == (0, ANSWER_KEYS)
    assert answer["sentences"][0] == {"text": "中耳炎。", "citations": [1]}
    citation = answer["citations"][0]
    assert list(citation) == CITATION_KEYS
    assert (citation["document"], citation["quote"], citation["end"] - citation["start"]) == ("drug/a", "中耳炎。", 4)
    assert citation["source"]["publisher"] == "甲药厂"


def test_a_batch_keeps_order_and_ids(run: Run, sample_index: Path, write_lines: Write) -> None:
    rows = [
        {"id": "2", "question": "它的禁忌", "history": [{"role": "user", "content": "头孢克洛怎么吃"}]},
        {"id": 1, "question": "阿哌沙班怎么吃"},
    ]
    code, out, _ = run("ask", "--questions", write_lines(rows), "--index", sample_index, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(a["id"], a["status"]) for a in answers] == [("2", "answered"), ("1", "refused")]


def test_search_prints_hits(run: Run, sample_index: Path, write_lines: Write) -> None:
    code, out, _ = run("search", "头孢克洛怎么吃", "--limit", 2, "--index", sample_index, "--json")
    found = json.loads(out)
    assert (code, list(found), len(found["hits"])) == (0, ["id", "hits", "milliseconds"], 2)
    assert list(found["hits"][0]) == HIT_KEYS
    code, out, _ = run("search", "--questions", write_lines([{"id": "q", "question": "痛风"}]), "--index", sample_index, "--json")
    assert json.loads(out)["id"] == "q"


@pytest.mark.parametrize(
    ("name", "status", "title", "candidates"),
    [
        ("希刻劳", "found", "头孢克洛胶囊", []),
        ("CEFIXIME", "found", "头孢克肟胶囊", []),
        ("环孢素", "ambiguous", "", ["环孢素软胶囊", "环孢素口服溶液"]),
        ("头孢克罗", "unknown", "", ["头孢克洛胶囊", "头孢克肟胶囊"]),
        ("痛风", "unknown", "", []),
    ],
)
def test_drug_finds_any_name(run: Run, sample_index: Path, name: str, status: str, title: str, candidates: list[str]) -> None:
    code, out, _ = run("drug", name, "--index", sample_index, "--json")
    card = json.loads(out)
    assert code == 0
    assert list(card) == ["status", "document", "title", "sections", "candidates", "look_alikes"]
    assert (card["status"], card["title"], [c["title"] for c in card["candidates"]]) == (status, title, candidates)


def test_drug_shows_one_section_of_every_source(run: Run, sample_index: Path) -> None:
    _, out, _ = run("drug", "逍遥丸", "--section", "用法用量", "--index", sample_index, "--json")
    assert [(s["document"], s["title"]) for s in json.loads(out)["sections"]] == [("drug/d1", "用法用量"), ("drug/d2", "用法用量")]
    _, out, _ = run("drug", "阿司匹林", "--section", "贮藏", "--index", sample_index)
    assert "没有“贮藏”一节；已有：药物类别、适应症、用法用量、禁忌、药物相互作用" in out


def test_releases_verify_publish_rollback(run: Run, tmp_path: Path, sample_file: Path, write_lines: Write) -> None:
    index = tmp_path / "index"
    first = json.loads(run("index", "build", "--kb", sample_file, "--index", index, "--json")[1])["release"]
    more = write_lines([{"id": "z", "title": "丁", "sections": [{"title": "概述", "text": "文"}]}])
    second = json.loads(run("index", "build", "--kb", sample_file, "--kb", more, "--index", index, "--json")[1])["release"]
    listed = json.loads(run("index", "releases", "--index", index, "--json")[1])
    assert (listed["current"], [r["id"] for r in listed["releases"]]) == (second, [first, second])
    assert json.loads(run("index", "rollback", "--index", index, "--json")[1]) == {"release": first, "before": second}
    assert json.loads(run("index", "publish", second, "--index", index, "--json")[1]) == {"release": second, "before": first}
    code, out, _ = run("index", "verify", "--index", index, "--json")
    assert (code, json.loads(out)) == (0, {"release": second, "sound": True, "faults": []})
    (index / "releases" / second / "vectors.faiss").write_bytes(b"")
    code, out, err = run("index", "verify", "--index", index, "--json")
    assert (code, json.loads(out)["faults"]) == (2, ["`vectors.faiss` 内容与清单不符"])
    assert err.startswith("hint: ")


def test_check_prints_a_verdict_a_line(run: Run, write_lines: Write) -> None:
    claims = write_lines([{"claim": "一次2.5g", "evidence": "一次0.25g"}, {"claim": "一次250mg", "evidence": "一次0.25g"}])
    code, out, _ = run("check", "--claims", claims, "--json")
    assert code == 0
    assert [json.loads(line)["verdict"] for line in out.splitlines()] == ["contradicted", "supported"]


def test_measure_counts_what_it_should(run: Run, sample_index: Path, write_lines: Write) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "1", "question": "头孢克洛能治什么病", "documents": ["drug/a"], "terms": [["中耳炎"], ["肺炎"], ["痛经"]], "category": "药"},
        {"id": "2", "question": "阿哌沙班能治什么病", "refuse": True},
        {"id": "3", "question": "头孢克肟的贮藏", "documents": ["drug/b"]},
    ]
    _, out, _ = run("measure", "--questions", write_lines(rows), "--index", sample_index, "--json")
    got = json.loads(out)
    assert got["retrieval"]["recall@1"] == 1.0
    assert [got["answers"][f"standard_{n}"]["share"] for n in (1, 2, 3)] == [1.0, 1.0, 1.0]
    assert got["answers"]["item_recall"]["share"] == 0.6667
    assert got["refusals"]["unanswerable"]["refused"]["share"] == 1.0
    assert got["refusals"]["answerable"]["refused"]["share"] == 0.5
    assert (got["citations"]["shown"], got["citations"]["valid"]["share"], got["citations"]["outside"]) == (3, 1.0, 0)
    assert [got["citations"][key]["share"] for key in ("recall", "precision", "contradicted")] == [1.0, 1.0, 0.0]
    assert got["citations"]["recall"]["n"] == 3
    assert got["categories"]["药"]["questions"] == 1
    _, out, _ = run("measure", "--questions", write_lines(rows), "--index", sample_index)
    assert "应拒而拒" in out


def test_ask_and_measure_with_a_language_model(run: Run, sample_index: Path, write_lines: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = write_lines([{"id": "1", "question": "头孢克洛怎么吃"}, {"id": "2", "question": "阿哌沙班怎么吃"}])
    with OpenAIServer(["成人每次250mg，每日3次。[2]\n", "儿童一次2g。[3]"]) as server:
        monkeypatch.setenv("QIZHEN_CHAT_URL", server.url)
        monkeypatch.setenv("QIZHEN_CHAT_MODEL", "stand-in")
        code, out, _ = run("ask", "--questions", questions, "--generator", "chat", "--index", sample_index, "--json")
        answer, refused = (json.loads(line) for line in out.splitlines())
        assert (code, list(answer), answer["generator"]) == (0, ANSWER_KEYS, "chat")
        assert answer["sentences"][0]["text"] == "成人每次250mg，每日3次。"
        assert (refused["status"], len(server.requests)) == ("refused", 1)
        _, out, _ = run("measure", "--questions", questions, "--generator", "chat", "--index", sample_index, "--json")
    cited = json.loads(out)["citations"]
    assert (cited["recall"]["share"], cited["recall"]["n"], cited["contradicted"]["share"]) == (1.0, 3, 0.0)


def test_a_model_that_is_down_is_told_on_stderr_and_in_the_answer(
    run: Run, sample_index: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("QIZHEN_CHAT_MODEL", "stand-in")
    with OpenAIServer(status=503) as server:
        monkeypatch.setenv("QIZHEN_CHAT_URL", server.url)
        code, out, _ = run("ask", "头孢克洛能治什么病", "--generator", "chat", "--index", sample_index)
    assert code == 0
    assert out.startswith("问：头孢克洛能治什么病\n\n模型没有响应，以下为原文摘录。\n\n【头孢克洛胶囊 · 适应症】\n中耳炎。[1]\n")
    assert "503" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["ask", "痛风", "--index", "nowhere"], "`nowhere` 里还没有发布的知识库"),
        (["ask", ""], "问题是空的：``"),
        (["ask"], "没有给出问题：``"),
        (["ask", "痛风", "--questions", "x.jsonl"], "问题 `痛风` 和 --questions `x.jsonl` 不能同时给出"),
        (["ask", "--questions", "none.jsonl"], "问题文件 `none.jsonl` 读不出来"),
        (["ask", "痛风", "--generator", "oracle"], "没有回答方式 `oracle`"),
        (["measure", "--questions", "none.jsonl", "--generator", "oracle"], "没有回答方式 `oracle`"),
        (["ask", "痛风", "--generator", "chat"], "回答方式 `chat` 还没有设置 `QIZHEN_CHAT_URL、QIZHEN_CHAT_MODEL`"),
        (["check", "--claims", "none.jsonl"], "核对文件 `none.jsonl` 读不出来"),
        (["index", "build", "--kb", "none"], "none: 没有这个文件"),
        (["index", "rollback", "--index", "nowhere"], "`nowhere` 里还没有发布的知识库"),
        (["index", "publish", "x", "--index", "nowhere"], "`nowhere` 里没有版本 `x`（最近的版本：无）"),
        (["serve", "--host", "0.0.0.0"], "不能监听 `0.0.0.0`：还没有可用的管理员账户"),
        (["drug", " "], "问题是空的：`"),
    ],
)
def test_misuse_is_one_clear_message_and_exit_code_2(run: Run, arguments: list[str], fault: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert fault in err
    assert "\nhint: " in err
    assert "Traceback" not in err


def test_a_server_for_others_must_know_its_name(run: Run, sample_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("一二三四五六七八九十\n"))
    assert run("users", "add", "admin", "--role", "admin", "--password-stdin", "--state", tmp_path)[0] == 0
    monkeypatch.delenv("QIZHEN_HOSTS", raising=False)
    code, out, err = run("serve", "--host", "0.0.0.0", "--index", sample_index, "--state", tmp_path, "--port", 8999)
    assert (code, out) == (2, "")
    assert "监听 `0.0.0.0` 时不知道浏览器用什么名称打开" in err
    assert "hint: 写明主机名或地址：QIZHEN_HOSTS=" in err


def test_a_server_does_not_start_with_a_model_that_is_not_set_up(
    run: Run, sample_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QIZHEN_GENERATOR", "oracle")
    code, _, err = run("serve", "--index", sample_index, "--state", tmp_path, "--port", 8999)
    assert (code, "没有回答方式 `oracle`" in err) == (2, True)
    monkeypatch.setenv("QIZHEN_GENERATOR", "chat")
    monkeypatch.setenv("QIZHEN_MODEL_SECONDS", "soon")
    code, _, err = run("serve", "--index", sample_index, "--state", tmp_path, "--port", 8999)
    assert (code, "QIZHEN_MODEL_SECONDS 是 `soon`" in err) == (2, True)


def test_faults_of_a_questions_file_are_told_together(run: Run, sample_index: Path, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    lines = ['{"id": "1"}', "{", '{"id": "2", "question": "  "}', '{"id": "3", "question": "痛风", "history": ["x"], "terms": "y"}', "[]"]
    path.write_text("\n".join([*lines, '{"id": "4", "question": "痛风", "documents": [1]}']), "utf-8")
    code, out, err = run("ask", "--questions", path, "--index", sample_index)
    assert (code, out) == (2, "")
    assert f"问题文件 `{path}` 有 `7` 处错误" in err
    for fault in (
        ":1: id、question: 缺少，或不是文字",
        ":2: JSON 无法解析",
        ":3: question: 问题是空的",
        ":4: history: 应为",
        ":4: terms: 应为",
        ":5: 一行应为一个 JSON 对象",
        ":6: documents: 应为文档编号的列表",
    ):
        assert f"{path}{fault}" in err
    path.write_text("\n", "utf-8")
    assert "没有问题" in run("ask", "--questions", path, "--index", sample_index)[2]


def test_unknown_options_are_misuse(run: Run) -> None:
    assert run("ask", "痛风", "--loud")[0] == 2
    assert run("nonsense")[0] == 2


def test_plain_output_groups_sentences_and_sources(run: Run, sample_index: Path) -> None:
    _, out, _ = run("ask", "头孢克洛能治什么病", "--index", sample_index)
    assert out == (
        "问：头孢克洛能治什么病\n\n【头孢克洛胶囊 · 适应症】\n中耳炎。[1]\n下呼吸道感染，包括肺炎。[2]\n尿路感染。[3]\n\n"
        "来源\n[1][2][3] 头孢克洛胶囊 · 适应症 · 甲药厂 · 2025-01-02\n\n勿与“头孢克肟胶囊”混淆。\n仅供专业人员参考，不能替代诊疗决策。\n\n"
    )
    _, out, _ = run("ask", "头孢克罗怎么吃", "--index", sample_index)
    assert out.startswith("问：头孢克罗怎么吃\n\n没有收录“头孢克罗”。您要找的是：\n  头孢克洛胶囊\n")


@pytest.mark.slow
def test_the_installed_command_keeps_stdout_for_data(sample_file: Path, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).parent / "qizhen"),
        "index",
        "build",
        "--kb",
        str(sample_file),
        "--index",
        str(tmp_path / "i"),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)["documents"] == 10


def drug(name: str, text: str) -> dict[str, Any]:
    return {"id": name, "kind": "drug", "title": f"药品{name}", "sections": [{"title": "适应症", "text": text}]}


def test_an_admin_plans_builds_compares_and_reads_the_record(run: Run, tmp_path: Path, write_lines: Write) -> None:
    index = tmp_path / "index"
    first = json.loads(
        run("index", "build", "--kb", write_lines([drug("a", "用于头痛。"), drug("b", "用于发热。")]), "--index", index, "--json")[1]
    )
    knowledge = write_lines([drug("a", "用于头痛和牙痛。"), drug("c", "用于咳嗽。")])
    code, out, _ = run("index", "plan", "--kb", knowledge, "--index", index)
    assert code == 0
    assert out == (
        f"与发布中的版本 {first['release']} 相比，新版本将有 2 篇文档\n\n新增 1 · 修改 1 · 删除 1\n\n"
        "修改  a  药品a\n  【适应症】\n  - 用于头痛。\n  + 用于头痛和牙痛。\n删除  b  药品b\n新增  c  药品c\n"
    )
    planned = json.loads(run("index", "plan", "--kb", knowledge, "--index", index, "--json")[1])
    assert list(planned) == ["published", "documents", "counts", "added", "changed", "dated", "removed", "rejected", "expired"]
    assert planned["counts"] == {"added": 1, "changed": 1, "dated": 0, "removed": 1}
    code, out, _ = run("index", "build", "--kb", knowledge, "--index", index, "--no-publish", "--why", "改适应症", "--json")
    second = json.loads(out)
    assert (code, second["published"]) == (0, False)
    code, out, _ = run("index", "diff", first["release"], second["release"], "--index", index)
    assert "  - 用于头痛。\n  + 用于头痛和牙痛。\n" in out
    assert (
        json.loads(run("index", "diff", first["release"], second["release"], "--index", index, "--json")[1])["counts"] == planned["counts"]
    )
    run("index", "publish", second["release"], "--why", "已核对", "--index", index)
    listed = json.loads(run("index", "releases", "--index", index, "--json")[1])
    row = next(row for row in listed["releases"] if row["current"])
    assert (row["why"], row["knowledge"], row["parent"]) == ("改适应症", [str(knowledge)], first["release"])
    entries = json.loads(run("log", "--index", index, "--json")[1])["entries"]
    assert [entry["action"] for entry in entries] == ["build", "publish", "build", "publish"]
    assert "2 篇，新增 1 · 修改 1 · 删除 1；缘由：改适应症" in run("log", "--index", index)[1]
    assert run("log", "verify", "--index", index)[:2] == (0, "4 条记录，没有被改动\n")
    run("index", "build", "--kb", knowledge, "--index", index, "--fresh")
    code, out, _ = run("index", "collect", "--keep", 0, "--index", index, "--json")
    assert (code, json.loads(out)["removed"]) == (0, [first["release"]])
    log = index / "log.jsonl"
    log.write_text(log.read_text("utf-8").replace("改适应症", "改禁忌症"), "utf-8")
    code, out, err = run("log", "verify", "--index", index)
    assert (code, "第 3 行（第 3 条）被改动" in out) == (2, True)
    assert "hint: 与备份的 log.jsonl 对照" in err


def test_faulty_documents_are_refused_or_left_out_and_recorded(run: Run, tmp_path: Path, write_lines: Write) -> None:
    index, knowledge = tmp_path / "index", write_lines([drug("a", "用于头痛。"), drug("b", "")])
    code, out, err = run("index", "plan", "--kb", knowledge, "--index", index)
    assert (code, f"拒绝  {knowledge}:2: sections[0]: 章节“适应症”没有正文\n" in out) == (2, True)
    assert "hint: 有 `1` 处错误，build 不会发布；改正它们，或用 --skip-faulty 略过" in err
    assert run("index", "build", "--kb", knowledge, "--index", index)[0] == 2
    code, out, _ = run("index", "build", "--kb", knowledge, "--index", index, "--skip-faulty", "--json")
    built = json.loads(out)
    assert (code, built["documents"], built["rejected"][0]["line"]) == (0, 1, 2)
    code, out, _ = run("log", "--index", index)
    assert [line.split()[3] for line in out.splitlines()] == ["拒绝", "建立", "发布"]
    assert "资料有 1 处错误" in out
    assert "拒绝 1" in out


def test_an_index_without_a_record_says_so(run: Run, tmp_path: Path) -> None:
    assert run("log", "--index", tmp_path)[:2] == (0, f"`{tmp_path}` 还没有记录\n")
