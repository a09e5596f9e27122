import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.drafts import read_drafts
from app.prompt import NO_ANSWER
from finetune.asking import load_asking
from finetune.data_checking import check_data
from finetune.data_statistics import statistics
from finetune.dataset import BuildSettings, build_data
from finetune.facts import Shares, read_knowledge
from finetune.making import Limits
from indexer.documents import Document
from indexer.readers import read_documents
from indexer.terms import fold

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
Kb = tuple[Path, ...]


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Kb:
    """A third of the shipped documents: enough for every kind of sample and every split."""
    folder = tmp_path_factory.mktemp("kb")
    for kind in ("drugs", "diseases"):
        for path in sorted((ROOT / "kb_data" / kind).iterdir())[:80:2]:
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "lookalikes.toml").write_bytes((ROOT / "kb_data" / "lookalikes.toml").read_bytes())
    return (folder,)


@pytest.fixture(scope="module")
def folder(kb: Kb, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    build_data(BuildSettings(kb=kb, out=out, texts=True, per_section={"drug": 4, "disease": 4}, workers=1))
    return out


@pytest.fixture(scope="module")
def documents(kb: Kb) -> dict[str, Document]:
    return {document.id: document for document in read_documents(kb)}


def _rows(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text("utf-8").splitlines()]
    found = [row for row in rows if not kinds or row["kind"] in kinds]
    assert found
    return found


def _spans(row: dict[str, Any], documents: dict[str, Document]) -> list[str]:
    return [documents[place["id"]].text[place["start"] : place["end"]] for place in row["provenance"]["documents"]]


def test_every_answer_is_text_of_the_knowledge_base(folder: Path, documents: dict[str, Document]) -> None:
    for row in _rows(folder, "closed", "dialogue"):
        assert [turn["content"] for turn in row["messages"] if turn["role"] == "assistant"] == _spans(row, documents)
    for row in _rows(folder, "cited", "contrast"):
        assert re.sub(r"\[\d+\]", "", row["messages"][-1]["content"]).split("\n") == _spans(row, documents)


def test_marks_lead_to_the_evidence_that_says_so(folder: Path, documents: dict[str, Document]) -> None:
    for row in _rows(folder, "cited", "contrast"):
        data, answer = (turn["content"] for turn in row["messages"])
        evidence = dict(re.findall(r"^\[(\d+)\] (.+)$", data, re.MULTILINE))
        assert [*evidence] == [str(n) for n in range(1, len(evidence) + 1)]
        drafts = list(read_drafts([answer]))
        assert [evidence[str(n + 1)] for draft in drafts for n in draft.units] == _spans(row, documents)
        assert len(drafts) < len(evidence)  # there is always something beside the point


def test_evidence_is_of_the_drug_asked_about_and_of_what_is_taken_for_it(folder: Path, documents: dict[str, Document]) -> None:
    for row in _rows(folder, "contrast"):
        (own,) = {place["id"] for place in row["provenance"]["documents"]}
        (other,) = set(row["provenance"]["shown"]) - {own}
        assert documents[own].kind == documents[other].kind == "drug"
        headings = re.findall(r"^(.+) · (.+)$", row["messages"][0]["content"], re.MULTILINE)
        assert [*dict(headings)] in ([documents[a].title, documents[b].title] for a, b in ((own, other), (other, own)))
        assert len({heading for _, heading in headings}) == 1


def test_refusals_are_the_one_sentence(folder: Path) -> None:
    assert {row["messages"][-1]["content"] for row in _rows(folder, "refusal")} == {NO_ANSWER}
    assert all(NO_ANSWER not in row["messages"][-1]["content"] for row in _rows(folder, "closed", "cited", "contrast", "dialogue"))


def test_what_is_refused_is_not_held(folder: Path, documents: dict[str, Document]) -> None:
    held = {fold(name) for document in documents.values() for name in (document.title, *document.aliases)}
    unknown = 0
    for row in _rows(folder, "refusal"):
        if fold(row["entity"]) in held:
            own = {d.id for d in documents.values() if d.title == row["entity"]}
            headings = re.findall(r"^(.+) · (.+)$", row["messages"][0]["content"], re.MULTILINE)
            assert not {(documents[n].title, row["field"]) for n in own} & set(headings)
        else:
            unknown += 1
            assert not any(name in fold(row["entity"]) for name in held if len(name) > 2)
    assert unknown > 100


def test_a_dialogue_s_last_question_does_not_name_its_drug(folder: Path, documents: dict[str, Document]) -> None:
    dialogues = _rows(folder, "dialogue")
    assert 0.1 < sum(row["template"].startswith("more/") for row in dialogues) / len(dialogues) < 0.5
    for row in dialogues:
        (document,) = {place["id"] for place in row["provenance"]["documents"]}
        names = (documents[document].title, *documents[document].aliases)
        assert any(name in row["messages"][0]["content"] for name in names)
        assert not any(name in row["messages"][-2]["content"] for name in names)


def test_nothing_held_out_is_in_training(folder: Path, kb: Kb) -> None:
    held_out = load_asking().held_out_ids()
    knowledge, _, _ = read_knowledge(kb, Shares())
    split = {document.id: entity.split for document, entity in zip(knowledge.documents, knowledge.entities, strict=True)}
    rows = _rows(folder)
    for row in rows:
        shown = {*(place["id"] for place in row["provenance"]["documents"]), *row["provenance"]["shown"]}
        if row["split"] == "train":
            assert row["template"] not in held_out
            assert {split[document] for document in shown} <= {"train"}
    cells = {
        (row["split"], split[row["provenance"]["documents"][0]["id"]], row["template"] in held_out)
        for row in rows
        if row["provenance"]["documents"]
    }
    assert {("train", "train", False), ("test", "train", True), ("test", "test", False), ("test", "test", True)} <= cells


def test_all_names_of_a_drug_are_in_one_split(write_lines: Callable[..., Path]) -> None:
    parts = [{"title": "用法用量", "text": "口服，一日2次。"}]
    rows = [
        {"id": f"drug/{n}", "kind": "drug", "title": title, "aliases": aliases, "sections": parts}
        for n, (title, aliases) in enumerate(
            [("环孢素软胶囊", ["新山地明"]), ("环孢素口服溶液", []), ("新山地明", ["赛斯平"]), ("赛斯平", []), ("阿司匹林", [])]
        )
    ]
    knowledge, _, _ = read_knowledge([write_lines(rows)], Shares(0.5, 0.5))
    names = [entity.name for entity in knowledge.entities]
    assert names == ["环孢素软胶囊"] * 4 + ["阿司匹林"]


def test_a_name_of_two_drugs_that_say_otherwise_asks_for_neither(sample_file: Path) -> None:
    knowledge, _, _ = read_knowledge([sample_file], Shares())
    names = {(knowledge.document(fact).id, fact.field): fact.names for fact in knowledge.facts}
    assert names["drug/d1", "用法用量"] == ()  # two makers of 逍遥丸, two doses
    assert "环孢素" not in names["drug/c1", "用法用量"]
    assert "环孢素" in names["drug/c1", "适应症"]  # both forms say the same there
    assert names["drug/b", "适应症"][0] == "头孢克肟胶囊"  # under the heading 功能主治


def test_a_long_section_is_cut_behind_a_sentence(write_lines: Callable[..., Path], tmp_path: Path) -> None:
    text = "- 甲类病人禁用。\n- 乙类病人禁用，丙类病人也禁用。\n- 丁类病人禁用。"
    path = write_lines([{"id": "drug/x", "kind": "drug", "title": "某某片", "sections": [{"title": "禁忌", "text": text}]}])
    build_data(BuildSettings(kb=(path,), out=tmp_path, limits=Limits(answer=30), shares=Shares(0, 0), mix={"closed": 1}, workers=1))
    answers = {row["messages"][-1]["content"] for row in _rows(tmp_path, "closed")}
    assert answers == {"- 甲类病人禁用。\n- 乙类病人禁用，丙类病人也禁用。"}
    build_data(BuildSettings(kb=(path,), out=tmp_path, limits=Limits(answer=30), shares=Shares(0, 0), mix={"dialogue": 1}, workers=1))
    for row in _rows(tmp_path, "dialogue"):
        assert row["template"].startswith("more/")
        assert [turn["content"] for turn in row["messages"][1::2]] == [
            "- 甲类病人禁用。\n- 乙类病人禁用，丙类病人也禁用。",
            "- 丁类病人禁用。",
        ]


def test_limits_hold(folder: Path, documents: dict[str, Document]) -> None:
    for row in _rows(folder, "closed", "cited", "dialogue"):
        assert all(len(text) <= 300 for text in _spans(row, documents))
    for row in _rows(folder, "cited", "contrast"):
        evidence = row["messages"][0]["content"].partition("</资料>")[0]
        assert len(evidence) <= 700 + len("<资料>\n\n")


@pytest.mark.slow
def test_only_chosen_fields_are_taught(kb: Kb, tmp_path: Path) -> None:
    settings = BuildSettings(kb=kb, out=tmp_path, fields=frozenset({"适应症", "临床表现"}), mix={"closed": 1, "cited": 1}, workers=1)
    build_data(settings)
    assert {row["field"] for row in _rows(tmp_path)} == settings.fields


def test_processes_do_not_change_a_byte(tmp_path: Path, write_lines: Callable[..., Path], sample_file: Path) -> None:
    questions = write_lines(
        [{"question": f"第{n}个病人咳嗽怎么办呢", "answer": f"先看看有没有发热，再去查血，等{n}天。"} for n in range(1500)]
    )
    settings = BuildSettings(kb=(sample_file,), out=tmp_path / "a", texts=True, workers=1, question_files=(questions,))
    build_data(settings)
    build_data(replace(settings, out=tmp_path / "b", workers=2))
    build_data(replace(settings, out=tmp_path / "c", seed=8))
    made = [{p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())} for name in "abc"]
    assert made[0] == made[1]
    assert made[0]["samples.jsonl"] != made[2]["samples.jsonl"]


