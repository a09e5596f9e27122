"""The four columns on a knowledge base checked by hand, with a model of random weights as the closed book."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import byte_level, lora

from finetune import console
from finetune.asking_model import AskModel, open_model
from finetune.evaluate import Evaluation, EvaluationError, evaluate, read_answers
from finetune.exam import expected_terms, few_of, is_scorable, plain_text, read_exam, with_terms
from finetune.figures import compare, worst
from finetune.marking import distinct_share, entries_of, mark, text_recall
from finetune.report import reached
from indexer.errors import GeneratorError, QuestionError
from indexer.release import Release

pytestmark = pytest.mark.slow

QUESTIONS = [
    {
        "id": "a",
        "question": "头孢克洛胶囊的适应症是什么？",
        "documents": ["drug/a"],
        "section": "适应症",
        "terms": [["中耳炎"], ["肺炎"], ["尿路感染"], ["鼻窦炎"]],
        "category": "药品",
    },
    {
        "id": "g",
        "question": "痛风的临床表现有哪些？",
        "documents": ["disease/g"],
        "section": "临床表现",
        "terms": [["关节红肿热痛"], ["高尿酸血症"]],
        "category": "疾病",
    },
    {"id": "n", "question": "阿奇霉素片的用法用量是什么？", "documents": [], "refuse": True, "category": "拒答"},
]


def nothing(step: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def questions(write_lines: Callable[..., Path]) -> Path:
    return write_lines(QUESTIONS, "questions.jsonl")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return byte_level(tmp_path_factory.mktemp("base"), context=2048, seed=3)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = lora(base, tmp_path_factory.mktemp("adapter"), r=2, lora_alpha=8, target_modules=["q_proj"])
    (folder / "qizhen.json").write_text(json.dumps({"template": "qizhen"}), "utf-8")
    return folder


@pytest.fixture(scope="module")
def model(base: Path, adapter: Path) -> AskModel:
    return open_model(base, adapter, batch=3)


# ---------------------------------------------------------------- one answer


def test_an_answer_is_cut_into_entries_without_their_wrapping() -> None:
    found = entries_of("本品适用于：高血压、心绞痛和心力衰竭等，不用于哮喘。")
    assert [entry.text for entry in found] == ["高血压", "心绞痛", "心力衰竭", "不用于哮喘"]
    assert [(entry.start, entry.end) for entry in found][:2] == [(6, 9), (10, 13)]


def test_precision_counts_entries_that_are_no_expected_item() -> None:
    got = mark("高血压、心绞痛、脚气，高血压", [["高血压"], ["心绞痛"], ["心衰"]], {}, source="用于高血压和心绞痛。")
    assert (got.score.named, got.score.expected, got.entries, got.matched, got.held) == (2, 3, 4, 3, 3)


def test_an_entry_that_stands_denied_in_the_source_is_not_held() -> None:
    assert mark("哮喘", [], {}, source="不用于哮喘。").held == 0


def test_an_answer_without_a_source_or_reference_has_no_figures_of_them() -> None:
    got = mark("高血压", [["高血压"]], {})
    assert (got.held, got.recall) == (None, None)


def test_text_recall_is_the_share_of_characters_in_order() -> None:
    assert text_recall("口服，一日三次。", "口服一日3次") == pytest.approx(5 / 6)
    assert text_recall("", "口服") == 0


def test_repetition_shows_in_sequences_of_four() -> None:
    assert distinct_share("一二三四五") == 1
    assert distinct_share("啊" * 12) == pytest.approx(1 / 9)
    assert distinct_share("短") == 1


# ---------------------------------------------------------------- files of questions


def test_the_original_table_becomes_questions_and_documents(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(
        "\ufeff药品,药品适应症,医学专家标注的适应病症,instruction\n"
        "甲片,<p>用于&ldquo;高血压&rdquo;。</p><p>用于水肿</p>,高血压|水肿,甲片的适应病症\n乙片,用于痛经、经前期综合征,痛经，经前期综合征,\n".encode()
    )
    exam = read_exam(path)
    assert [q.question for q in exam.questions] == ["甲片的适应病症", "乙片的适应病症"]
    assert [q.terms for q in exam.questions] == [(("高血压",), ("水肿",)), (("痛经，经前期综合征",),)]
    assert exam.documents[0]["sections"] == [{"title": "适应症", "text": "用于“高血压”。\n用于水肿"}]
    assert exam.questions[0].documents == (exam.documents[0]["id"],)
    result = evaluate(Evaluation((path,)), tmp_path / "out", nothing)
    assert [got["standard_3"]["share"] for got in result["exams"]["table.csv"][""].values()] == [1, 1, 1]


def test_a_less_than_sign_is_no_tag() -> None:
    assert plain_text("血压<140 mmHg且>90 &lt;成人&gt;<br/>，<b>肾</b>") == "血压<140 mmHg且>90 <成人>\n，肾"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("药品,药品适应症\n甲,乙\n".encode(), "缺少列 `医学专家标注的适应病症`"),
        (b"", "缺少列 `药品、药品适应症、医学专家标注的适应病症`"),
        ("药品,药品适应症,医学专家标注的适应病症\n甲片,用于高血压,\n".encode(), "第 `2` 行没有医学专家标注的适应病症"),
        (b"\xff\xfe\xff", "读不出来"),
    ],
)
def test_a_table_with_faults_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(QuestionError) as caught:
        read_exam(path)
    assert fault in caught.value.fault


def sample_row(number: int, kind: str, split: str, entity: str, template: str, question: str, answer: str) -> dict[str, Any]:
    return {
        "id": f"s-{number}",
        "kind": kind,
        "split": split,
        "entity": entity,
        "field": "适应症",
        "template": template,
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
        "provenance": {"documents": [{"id": "drug/b", "start": 0, "end": 1, "digest": ""}]},
    }


SAMPLES = [
    sample_row(0, "closed", "train", "头孢克肟胶囊", "drug/适应症/01", "头孢克肟胶囊治什么？", "用于支气管炎、肾盂肾炎和胆囊炎。"),
    sample_row(1, "closed", "test", "头孢克肟胶囊", "drug/适应症/h01", "头孢克肟胶囊的适应病症", "用于支气管炎、肾盂肾炎和胆囊炎。"),
    sample_row(2, "closed", "test", "逍遥丸", "drug/适应症/h01", "逍遥丸的适应病症", "疏肝。"),
    sample_row(3, "closed", "dev", "逍遥丸", "drug/适应症/01", "逍遥丸治什么？", "疏肝。"),
    sample_row(4, "refusal", "test", "可莫司他片", "drug/适应症/h01", "可莫司他片的适应病症", "知识库无法回答这个问题"),
    sample_row(
        5, "cited", "test", "头孢克肟胶囊", "drug/适应症/h01", "<资料>\n[1] 用于支气管炎。\n</资料>\n<问题>问</问题>", "用于支气管炎。[1]"
    ),
    sample_row(6, "refusal", "test", "头孢克肟胶囊", "drug/适应症/h01", "<资料>\n</资料>\n<问题>问</问题>", "知识库无法回答这个问题"),
]


@pytest.mark.parametrize(("templates", "ids"), [("seen", [0, 3]), ("all", [0, 1, 2, 3, 4])])
def test_the_bare_questions_of_samples_are_asked_by_cell(write_lines: Callable[..., Path], templates: Any, ids: list[int]) -> None:
    exam = read_exam(write_lines(SAMPLES, "samples.jsonl"), templates)
    assert [question.id for question in exam.questions] == [f"s-{n}" for n in ids]


def test_what_was_taught_is_asked_in_every_form_that_was_not(write_lines: Callable[..., Path]) -> None:
    exam = read_exam(write_lines(SAMPLES, "samples.jsonl"))
    anew = [question for question in exam.questions if question.id.startswith("头孢克肟胶囊/drug/适应症/h")]
    assert len(anew) >= 2
    assert "头孢克肟胶囊的适应病症" in {question.question for question in anew}
    assert {question.group for question in anew} == {"已学对象·未学问法"}
    assert {question.reference for question in anew} == {"用于支气管炎、肾盂肾炎和胆囊炎。"}
    assert [question.id for question in exam.questions[len(anew) :]] == ["s-2", "s-4"]
    assert exam.questions == read_exam(exam.path).questions


def test_cells_say_what_was_learnt_and_refusals_have_their_own(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in SAMPLES)
    exam = read_exam(path)
    assert [q.group for q in exam.questions[-2:]] == ["未学对象·未学问法", "应拒绝·未学对象·未学问法"]
    assert [q.refuse for q in exam.questions[-2:]] == [False, True]
    assert exam.questions[0].reference.startswith("用于支气管炎")


def test_samples_take_the_items_that_experts_expect_of_their_section(write_lines: Callable[..., Path]) -> None:
    golden = [
        {"id": "1", "question": "问", "documents": ["drug/b"], "section": "适应症", "terms": [["支气管炎"], ["胆囊炎"]]},
        {"id": "2", "question": "问", "documents": ["drug/b"], "section": "适应症", "terms": [["胆囊炎", "胆管炎"], ["肾盂肾炎"]]},
        {"id": "3", "question": "问", "documents": ["drug/b", "drug/a"], "section": "适应症", "terms": [["别的"]]},
    ]
    exam = read_exam(write_lines(SAMPLES, "samples.jsonl"))
    known = expected_terms([read_exam(write_lines(golden))], str)
    given = with_terms(exam, known, str)
    assert given.questions[0].terms == (("支气管炎",), ("胆囊炎", "胆管炎"), ("肾盂肾炎",))
    assert given.questions[-1].terms == ()


def test_only_what_is_scored_is_asked_where_that_is_wanted(write_lines: Callable[..., Path], sample_index: Path, tmp_path: Path) -> None:
    unscored = {"id": "u", "question": "痛风挂什么科？", "documents": ["disease/g"], "span": "风湿免疫科"}
    path = write_lines([*QUESTIONS, unscored], "some.jsonl")
    for only, count in ((True, 3), (False, 4)):
        result = evaluate(Evaluation((path,), index=sample_index, columns=("chain",), only_scored=only), tmp_path, nothing)
        assert result["exams"]["some.jsonl"][""]["chain"]["questions"] == count


def test_few_questions_are_the_same_for_a_seed(questions: Path) -> None:
    exam = read_exam(questions)
    assert few_of(exam, 0, 1) == exam
    assert len(few_of(exam, 2, 1).questions) == 2
    assert few_of(exam, 2, 1) == few_of(exam, 2, 1)
    assert len({few_of(exam, 1, seed).questions[0].id for seed in range(20)}) > 1


def test_a_packed_file_that_is_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"messages": []}\n' * 1000)[:-20])
    with pytest.raises(QuestionError, match="读不出来"):
        read_exam(path)


def test_a_sample_without_its_parts_is_told_with_its_line(write_lines: Callable[..., Path]) -> None:
    broken = {key: value for key, value in SAMPLES[1].items() if key != "kind"}
    with pytest.raises(QuestionError, match="第 `2` 行不是样本"):
        read_exam(write_lines([SAMPLES[0], broken], "samples.jsonl"))


# ---------------------------------------------------------------- the columns


def test_source_retrieval_and_chain_stand_side_by_side(sample_index: Path, questions: Path, tmp_path: Path) -> None:
    result = evaluate(Evaluation((questions,), index=sample_index), tmp_path, nothing)
    whole = result["exams"]["questions.jsonl"][""]
    assert list(whole) == ["source", "retrieval", "chain"]
    for column in ("source", "chain"):
        assert [whole[column][f"standard_{n}"]["share"] for n in (1, 2, 3)] == [1, 1, 1]
        assert whole[column]["item_recall"]["share"] == pytest.approx(5 / 6, abs=1e-4)
    assert (whole["source"]["questions"], whole["chain"]["questions"]) == (2, 3)  # no text answers the third
    assert whole["chain"]["refused"]["refuse"]["share"] == 1
    assert whole["chain"]["refused"]["answer"]["share"] == 0
    assert whole["chain"]["contradicted"]["share"] == 0
    assert whole["chain"]["supported"]["share"] == 1
    assert whole["chain"]["held"]["share"] == 1
    assert set(result["exams"]["questions.jsonl"]) == {"", "药品", "疾病", "拒答", "适应症", "临床表现"}


def test_chance_is_the_text_of_another_document(write_lines: Callable[..., Path], sample_index: Path, tmp_path: Path) -> None:
    path = write_lines([*QUESTIONS, {**QUESTIONS[0], "id": "again"}], "some.jsonl")
    evaluate(Evaluation((path,), index=sample_index, columns=("chance",)), tmp_path, nothing)
    said = {row["id"]: row["answer"][:4] for row in read_answers(tmp_path)}
    assert said == {"a": "关节红肿", "g": "1、中耳", "again": "关节红肿"}


def test_every_answer_is_kept_with_the_places_of_its_hits(sample_index: Path, questions: Path, tmp_path: Path) -> None:
    evaluate(Evaluation((questions,), index=sample_index, columns=("source",)), tmp_path, nothing)
    row = read_answers(tmp_path)[0]
    assert row["answer"] == "1、中耳炎。2、下呼吸道感染，包括肺炎。3、尿路感染。"
    assert [row["answer"][hit["start"] : hit["end"]] for hit in row["hits"]] == ["中耳炎", "肺炎", "尿路感染"]
    assert [hit["item"] for hit in row["hits"]] == [0, 1, 2]
    assert row["standards"] == [True, True, True]


def test_the_manifest_says_how_to_measure_again(sample_index: Path, questions: Path, tmp_path: Path) -> None:
    import hashlib

    evaluate(Evaluation((questions,), index=sample_index, seed=11), tmp_path, nothing)
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    assert manifest["files"]["questions.jsonl"]["sha256"] == hashlib.sha256(questions.read_bytes()).hexdigest()
    assert (manifest["seed"], manifest["generator"], manifest["model"]) == (11, "quoting", None)
    assert len(manifest["matcher"]["aliases"]) == 64
    assert manifest["release"]["documents"] == 10


def test_two_runs_say_the_same_but_for_the_time(sample_index: Path, questions: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        evaluate(Evaluation((questions,), index=sample_index), tmp_path / name, nothing)
    one, two = ([{**row, "seconds": 0} for row in read_answers(tmp_path / name)] for name in ("one", "two"))
    assert one == two


def test_a_run_is_held_against_an_earlier_one(sample_index: Path, questions: Path, tmp_path: Path) -> None:
    evaluate(Evaluation((questions,), index=sample_index), tmp_path / "before", nothing)
    path = tmp_path / "before" / "answers.jsonl"
    rows = read_answers(tmp_path / "before")
    for row in rows:
        if row["column"] == "chain" and row["expected"]:
            row.update(named=0, standards=[False, False, False])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    result = evaluate(Evaluation((questions,), index=sample_index, against=tmp_path / "before"), tmp_path / "now", nothing)
    by_column = {row["column"]: row for row in result["against"]}
    assert by_column["source"]["standard_1"] == {"only_now": 0, "only_then": 0, "p": 1.0}
    assert by_column["chain"]["standard_1"] == {"only_now": 2, "only_then": 0, "p": 0.5}
    assert by_column["chain"]["item_recall"]["difference"] == pytest.approx((3 / 4 + 1) / 2)
    assert "2/0 (0.500)" in (tmp_path / "now" / "report.md").read_text("utf-8")


def test_questions_that_differ_are_not_compared() -> None:
    row = {"exam": "e", "column": "chain", "id": "1", "question": "问", "expected": [["甲"]], "named": 1, "standards": [True] * 3}
    assert compare([row], [{**row, "question": "又问"}], 7) == []
    assert compare([row], [{**row, "expected": [["乙"]]}], 7) == []
    assert compare([row], [{**row, "exam": "renamed"}], 7)[0]["questions"] == 1


# ---------------------------------------------------------------- the report


def test_the_report_has_tables_published_figures_and_caveats(sample_index: Path, questions: Path, tmp_path: Path) -> None:
    evaluate(Evaluation((questions,), index=sample_index), tmp_path, nothing)
    report = (tmp_path / "report.md").read_text("utf-8")
    assert "| 全部 | 全链 | 2 | 100.0（34.2～100.0） |" in report
    assert "| QiZhen-CaMA-13B-12400 | 91.49 | 82.98 | 72.34 | 人工 |" in report
    assert "| QiZhen-CaMA-13B-12400 | 95 / 15 / 7 | 97 / 20 / 7 | 75 / 36 / 23 | 人工 |" in report
    assert "## 读数须知" in report
    assert "没说出：鼻窦炎" in report


def test_questions_of_one_kind_stand_beside_the_published_ones(
    write_lines: Callable[..., Path], sample_index: Path, tmp_path: Path
) -> None:
    plain = [{key: value for key, value in QUESTIONS[0].items() if key != "category"}]
    evaluate(Evaluation((write_lines(plain, "drugs.jsonl"),), index=sample_index), tmp_path, nothing)
    assert "| 本次 drugs.jsonl · 全链（1 题） | 100.00 | 100.00 | 100.00 | 自动 |" in (tmp_path / "report.md").read_text("utf-8")


def test_the_curve_counts_questions_with_at_least_so_much() -> None:
    rows = [{"named": named, "expected": [["x"]] * 2} for named in (0, 1, 2, 2)]
    curve = dict(reached(rows))
    assert (curve[0], curve[50], curve[60], curve[100]) == (100, 75, 50, 50)


def test_the_worst_answers_come_first() -> None:
    row = {"column": "closed", "must": "answer", "status": "answered", "contradicted": 0, "recall": None, "named": 1, "expected": [["a"]]}
    rows = [
        {**row, "id": "right"},
        {**row, "id": "poor", "named": 0},
        {**row, "id": "made up", "must": "refuse", "expected": []},
        {**row, "id": "false", "contradicted": 2},
        {**row, "id": "elsewhere", "column": "chain", "named": 0},
    ]
    assert [found["id"] for found in worst(rows, "closed")] == ["false", "made up", "poor"]


# ---------------------------------------------------------------- what cannot be run


def test_everything_that_stands_in_the_way_is_told_at_once(write_lines: Callable[..., Path], tmp_path: Path) -> None:
    bare = write_lines([{"id": "1", "question": "头孢克洛怎么吃"}], "bare.jsonl")
    evaluation = Evaluation(
        (tmp_path / "absent.jsonl", bare),
        knowledge=(tmp_path,),
        index=tmp_path,
        base=tmp_path,
        adapter=tmp_path,
        generator="parrot",
        columns=("closed", "sauce"),
        against=tmp_path,
    )
    with pytest.raises(EvaluationError) as caught:
        evaluate(evaluation, tmp_path / "out", nothing)
    told = caught.value.fault
    for fault in (
        "absent.jsonl` 读不出来",
        "没有一题写明该怎样回答",
        "没有 `sauce` 这一列",
        "里没有模型",
        "不能同时给出",
        "没有可比的评测结果",
        "qizhen.json",
    ):
        assert fault in told
    assert "`7` 处" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"columns": ("closed",)}, "`closed` 列要有模型"),
        ({"generator": "local"}, "`local` 要有模型"),
        ({"generator": "parrot"}, "没有回答方式 `parrot`"),
        ({"adapter": Path("x")}, "没有配它的模型"),
        ({"questions": ()}, "没有问题文件"),
    ],
)
def test_what_is_missing_is_named(questions: Path, tmp_path: Path, changed: dict[str, Any], fault: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        evaluate(Evaluation(**{"questions": (questions,), **changed}), tmp_path / "out", nothing)
    assert fault in caught.value.fault


def test_a_question_is_scorable_where_something_is_known_of_its_answer(questions: Path) -> None:
    assert all(map(is_scorable, read_exam(questions).questions))


def test_the_command_prints_one_object(
    sample_index: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["evaluate", "--questions", str(questions), "--index", str(sample_index), "--out", str(tmp_path), "--json"]
    monkeypatch.setattr("sys.argv", ["qizhen-finetune", *words])
    with pytest.raises(SystemExit) as stop:
        console.main()
    assert not stop.value.code
    assert json.loads(capsys.readouterr().out)["exams"]["questions.jsonl"][""]["chain"]["scored"] == 2


# ---------------------------------------------------------------- the model


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_batch_does_not_change_an_answer(model: AskModel) -> None:
    prompts = ["头孢克洛胶囊的适应症是什么？", "问", "痛风的临床表现有哪些？", "头孢", "逍遥丸怎么吃"]
    together = model.answer(prompts, 12)
    assert together == [model.answer([prompt], 12)[0] for prompt in prompts]
    assert len(set(together)) > 1
    assert model.is_steady([[("user", prompt)] for prompt in prompts])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_answer_that_does_not_end_is_told_as_cut(model: AskModel) -> None:
    replies = model.reply([[("user", "问")]], 3)
    assert (replies[0].tokens, replies[0].whole) == (3, False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_model_is_asked_in_the_template_of_its_adapter(model: AskModel) -> None:
    prompt = model.prompt_ids([("user", "问")])
    assert len(prompt) == len("问：问\n答：".encode())
    assert model.template == "qizhen"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_likelihoods_are_those_of_the_model_token_by_token(base: Path, adapter: Path, model: AskModel) -> None:
    import torch

    turns, texts = [("user", "选哪个")], ["A", "AB", "C"]
    got = model.likelihoods(turns, texts)
    prompt, end = model.prompt_ids(turns), model._ends[0]
    for text, likelihood in zip(texts, got, strict=True):
        ids = [*prompt, *model._encode(text), end]
        with torch.inference_mode():
            logs = torch.log_softmax(model._model(torch.tensor([ids])).logits[0], -1)
        expected = sum(float(logs[at - 1, ids[at]]) for at in range(len(prompt), len(ids)))
        assert likelihood == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_all_four_columns_with_a_model_that_babbles(
    sample: Release, sample_index: Path, questions: Path, base: Path, adapter: Path, tmp_path: Path, write_lines: Callable[..., Path]
) -> None:
    choices = write_lines([{"id": "1", "question": "?", "options": {"A": "甲", "B": "乙"}, "answer": "B"}], "choices.jsonl")
    evaluation = Evaluation((questions, choices), index=sample_index, base=base, adapter=adapter, generator="local", most_tokens=8)
    result = evaluate(evaluation, tmp_path, nothing)
    whole = result["exams"]["questions.jsonl"][""]
    assert list(whole) == ["source", "retrieval", "closed", "chain"]
    assert whole["closed"]["standard_1"]["share"] == 0
    assert whole["closed"]["cut"]["share"] == 1
    assert whole["closed"]["tokens"] == 3 * 8
    assert whole["chain"]["standard_3"]["share"] == 1  # noise is not shown, the evidence is quoted
    assert result["choices"]["choices.jsonl"][""]["questions"] == 1
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))["model"]
    assert manifest["template"]["name"] == "qizhen"
    assert manifest["same_in_batches"] is True
    assert len({manifest["base"]["digest"], manifest["adapter"]["digest"], ""}) == 3
    assert (tmp_path / "exam-0-standards.svg").read_text("utf-8").startswith("<svg")
    assert "最差的回答：闭卷" in (tmp_path / "report.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_model_without_a_chat_template_needs_an_adapter(base: Path) -> None:
    with pytest.raises(GeneratorError, match="没有自己的对话模板"):
        open_model(base)
