"""What an admin sent with a form: small, and read only once it is known that they may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request

from app.problems import Problem

MOST_BYTES = 100_000
LONGEST_WHY = 300  # characters
_KIND = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form; of one name there can be several."""

    fields: Mapping[str, Sequence[str]]

    def one(self, name: str) -> str:
        """A field's value, without what stands around it; "" where there is none."""
        return self.fields.get(name, ("",))[0].strip()

    def all(self, name: str) -> tuple[str, ...]:
        """All values of a name."""
        return tuple(self.fields.get(name, ()))

    @property
    def why(self) -> str:
        """The reason, in a line: it goes to the record. Raises Problem 422 where there is none, or too long a one."""
        why = " ".join("".join(letter if letter.isprintable() else " " for letter in self.one("why")).split())
        if not why:
            raise Problem(422, "没有写缘由，所以什么都没有做。请返回上一页，写明为什么这样做；缘由会连同您的名字记入记录。")
        if len(why) > LONGEST_WHY:
            raise Problem(422, f"缘由有 {len(why)} 个字，太长了，所以什么都没有做。请返回上一页，写在 {LONGEST_WHY} 字以内。")
        return why


async def form_of(request: Request) -> Form:
    """The form of a request. Raises Problem 413, 415 or 422."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != _KIND:
        raise Problem(415, f"表单的格式是 `{kind[:60]}`，应为 {_KIND}。")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Problem(413, f"表单超过 {MOST_BYTES} 字节，没有读。")
    try:
        return Form(parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=2000, errors="strict"))
    except ValueError as error:  # that it is not UTF-8 among them
        raise Problem(422, "表单读不懂，什么都没有做。请返回上一页再试。") from error


Sent = Annotated[Form, Depends(form_of)]
