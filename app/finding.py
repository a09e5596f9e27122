"""What gathering evidence comes to: sentences that answer, a refusal, or a question back."""

from dataclasses import dataclass

from app.citations import Unit

NOT_DIRECTLY = "没有找到直接回答的内容，以下是资料里最接近的。"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Sentences that answer, in the order to show them. `notices` say what a reader must know about them."""

    units: tuple[Unit, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing held answers. `near` are positions of the documents that come nearest to `name` in the question."""

    reason: str
    near: tuple[int, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Clarification:
    """Several documents fit `name` in the question; `candidates` are their positions."""

    prompt: str
    candidates: tuple[int, ...] = ()
    name: str = ""


Finding = Evidence | Refusal | Clarification
