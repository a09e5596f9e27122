"""What is offered to be asked next, by hand on the sample."""

from app.answering import ask
from app.next_questions import NextQuestion, next_questions
from app.question import Turn
from indexer.release import Release


def test_sections_that_the_text_has_and_the_answer_does_not_cite_are_offered(sample: Release) -> None:
    answer = ask(sample, "头孢克洛的适应症？")
    offered = next_questions(sample, answer, ())
    assert [one.section for one in offered] == ["禁忌", "用法用量", "药物相互作用"]
    assert offered[0] == NextQuestion("禁忌", "头孢克洛胶囊的禁忌？")
    after = next_questions(sample, answer, (Turn("user", "头孢克洛胶囊的禁忌？"), Turn("assistant", "头孢克洛胶囊的用法用量？")))
    assert [one.section for one in after] == ["用法用量", "药物相互作用"]


def test_every_question_that_is_offered_is_answered_from_that_section(sample: Release) -> None:
    for one in next_questions(sample, ask(sample, "头孢克洛的适应症？"), ()):
        answer = ask(sample, one.question)
        assert answer.status == "answered"
        assert answer.citations[0].unit.section.title == one.section


def test_nothing_is_offered_of_several_or_of_nothing(sample: Release) -> None:
    assert next_questions(sample, ask(sample, "阿司匹林和华法林能一起用吗？"), ()) == ()
    assert next_questions(sample, ask(sample, "阿哌沙班的禁忌是什么？"), ()) == ()
