"""One document that somebody brings into a conversation: read, searched and cited there, and nowhere else.

It is built as a small release in the folder that Chainlit keeps for the session and removes with it. Nothing of it is in the index, in
another conversation, or among what is kept of this one.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from app.answering import Answer
from app.desk import Desk
from app.layout import ONLY_UPLOADED, escape
from app.problems import Problem
from app.question import Turn
from app.safety import REFUSAL
from indexer.build import build_release
from indexer.embedder import FAST, open_embedder
from indexer.errors import Fault, KnowledgeBaseError
from indexer.formats import sniff
from indexer.release import Release, open_release

MOST_BYTES = 20_000_000
_KINDS = {"pdf": "PDF", "docx": "Word", "txt": "文本"}
_FOLDER = "document"
_MOST_WARNINGS = 8
_LONGEST_NAME = 60  # characters; a file system takes 255 bytes
_READ = "已读取"
ONE_FILE = "一次只能依据一个文件，收到 {count} 个，都没有读。请只附上一个。"
TOO_LARGE = "文件有 {size:.1f} MB，超过 {most} MB 的上限，没有读。请拆开或压缩后再附上。"
WRONG_KIND = "附件{why}，没有读。可以附上 PDF、Word（.docx）或文本文件。"
UNREADABLE = "附件没有读成：{why}。"
REMOVED = "已移除上传的文件，以下的提问重新从知识库回答。"
_ABOUT_FILE = "您上传的文件"


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A document of one conversation. `name` is what its owner calls it, `warnings` what was not read or is doubtful in it."""

    name: str
    thread: str
    folder: Path
    release: Release
    characters: int
    pages: int
    sections: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def mark(self) -> str:
        """What stands above every answer from it."""
        return f"{ONLY_UPLOADED}“{self.name}”，没有查知识库；这条回答没有记录编号，文件随会话删除，引用的原句留在这条对话里。"

    def message(self) -> str:
        """What was read and what was not, in Markdown."""
        pages = f"{self.pages} 页，" if self.pages else ""
        titles = "、".join(self.sections[:12]) + ("等" if len(self.sections) > 12 else "")
        lines = [f"**{_READ}“{escape(self.name)}”**：{pages}{len(self.sections)} 节，{self.characters} 字。以下的提问只依据这份文件。"]
        lines += [f"章节：{escape(titles)}"]
        lines += ["没有读到或需要核对的：\n" + "\n".join(f"- {escape(warning)}" for warning in self.warnings)] if self.warnings else []
        return "\n\n".join(lines)

    def history(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """What was said since the document was brought in. Where it is about one drug or disease, that is what is spoken of."""
        begun = max((at for at, turn in enumerate(turns) if turn.content.startswith(f"**{_READ}“")), default=-1)
        store = self.release.store
        subject = (Turn("user", store.document(0).title),) if store.documents == 1 else ()
        return (*subject, *turns[begun + 1 :])

    def marked(self, answer: Answer) -> Answer:
        """An answer from this document, which says so, and does not speak of the knowledge base."""
        notices = [notice.replace("知识库", _ABOUT_FILE) if notice.startswith(REFUSAL) else notice for notice in answer.notices]
        return replace(answer, notices=(self.mark, *notices))

    def rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of sources under an answer, which say that they are not from the knowledge base."""
        return [{**row, "uploaded": True} for row in rows]


def read_upload(folder: Path, thread: str, name: str, data: bytes) -> Uploaded:
    """Read a file that somebody attached, into a folder of the session. Raises Problem, in words for its owner."""
    kind = _kind(data)
    if len(data) > MOST_BYTES:
        raise Problem(413, TOO_LARGE.format(size=len(data) / 1e6, most=MOST_BYTES // 1_000_000))
    stem = "".join(c for c in PurePosixPath(name.replace("\\", "/")).stem if c.isprintable())[:_LONGEST_NAME].strip(". ~$") or "文件"
    place = folder / _FOLDER
    shutil.rmtree(place, ignore_errors=True)
    given = place / "given"
    given.mkdir(parents=True)
    (given / f"{stem}.{kind}").write_bytes(data)
    try:
        report = build_release(place / "index", [given], embedder=open_embedder(FAST), user="chat")
        release = open_release(place / "index")
    except KnowledgeBaseError as error:
        shutil.rmtree(place, ignore_errors=True)
        raise Problem(422, UNREADABLE.format(why="；".join(_told(error.faults)).rstrip("。"))) from error
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    documents = [release.store.document(position) for position in range(release.store.documents)]
    return Uploaded(
        name=f"{stem}.{kind}",
        thread=thread,
        folder=place,
        release=release,
        characters=sum(len(document.text) for document in documents),
        pages=max(len(document.pages) for document in documents),
        sections=tuple(dict.fromkeys(section.title for document in documents for section in document.sections)),
        warnings=tuple(_told(report.warnings)),
    )


def _kind(data: bytes) -> str:
    """What a file is by its content, whatever it is called. Raises Problem for what is not read here."""
    kind, why = sniff(data)
    if kind not in _KINDS:
        raise Problem(415, WRONG_KIND.format(why=why or "不是这三种文件"))
    return kind


def _told(faults: Sequence[Fault]) -> list[str]:
    told = list(dict.fromkeys(f"{fault.field}：{fault.message}" if fault.field else fault.message for fault in faults))
    more = [f"另有 {len(told) - _MOST_WARNINGS} 处"] if len(told) > _MOST_WARNINGS else []
    return [*told[:_MOST_WARNINGS], *more]


class Uploads:
    """The documents of the sessions that are open, one each."""

    def __init__(self) -> None:
        self._held: dict[str, Uploaded] = {}
        # One is read at a time; extraction has a process of its own.
        self._desk = Desk(most=8, threads=1)

    def of(self, session: str, thread: str) -> Uploaded | None:
        """The document of a session, in the conversation that it was brought into."""
        self._sweep()
        held = self._held.get(session)
        return held if held and held.thread == thread else None

    async def read(self, session: str, thread: str, folder: Path, name: str, data: bytes) -> Uploaded:
        """Take a document in, in place of the one before it. Raises Problem."""
        self.drop(session)
        self._held[session] = found = await self._desk.do(lambda: read_upload(folder, thread, name, data))
        return found

    def drop(self, session: str) -> bool:
        """Let go of a session's document; whether it had one."""
        held = self._held.pop(session, None)
        if held is None:
            return False
        shutil.rmtree(held.folder, ignore_errors=True)
        return True

    def _sweep(self) -> None:
        """Chainlit removes the folder of a session that has ended; what was open of it is let go then."""
        for session in [session for session, held in self._held.items() if not held.folder.is_dir()]:
            del self._held[session]
