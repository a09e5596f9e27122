"""A conversation as a PDF file, with the characters it uses embedded, so that every reader shows them."""

from fpdf import FPDF

from app.answer_sheet import SOURCES, AnswerSheet
from app.chinese_font import FontFile
from app.conversation_file import NO_SOURCES, ConversationFile

MEDIA = "application/pdf"
_FAMILY = "chinese"
_MARGIN, _FOOT = 20, 15  # mm
_LINE = 1.6  # of the size of the letters
_POINT = 0.3528  # mm


class _Pages(FPDF):
    """A4 pages with the disclaimer on their feet."""

    def __init__(self, conversation: ConversationFile, font: FontFile) -> None:
        super().__init__(format="A4")
        self._foot = conversation.disclaimer
        self.set_margins(_MARGIN, _MARGIN)
        self.set_auto_page_break(auto=True, margin=_MARGIN + _FOOT)
        self.str_alias_nb_pages = ""  # else {nb} in a question becomes the number of pages
        self.add_font(_FAMILY, fname=font.path, collection_font_number=font.index)
        self.set_title(conversation.title)
        self.set_author("启真")
        self.set_lang("zh-CN")

    def footer(self) -> None:
        """Called for every page."""
        self.set_y(-_MARGIN)
        self._in(8, 90)
        self.cell(0, 5, f"{self._foot}    第 {self.page_no()} 页", align="C")

    def write_line(self, text: str, size: float = 10.5, grey: int = 0, indent: float = 0, above: float = 0) -> None:
        """A paragraph; sizes are in points, indents in mm."""
        self.ln(above)
        self._in(size, grey)
        self.set_x(_MARGIN + indent)
        self.multi_cell(0, size * _POINT * _LINE, text, align="L", new_x="LMARGIN", new_y="NEXT")

    def _in(self, size: float, grey: int) -> None:
        self.set_font(_FAMILY, size=size)
        self.set_text_color(grey)


def pdf_file(conversation: ConversationFile, font: FontFile) -> bytes:
    """The bytes of a .pdf file."""
    pages = _Pages(conversation, font)
    pages.add_page()
    pages.write_line(conversation.title, 18)
    pages.write_line(f"启真 · 对话开始于 {conversation.begun} UTC", 9, 90)
    for exchange in conversation.exchanges:
        pages.write_line(exchange.asked or "（没有提问）", 14, above=6)
        pages.write_line(f"{exchange.at} UTC", 8.5, 90)
        if exchange.sheet:
            _answer(pages, exchange.sheet)
            continue
        for line in (*exchange.said, *([NO_SOURCES] if exchange.said else [])):
            pages.write_line(line)
    return bytes(pages.output())


def _answer(pages: _Pages, sheet: AnswerSheet) -> None:
    for notice in sheet.first:
        pages.write_line(notice, 11.5, above=1)
    for group in sheet.groups:
        pages.write_line(group.heading, 11.5, above=2)
        for sentence in group.sentences:
            pages.write_line(f"· {sentence.marked}", indent=3)
    for notice in sheet.last[:-1]:
        pages.write_line(notice, above=1)
    for number, choice in enumerate(sheet.choices, 1):
        pages.write_line(f"{number}. {choice}", indent=3)
    if sheet.sources:
        pages.write_line(SOURCES, 11.5, above=3)
    for source in sheet.sources:
        pages.write_line(f"[{source.number}] {source.label}", 9)
        pages.write_line(f"“{source.quote}”", 9, 70, indent=5)
    pages.write_line(sheet.origin, 8.5, 90, above=2)
