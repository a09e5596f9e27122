"""Conversations taken away as Word, PDF and page: read back, and asked for by somebody else."""

import asyncio
import io
import re
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docx
import pypdf
import pypdfium2
import pytest
from chainlit.context import context_var
from chainlit.element import CustomElement
from chainlit.user import User
from site_client import quoting_service, site_client
from starlette.testclient import TestClient
from test_answer_sheet import SHEET
from test_history import Context, step

from app import chinese_font
from app.answer_sheet import sheet_json
from app.chinese_font import FontFile, best_of
from app.conversation_file import plain_lines
from app.database import open_database
from app.forgetting import Keeping
from app.history import open_history
from app.pdf_file import MEDIA
from indexer.errors import ServeError

ASKED = "甲药怎么用？{nb}<b>"
OLD = "> **请核对。**\n\n**甲药 · 禁忌**\n\n孕妇禁用\\. [\\[1\\]](#cite-1)\n\n*记录编号 7K3M\\-9QXT\\-2FHD*"


async def talked(folder: Path, person: str) -> str:
    """A conversation of somebody: an answer with its sheet, one from before there were sheets, a question without an answer."""
    token = context_var.set(Context())  # type: ignore[arg-type]
    history = await open_history(f"sqlite:///{folder / 'chat.sqlite'}")
    user = await history.create_user(User(identifier=person, metadata={}))
    thread = str(uuid.uuid4())
    await history.update_thread(thread, name=ASKED, user_id=user.id)
    said = [("user_message", ASKED), ("assistant_message", "答"), ("user_message", "禁忌呢？"), ("assistant_message", OLD)]
    for minute, (kind, output) in enumerate([*said, ("user_message", "还有吗？\x0b")]):
        row = step(thread, kind, output, f"2026-11-22T01:0{minute}:00Z")
        await history.create_step(row)
        if output == "答":
            props = {"sheet": sheet_json(SHEET), "text": "", "html": ""}
            element = CustomElement(name="AnswerTools", display="inline", props=props, thread_id=thread)
            element.for_id = row["id"]
            await history.create_element(element)
    await history.close()
    context_var.reset(token)
    return thread


@pytest.fixture
def threads(tmp_path: Path) -> dict[str, str]:
    return {person: asyncio.run(talked(tmp_path, person)) for person in ("local", "wang")}


@pytest.fixture
def client(tmp_path: Path, sample_index: Path, threads: dict[str, str]) -> Iterator[TestClient]:
    engine = open_database(f"sqlite:///{tmp_path / 'chat.sqlite'}")
    with site_client(replace(quoting_service(sample_index), keeping=Keeping(engine, engine))) as client:
        yield client


def test_the_word_file_holds_questions_marks_sources_quotes_and_the_disclaimer(client: TestClient, threads: dict[str, str]) -> None:
    told = client.get(f"/conversations/{threads['local']}.docx")
    assert told.status_code == 200
    assert "filename*=UTF-8''%E7%94%B2%E8%8D%AF%E6%80%8E%E4%B9%88%E7%94%A8" in told.headers["content-disposition"]
    assert told.headers["cache-control"] == "private, no-store"
    word = docx.Document(io.BytesIO(told.content))
    lines = [(paragraph.style.name, paragraph.text) for paragraph in word.paragraphs]
    assert lines[0] == ("Title", ASKED)
    assert [text for style, text in lines if style == "Heading 1"] == [ASKED, "禁忌呢？", "还有吗？"]
    assert ("List Bullet", "一次5~10mg， 一日3次。[1][2]") in lines
    assert ("Normal", "[2] 甲药 · 用法用量 · 乙厂\n“一日3次”") in lines
    assert ("Normal", "知识库版本 20261122-1 · 记录编号 7K3M-9QXT-2FHD") in lines
    assert ("Normal", "2026-11-22 01:00 UTC") in lines
    assert ("Normal", "孕妇禁用.[1]") in lines
    assert word.sections[0].footer.paragraphs[0].text == "仅供专业人员参考，不能替代诊疗决策。"


