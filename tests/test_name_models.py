"""Names told from the words around them: the models that come with the project, and how they are trained."""

import json

import pytest

from finetune.name_models import NameRecipe, train_name_models
from indexer.errors import QizhenError
from indexer.name_models import NAME_MODELS, joined_before, joined_behind, likely_name, said_together
from indexer.names import NamedDocument, NameIndex
from indexer.query import read_query
from indexer.sections import SHIPPED, guide_text, load_guide


@pytest.fixture(scope="module")
def guide():
    return load_guide(guide_text(SHIPPED), str(SHIPPED))


@pytest.fixture(scope="module")
def names(guide):
    held = [
        ("disease", "甲状腺结节"),
        ("disease", "萎缩性胃炎"),
        ("disease", "流感"),
        ("disease", "心脏病"),
        ("disease", "糖尿病"),
        ("drug", "安定片"),
    ]
    return NameIndex([NamedDocument(number, kind, title) for number, (kind, title) in enumerate(held)], guide.words)


@pytest.mark.parametrize(
    ("question", "surface"),
    [
        ("查出来甲状腺结节要紧吗", "甲状腺结节"),
        ("胃镜报告萎缩性胃炎，会变癌吗", "萎缩性胃炎"),
        ("一直靠安定片顶着", "安定片"),
        ("糖尿病老病号，脚发黑", "糖尿病"),
    ],
)
def test_words_beside_a_name_make_no_other_name(question, surface, names, guide):
    mention = read_query(question, names, guide).mentions[0]
    assert (question[mention.start : mention.end], mention.whole) == (surface, "")


@pytest.mark.parametrize(
    ("question", "whole"),
    [("肺源性心脏病怎么治", "肺源性心脏病"), ("甲亢心脏病吃什么药", "甲亢心脏病"), ("糖尿病肾病的检查", "糖尿病肾病")],
)
def test_what_makes_another_disease_still_does(question, whole, names, guide):
    assert read_query(question, names, guide).mentions[0].whole == whole


def test_names_and_words_lie_on_two_sides():
    names = ["阿美替尼", "奥沙拉嗪", "司美格鲁肽", "川芎茶调散", "膀胱癌", "卵巢囊肿"]
    words = ["刚开始治", "打疫苗", "复查", "疗程", "减肥", "一直顶着"]
    assert min(map(likely_name, names)) > 0.5 > 0.05 > max(map(likely_name, words))
    assert joined_before("狼疮", "肾炎") > 0.1 > 0.01 > joined_before("昨天查出", "肾炎")
    assert joined_behind("危象", "高血压") > 0.5 > 0.01 > joined_behind("吃什么", "高血压")
    assert joined_before("", "肾炎") == joined_behind("", "肾炎") == 0.0


def test_pairs_that_running_text_says_together():
    assert said_together("威胁")
    assert not said_together("彤两")


@pytest.mark.parametrize(("question", "found"), [("康忻俩一起吃行吗", True), ("康忻胁到生命", True), ("康威胁到生命", False)])
def test_a_short_brand_stands_alone_beside_speech(question, found, guide):
    held = NameIndex([NamedDocument(0, "drug", "康忻"), NamedDocument(1, "drug", "康威")], guide.words)
    assert [mention.surface for mention in read_query(question, held, guide).mentions] == ([question[:2]] if found else [])


def test_the_shipped_models_say_what_they_keep():
    made = json.loads((NAME_MODELS / "manifest.json").read_text("utf-8"))
    assert made["models"]["whole"]["kept apart"]["names kept at 0.05"] >= 0.95
    assert all(set(told) >= {"right", "wrong", "kept apart"} for told in made["models"].values())


@pytest.fixture
def spoken(tmp_path):
    path = tmp_path / "spoken.jsonl"
    lines = [
        {"question": "我查出来高血压三年了，一直靠药顶着，怎么办才好呢"},
        {"question": "妈妈说嗓子疼得厉害，吃点什么能好得快一点", "number": 3},
    ]
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    return path


def _document(tmp_path):
    path = tmp_path / "kb.jsonl"
    rows = [
        {
            "id": f"d{n}",
            "kind": "disease",
            "title": title,
            "sections": [{"title": "概述", "text": f"{title}是一种常见的病，应当及时就医。"}],
        }
        for n, title in enumerate(("高血压", "妊娠高血压", "肾炎", "狼疮肾炎", "高血压危象", "流感", "禽流感", "肾炎综合征"))
    ]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    return path


def test_training_is_reproducible(tmp_path, spoken):
    recipe = NameRecipe(rows=1024, invented=300, pieces=300)
    made = [train_name_models([_document(tmp_path)], [spoken], tmp_path / out, recipe) for out in ("a", "b")]
    assert made[0] == made[1]
    for name in ("before.npy", "behind.npy", "whole.npy", "pairs.npy", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_texts_without_names_teach_nothing(tmp_path, spoken, monkeypatch):
    monkeypatch.setattr("finetune.name_models._names", lambda knowledge: [])
    with pytest.raises(QizhenError, match="名称 `0` 个"):
        train_name_models([_document(tmp_path)], [spoken], tmp_path / "out", NameRecipe())
    assert not (tmp_path / "out").exists()
