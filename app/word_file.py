"""A conversation as a Word file."""

import io

import docx
from docx.document import Document as Word
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml.ns import qn
from docx.shared import Pt
from docx.styles.style import ParagraphStyle

from app.answer_sheet import SOURCES, AnswerSheet
from app.conversation_file import NO_SOURCES, ConversationFile

MEDIA = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_FONT = "微软雅黑"


def word_file(conversation: ConversationFile) -> bytes:
    """The bytes of a .docx file: a heading for every question, the disclaimer on the foot of each page."""
    word = docx.Document()
    for name in ("Normal", "Title", "Heading 1", "Heading 2", "List Bullet"):
        _in_chinese(word.styles[name])
    word.core_properties.title = conversation.title
    word.core_properties.author = "启真"
    word.core_properties.comments = conversation.disclaimer
    foot = word.sections[0].footer.paragraphs[0]
    foot.text = conversation.disclaimer
    foot.alignment = WD_ALIGN_PARAGRAPH.CENTER
    word.add_heading(conversation.title, 0)
    word.add_paragraph(f"启真 · 对话开始于 {conversation.begun} UTC")
    for exchange in conversation.exchanges:
        word.add_heading(exchange.asked or "（没有提问）", 1)
        word.add_paragraph(f"{exchange.at} UTC")
        if exchange.sheet:
            _answer(word, exchange.sheet)
            continue
        for line in exchange.said:
            word.add_paragraph(line)
        if exchange.said:
            word.add_paragraph(NO_SOURCES)
    target = io.BytesIO()
    word.save(target)
    return target.getvalue()


def _in_chinese(style: object) -> None:
    """Word looks Chinese characters up in a font of their own."""
    assert isinstance(style, ParagraphStyle)  # noqa: S101 - these styles are in python-docx's own template
    style.font.name = _FONT
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    for name in ("w:asciiTheme", "w:hAnsiTheme", "w:eastAsiaTheme", "w:cstheme"):
        fonts.attrib.pop(qn(name), None)
    fonts.set(qn("w:eastAsia"), _FONT)


def _answer(word: Word, sheet: AnswerSheet) -> None:
    for notice in sheet.first:
        word.add_paragraph().add_run(notice).bold = True
    for group in sheet.groups:
        word.add_paragraph().add_run(group.heading).bold = True
        for sentence in group.sentences:
            word.add_paragraph(sentence.marked, "List Bullet")
    for notice in sheet.last[:-1]:
        word.add_paragraph(notice)
    for number, choice in enumerate(sheet.choices, 1):
        word.add_paragraph(f"{number}. {choice}")
    if sheet.sources:
        word.add_heading(SOURCES, 2)
    for source in sheet.sources:
        listed = word.add_paragraph(f"[{source.number}] {source.label}")
        listed.add_run().add_break()
        quote = listed.add_run(f"“{source.quote}”")
        quote.italic = True
        quote.font.size = Pt(9.5)
    word.add_paragraph(sheet.origin)
