import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import indexer.search
from indexer.query import read_query
from indexer.release import Release
from indexer.search import _wanted, coverage, find_passages, search
from indexer.terms import terms

NAMED = st.sampled_from(["头孢克洛怎么吃", "痛风 检查", "逍遥丸的用法", "阿司匹林和华法林", "cefixime"])
QUESTIONS = NAMED | st.text(alphabet="头孢克洛阿司匹林痛风怎么吃用法禁忌关节红肿abc 123？，", min_size=1, max_size=25)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(question=QUESTIONS)
def test_hits_are_slices_in_order_and_the_same_every_time(sample: Release, question: str) -> None:
    hits = search(sample, question, 20)
    assert search(sample, question, 20) == hits
    assert search(sample, question, 3) == hits[:3]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits:
        assert hit.document.text[hit.start : hit.end] == hit.text
        assert -1.001 <= hit.similarity <= 1.001
        assert 0 <= hit.coverage <= 1


@pytest.mark.parametrize("question", ["头孢克洛胶囊怎么吃", "頭孢克洛膠囊怎麼吃", "ＣＥＦＡＣＬＯＲ 怎么吃", "希刻劳的用量"])
def test_a_named_drug_gets_its_own_passages_with_the_asked_section_first(sample: Release, question: str) -> None:
    hits = search(sample, question)
    assert {hit.document.id for hit in hits} == {"drug/a"}
    assert hits[0].section == "用法用量"


def test_without_a_name_all_documents_are_searched(sample: Release) -> None:
    assert search(sample, "寒战发热时怎么处理输液")[0].document.id == "text/h"


def test_coverage_counts_words_held_and_forgives_the_seam_between_them(sample: Release) -> None:
    assert coverage(sample, ["寒战输液报告"], "停止输液，寒战，报告") == 1.0
    assert coverage(sample, ["寒战输液"], "停止输液，寒战") < 1.0
    assert coverage(sample, ["寒战"], "发热") == 0.0
    assert 0 < coverage(sample, ["寒战青霉"], "寒战") < 1
    assert coverage(sample, [], "任何") == 0.0


@pytest.mark.parametrize(
    "question", ["寒战、发热、头痛", "寒战 发热 头痛", "关节红肿，痛风，发热。", "输液/寒战/发热", "cough, fever, rash"]
)
def test_words_side_by_side_are_a_list(sample: Release, question: str) -> None:
    assert read_query(question, sample.names, sample.guide).is_list


@pytest.mark.parametrize(
    "question",
    [
        "寒战、发热",
        "寒战发热时怎么处理输液",
        "头孢克洛 寒战 发热",
        "痛风 高血压 诊断",
        "输液的时候忽然打寒战，发热，怎么办",
        "痛风、痛风、痛风",
        "",
        "、、、",
    ],
)
def test_a_question_is_no_list(sample: Release, question: str) -> None:
    assert not read_query(question, sample.names, sample.guide).is_list


def test_a_list_is_looked_for_everywhere_and_by_its_words(sample: Release) -> None:
    """A disease in it does not close the other documents, and what holds all its words is first."""
    named = {hit.document.id for hit in search(sample, "痛风 寒战 怎么办")}
    listed = search(sample, "痛风、寒战、输液")
    assert named == {"disease/g"}
    assert len({hit.document.id for hit in listed}) > 1
    assert listed[0].document.id == "text/h"
    assert listed[0].parts.keyword == pytest.approx(0.8)


def test_words_of_texts_for_what_people_say_weigh_less_than_what_is_said(shipped: Release) -> None:
    weights = _wanted(read_query("孩子拉肚子", shipped.names, shipped.guide))
    assert {term: weights[term] for term in terms("拉肚子")} == dict.fromkeys(terms("拉肚子"), 1.0)
    assert 0 < weights["腹泻"] < 1
    assert set(_wanted(read_query("腹泻", shipped.names, shipped.guide))) == set(terms("腹泻"))  # as texts write it: nothing is added


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(question=QUESTIONS, factor=st.floats(0.1, 4))
def test_a_keyword_score_is_the_sum_of_its_terms_by_their_weights(sample: Release, question: str, factor: float) -> None:
    found = set(terms(question))
    alone = [dict(sample.keywords.search({term: 1.0}, sample.manifest.passages)) for term in found]
    together = dict(sample.keywords.search(dict.fromkeys(found, factor), sample.manifest.passages))
    assert together == pytest.approx({p: factor * sum(one.get(p, 0) for one in alone) for one in alone for p in one}, rel=1e-4)


def test_what_keywords_did_not_reach_scores_below_their_last(shipped: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer.search, "_CANDIDATES", 10)
    query = read_query("上了年纪总是觉得没力气怎么调理", shipped.names, shipped.guide)
    reached = dict(shipped.keywords.search(_wanted(query), 10))
    hits = find_passages(shipped, query, 20)
    last = min(reached.values()) / max(reached.values()) * shipped.embedder.keyword_share
    unreached = [hit for hit in hits if hit.parts.keyword < last]
    assert unreached
    assert {round(hit.parts.keyword / last, 4) for hit in unreached} == {0.85}