def test_texts_hold_every_document_and_its_sections(folder: Path, documents: dict[str, Document]) -> None:
    texts = [json.loads(line)["text"] for line in (folder / "texts.jsonl").read_text("utf-8").splitlines()]
    for document in list(documents.values())[:40]:
        assert any(text.startswith(document.title) and text.endswith(document.text) for text in texts)
    acarbose = documents["drug/acarbose"]
    use = acarbose.body(acarbose.sections[1])
    assert sum(use in text or use.replace("- ", "").replace("\n", " ") in text for text in texts) >= 4


def test_a_right_folder_has_no_faults(folder: Path, kb: Kb) -> None:
    report = check_data(folder, kb)
    assert report.faults == ()
    assert report.spans > 3000


def _spoilt(folder: Path, kb: Kb, out: Path, spoil: Callable[[dict[str, Any]], bool]) -> tuple[str, ...]:
    """The faults after the first sample that `spoil` alters, the manifest aside."""
    spoilt = False
    lines = []
    for line in (folder / "samples.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        spoilt = spoilt or spoil(row)
        lines.append(json.dumps(row, ensure_ascii=False))
    assert spoilt
    (out / "samples.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (out / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    (out / "texts.jsonl").write_bytes((folder / "texts.jsonl").read_bytes())
    digest, *faults = check_data(out, kb).faults
    assert "samples.jsonl: 与清单里的摘要不符" in digest
    return tuple(faults)


def _a(row: dict[str, Any], kind: str) -> bool:
    return row["kind"] == kind and row["split"] == "train"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda row: _a(row, "closed") and not row["messages"][1].update(content=row["messages"][1]["content"] + "。"), "原文不一致"),
        (lambda row: _a(row, "closed") and not row["messages"][0].update(content="别的问题"), "摘要与对话内容不符"),
        (lambda row: _a(row, "closed") and not row["provenance"]["documents"][0].update(digest="0" * 64), "原文不一致"),
        (lambda row: _a(row, "cited") and not row["messages"][1].update(content="依我看可以。[1]"), "不是所引的句子"),
        (
            lambda row: _a(row, "cited") and not row["messages"][1].update(content=row["messages"][1]["content"][:-3] + "[99]"),
            "不是所引的句子",
        ),
        (lambda row: _a(row, "cited") and not row["messages"][1].update(content="没有编号的话。"), "没有标编号"),
        (lambda row: _a(row, "refusal") and not row["messages"][1].update(content="可以吃。"), "拒答不是规定的那一句"),
        (lambda row: _a(row, "closed") and row.update(template="drug/适应症/h01") is None, "留出的问法"),
        (lambda row: _a(row, "closed") and row.update(split="test") is None, "同时在 test、train 里"),
        (lambda row: _a(row, "dialogue") and bool(row["messages"].pop()), "不是一问一答"),
    ],
)
def test_what_is_spoilt_is_told(folder: Path, kb: Kb, tmp_path: Path, spoil: Callable[[dict[str, Any]], bool], told: str) -> None:
    faults = _spoilt(folder, kb, tmp_path, spoil)
    assert any(told in fault for fault in faults)
    assert len(faults) <= 3


def test_statistics_count_what_is_there(folder: Path) -> None:
    counted = statistics(folder)
    rows = _rows(folder)
    assert counted.samples == len(rows) == sum(counted.kinds.values()) == sum(counted.answer_characters.values())
    assert counted.kinds["refusal"] / len(rows) == pytest.approx(counted.refusals, abs=1e-4)
    assert 0.08 < counted.refusals < 0.2
    assert counted.contradicted == 0  # no question has two answers
    assert counted.longest == max(sum(len(turn["content"]) for turn in row["messages"]) for row in rows)
