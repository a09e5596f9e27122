"""A document brought into a conversation: what is read, what is refused, and that it goes."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from test_hospital_files import formulary_docx, label_pdf, locked_pdf, scanned_pdf, zipped

from app.answering import ask
from app.layout import leading, source_rows
from app.problems import Problem
from app.question import Turn
from app.superseded import mark_rows
from app.uploaded import MOST_BYTES, Uploads, read_upload
from indexer.release import Release

TEXT = "某片说明书\n\n【适应症】\n用于测试。\n\n【禁忌】\n孕妇禁用。\n".encode()


def test_an_answer_is_from_the_document_alone_with_its_page_and_says_so(tmp_path: Path) -> None:
    found = read_upload(tmp_path, "t", "../../新药 说明书.PDF", label_pdf())
    assert (found.name, found.pages) == ("新药 说明书.pdf", 2)
    assert "**已读取“新药 说明书\\.pdf”**：2 页" in found.message()
    answer = found.marked(ask(found.release, "测试地平片的禁忌是什么？"))
    assert answer.status == "answered"
    assert "孕妇禁用" in "".join(sentence.text for sentence in answer.sentences)
    assert {citation.unit.page for citation in answer.citations} == {2}
    assert all(sentence.citations for sentence in answer.sentences)
    first, _ = leading(answer.notices)
    assert first[0] == "仅依据您上传的文件“新药 说明书.pdf”，没有查知识库；这条回答没有记录编号，文件随会话删除，引用的原句留在这条对话里。"
    assert list(tmp_path.iterdir()) == [found.folder]


def test_what_it_does_not_hold_is_not_answered_from_elsewhere(tmp_path: Path) -> None:
    found = read_upload(tmp_path, "t", "x.txt", TEXT)
    answer = found.marked(ask(found.release, "阿莫西林的用法用量？"))
    assert (answer.status, answer.sentences) == ("refused", ())
    assert any(notice.startswith("您上传的文件无法回答这个问题") for notice in answer.notices)


def test_a_question_without_a_name_is_of_the_one_drug_and_of_none_where_there_are_several(tmp_path: Path) -> None:
    before = (Turn("user", "氨氯地平的禁忌？"), Turn("assistant", "**已读取“旧**"), Turn("user", "适应症呢？"))
    one = read_upload(tmp_path, "t", "某片.txt", TEXT)
    assert one.history(before) == (Turn("user", "某片"), Turn("user", "适应症呢？"))
    answer = ask(one.release, "孕妇能用吗？", one.history(before))
    assert [sentence.text for sentence in answer.sentences] == ["孕妇禁用。"]
    several = read_upload(tmp_path, "t", "a.docx", formulary_docx())
    assert ask(several.release, "禁忌是什么？", several.history(before[:1])).status != "answered"


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.pdf", locked_pdf(), "密码"),
        ("a.pdf", scanned_pdf(), "OCR"),
        ("a.pdf", b"%PDF-1.7\nbroken", "附件没有读成："),
        ("a.pdf", b"", "附件是空文件，没有内容，没有读。"),
        ("a.pdf", b"\x89PNG\r\n\x1a\n", "是图片"),
        ("a.pdf", zipped(a__txt=b"x"), "附件不是这三种文件，没有读。"),
        ("a.txt", b"<html><body>x</body></html>", "可以附上 PDF、Word（.docx）或文本文件"),
        ("a.pdf", b"%PDF-" + b"x" * MOST_BYTES, "文件有 20.0 MB，超过 20 MB 的上限，没有读。"),
    ],
)
def test_what_cannot_be_read_is_told_and_leaves_nothing(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    with pytest.raises(Problem) as refused:
        read_upload(tmp_path, "t", name, data)
    assert told in refused.value.detail
    assert str(tmp_path) not in refused.value.detail
    assert list(tmp_path.iterdir()) == []


def test_a_word_file_under_another_name_is_read_by_its_content(tmp_path: Path) -> None:
    found = read_upload(tmp_path, "t", "a.pdf", formulary_docx())
    assert found.name == "a.docx"
    assert "用法用量" in found.sections


def test_a_document_is_its_sessions_and_its_conversations_and_goes_with_either(tmp_path: Path) -> None:
    async def walk() -> None:
        uploads = Uploads()
        for session in ("s", "other"):
            (tmp_path / session).mkdir()
        await uploads.read("s", "t", tmp_path / "s", "a.txt", TEXT)
        assert uploads.of("s", "t")
        assert uploads.of("s", "another conversation") is None
        assert uploads.of("other", "t") is None
        assert uploads.drop("s")
        assert not uploads.drop("s")
        assert list((tmp_path / "s").iterdir()) == []
        held = await uploads.read("s", "t", tmp_path / "s", "a.txt", TEXT)
        held.release.close()
        for path in sorted(held.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        held.folder.rmdir()
        assert uploads.of("s", "t") is None
        with pytest.raises(Problem):
            await uploads.read("s", "t", tmp_path / "s", "a.pdf", b"x" * 10 + b"\x00")
        assert uploads.of("s", "t") is None

    asyncio.run(walk())


def test_a_reopened_answer_says_that_its_document_is_gone(tmp_path: Path, sample: Release) -> None:
    found = read_upload(tmp_path, "t", "某片.txt", TEXT)
    rows = found.rows(source_rows(ask(found.release, "禁忌是什么？", found.history(()))))
    assert rows
    mark_rows(sample, [{"name": "Sources", "props": {"rows": rows}}])
    assert {row["superseded"] for row in rows} == {"来自当时上传的文件；文件已随对话删除，不能再打开。"}


def test_files_left_behind_go_with_the_next_start_unless_another_process_runs(tmp_path: Path) -> None:
    def left() -> bool:
        return (tmp_path / ".files" / "session").exists()

    def start(last: str) -> subprocess.Popen[str]:
        first = f"from pathlib import Path; from app.server import _remove_left_files as remove; remove(Path({str(tmp_path)!r}))"
        code = f"{first}; print(1, flush=True); {last}"
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        return process

    (tmp_path / ".files" / "session").mkdir(parents=True)
    first = start("input()")
    assert not left()
    (tmp_path / ".files" / "session").mkdir(parents=True)
    start("").communicate()
    assert left()
    first.communicate("\n")
    start("").communicate()
    assert not left()