def test_the_pdf_file_holds_the_same_with_its_characters_embedded(client: TestClient, threads: dict[str, str]) -> None:
    if chinese_font.chinese_font() is None:
        pytest.skip("no Chinese font on this machine")
    told = client.get(f"/conversations/{threads['local']}.pdf")
    assert told.headers["content-type"] == MEDIA
    pdf = pypdf.PdfReader(io.BytesIO(told.content))
    text = "".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(told.content))
    text = re.sub(r"\s+", "", text)
    for piece in (ASKED, "一次5~10mg，一日3次。[1][2]", "[2]甲药·用法用量·乙厂", "“一日3次”", "知识库版本20261122-1", "孕妇禁用.[1]"):
        assert piece in text
    for page in pdf.pages:
        assert "仅供专业人员参考，不能替代诊疗决策。" in page.extract_text().replace("\0", "")  # pypdf reads the codes byte by byte
        [font] = [entry.get_object() for entry in page["/Resources"]["/Font"].values()]
        described = font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
        assert {"/FontFile2", "/FontFile3"} & set(described)
    assert len(told.content) < 100_000


def test_the_page_to_print_shows_the_same_and_nothing_in_it_is_markup(client: TestClient, threads: dict[str, str]) -> None:
    told = client.get(f"/conversations/{threads['local']}")
    assert "<h2>甲药怎么用？{nb}&lt;b&gt;</h2>" in told.text
    assert "<dd>“一日3次”</dd>" in told.text
    assert "data-print" in told.text
    assert "default-src 'none'" in told.headers["content-security-policy"]
    assert "没有中文字体" not in told.text


def test_without_a_font_the_pdf_is_printed_by_the_browser(
    client: TestClient, threads: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    chinese_font._known.cache_clear()
    told = client.get(f"/conversations/{threads['local']}.pdf", follow_redirects=True)
    chinese_font._known.cache_clear()
    assert told.status_code == 200
    assert "服务器上没有中文字体" in told.text


@pytest.mark.parametrize("ending", ["", ".docx", ".pdf"])
def test_a_conversation_of_somebody_else_is_as_none(client: TestClient, threads: dict[str, str], ending: str) -> None:
    foreign = client.get(f"/conversations/{threads['wang']}{ending}")
    missing = client.get(f"/conversations/{uuid.uuid4()}{ending}")
    assert [foreign.status_code, missing.status_code] == [404, 404]
    assert ASKED not in foreign.text
    for wrong in ("x", "' OR 1=1 --", f"{threads['local']}'", "..%2f..%2fetc"):
        assert client.get(f"/conversations/{wrong}{ending}").status_code == 404


def test_a_sheet_that_somebody_spoilt_leaves_the_text(client: TestClient, threads: dict[str, str], tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "chat.sqlite") as database:
        database.execute('UPDATE elements SET props = \'{"sheet": {"question": []}}\'')
    word = docx.Document(io.BytesIO(client.get(f"/conversations/{threads['local']}.docx").content))
    assert "答" in [paragraph.text for paragraph in word.paragraphs]


def test_a_message_is_read_as_plain_lines() -> None:
    assert plain_lines(OLD) == ("请核对。", "甲药 · 禁忌", "孕妇禁用.[1]", "记录编号 7K3M-9QXT-2FHD")


def test_the_best_font_is_upright_simplified_and_not_variable() -> None:
    lines = [
        "/f/serif.ttc\t2\tNoto Serif CJK SC\tRegular\tFalse",
        "/f/sans.ttc\t2\tNoto Sans CJK SC\tBold\tFalse",
        "/f/variable.ttf\t0\tNoto Sans CJK SC\tRegular\tTrue",
        "/f/wqy.ttc\t1\tWenQuanYi Zen Hei,文泉驛正黑\tRegular\tFalse",
        "broken",
    ]
    assert best_of(lines) == FontFile(Path("/f/wqy.ttc"), 1)
    assert best_of(["/f/deja.ttf\t0\tDejaVu Sans\tBook\tFalse"]) is None


def test_a_named_font_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match=r"QIZHEN_FONT 是 `/nowhere/x.ttf`，没有这个文件"):
        chinese_font.chinese_font("/nowhere/x.ttf")
    (tmp_path / "my.ttf").write_bytes(b"")
    assert chinese_font.chinese_font(str(tmp_path / "my.ttf")) == FontFile(tmp_path / "my.ttf")
