import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.release import Release
from indexer.search import coverage, search

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
