"""What else can be asked of the drug or disease that an answer was about: sections that its text really has."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.answering import Answer
from app.question import Turn
from indexer.release import Release

_MOST = 3
# In the order in which they matter before something is given.
_WORTH_ASKING = ("禁忌", "用法用量", "特殊人群", "药物相互作用", "不良反应", "适应症", "注意事项", "临床表现", "检查检验", "治疗药物")


@dataclass(frozen=True, slots=True)
class NextQuestion:
    """A section by name, and the question that is answered from it."""

    section: str
    question: str


def next_questions(release: Release, answer: Answer, turns: Sequence[Turn]) -> tuple[NextQuestion, ...]:
    """Up to three, of what this answer does not cite and nobody asked in these words before; none where it is about several."""
    documents = {citation.unit.document.id: citation.unit.document for citation in answer.citations}
    if len(documents) != 1:
        return ()
    [document] = documents.values()
    cited = {citation.unit.section for citation in answer.citations}
    asked = {turn.content for turn in turns if turn.role == "user"} | {answer.question}
    found = []
    for name in _WORTH_ASKING:
        sections = release.guide.find(document, name)
        question = f"{document.title}的{name}？"
        if sections and not cited & set(sections) and question not in asked:
            found.append(NextQuestion(name, question))
    return tuple(found[:_MOST])
