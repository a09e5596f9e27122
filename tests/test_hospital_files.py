"""Files as hospitals have them, good and bad, made here."""

import gzip
import io
import random
import zipfile
from pathlib import Path

import docx
import pypdf
import pytest
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from indexer.documents import Document
from indexer.extraction_worker import ExtractionLimits
from indexer.readers import Reading, read_documents, read_knowledge

PAGE = "<html><head><title>高血压诊疗规范</title></head><body><nav>首页 联系我们</nav><h1>高血压</h1>"
PAGE += "<h2>一、诊断标准</h2><p>诊室血压≥140/90mmHg。</p>"
PAGE += "<h2>二、药物治疗</h2><table><tr><th>药品<th>起始剂量<tr><td>氨氯地平<td>5mg</table><script>x()</script></body></html>"

INDICATION = "本品适用于高血压的治疗，可单独应用或与其他抗高血压药物联合应用，也适用于慢性稳定性心绞痛的对症治疗，可单独应用。"


def draw(canvas: Canvas, left: float, top: float, lines: list[str]) -> None:
    for line in lines:
        canvas.drawString(left, top, line)
        top -= 15


def wrapped(text: str) -> list[str]:
    return [text[i : i + 21] for i in range(0, len(text), 21)]


def label_pdf() -> bytes:
    """Two pages, two columns, a table across, a running head and page numbers."""
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=(595, 842), invariant=True)
    columns = [
        (
            ["【药品名称】", "通用名称：测试地平片", "英文名称：Testodipine Tablets", "【适应症】", *wrapped(INDICATION)],
            [
                "【用法用量】",
                *wrapped(
                    "成人推荐起始剂量为5mg，每日一次，最大剂量为10mg，每日一次。老年或伴肝功能不全患者起始剂量为2.5mg，每日一次，睡前服用。"
                ),
            ],
        ),
        (
            [
                "【不良反应】",
                *wrapped("常见不良反应为头痛、水肿、疲劳、失眠、恶心、腹痛、面红、心悸和头晕。罕见瘙痒、皮疹、呼吸困难、无力、肌肉痉挛。"),
            ],
            [
                "【禁忌】",
                *wrapped("对测试地平或本品任何成份过敏者禁用，重度低血压患者禁用，主动脉瓣狭窄患者禁用，心源性休克患者禁用，孕妇禁用。"),
            ],
        ),
    ]
    for number, (left, right) in enumerate(columns, 1):
        canvas.setFont("STSong-Light", 10)
        canvas.drawString(50, 815, "某药业 说明书")
        canvas.drawString(280, 20, f"第 {number} 页")
        draw(canvas, 50, 750, left)
        draw(canvas, 310, 750, right)
        if number == 2:
            for top, row in zip(
                (500, 485, 470), (["人群", "起始剂量", "最大剂量"], ["成人", "5mg", "10mg"], ["老年", "2.5mg", "10mg"]), strict=True
            ):
                for across, cell in zip((50, 200, 350), row, strict=True):
                    canvas.drawString(across, top, cell)
                canvas.line(45, top + 11, 450, top + 11)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def formulary_docx() -> bytes:
    target = io.BytesIO()
    word = docx.Document()
    word.add_heading("心血管系统用药", 1)
    for drug, dose, never in (
        ("甲普利片", "每次10mg，每日一次。", "孕妇禁用。"),
        ("乙普利片", "每次40mg，每日两次。", "双侧肾动脉狭窄者禁用。"),
    ):
        word.add_heading(drug, 2)
        for title, text in (("用法用量", dose), ("禁忌", never)):
            word.add_heading(title, 3)
            word.add_paragraph(text)
    table = word.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "规格", "40mg"
    word.save(target)
    return target.getvalue()


def zipped(**files: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    return target.getvalue()


def locked_pdf() -> bytes:
    target = io.BytesIO()
    writer = pypdf.PdfWriter(pypdf.PdfReader(io.BytesIO(label_pdf())))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(target)
    return target.getvalue()


def scanned_pdf(pages: int = 1, text_on_first: bool = False) -> bytes:
    target = io.BytesIO()
    canvas = Canvas(target)
    for number in range(pages):
        if text_on_first and number == 0:
            canvas.drawString(50, 700, "Indications: headache and fever")
        else:
            canvas.rect(50, 50, 400, 600, fill=1)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def read(folder: Path, name: str, data: bytes, limits: ExtractionLimits | None = None) -> Reading:
    (folder / name).write_bytes(data)
    return read_knowledge([folder / name], limits)


def sections(document: Document) -> dict[str, str]:
    return {section.title: document.body(section) for section in document.sections}


def test_a_label_of_two_columns_is_read_in_order_with_its_pages(tmp_path: Path) -> None:
    reading = read(tmp_path, "label.pdf", label_pdf())
    assert reading.faults == ()
    [document] = reading.documents
    assert (document.id, document.kind, document.title, document.aliases) == (
        "file/label.pdf",
        "drug",
        "测试地平片",
        ("Testodipine Tablets",),
    )
    told = sections(document)
    assert told["用法用量"].startswith("成人推荐起始剂量为5mg，每日一次，最大剂量为10mg，每日一次。老年或伴肝功能不全患者起始剂量为2.5mg")
    assert "用法用量" not in told["适应症"]
    assert "高血压" not in told["用法用量"]
    assert "老年" not in told["禁忌"]
    assert any("横跨分栏" in str(warning) for warning in reading.warnings)
    assert "某药业" not in document.text
    assert "第 2 页" not in document.text
    assert [document.page_at(document.text.index(words)) for words in ("最大剂量为", "心源性休克")] == [1, 2]
    assert any("去掉了各页相同的页眉页脚：某药业 说明书" in str(warning) for warning in reading.warnings)


def test_a_formulary_becomes_one_document_for_every_drug(tmp_path: Path) -> None:
    reading = read(tmp_path, "f.docx", formulary_docx())
    assert reading.faults == ()
    first, second = reading.documents
    assert (first.id, first.title, first.kind) == ("file/f.docx#甲普利片", "甲普利片", "drug")
    assert sections(first) == {"用法用量": "每次10mg，每日一次。", "禁忌": "孕妇禁用。"}
    assert sections(second) == {"用法用量": "每次40mg，每日两次。", "禁忌": "双侧肾动脉狭窄者禁用。"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_a_page_is_read_without_its_navigation_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    [document] = read(tmp_path, "g.html", PAGE.encode(encoding)).documents
    assert (document.title, document.kind) == ("高血压", "disease")
    assert sections(document) == {"诊断标准": "诊室血压≥140/90mmHg。", "药物治疗": "氨氯地平：起始剂量 5mg。"}


def test_archives_are_read_by_their_paths(tmp_path: Path) -> None:
    inner = zipped(a__html=PAGE.encode())
    [document] = read(tmp_path, "all.zip", zipped(inner__zip=inner)).documents
    assert document.id == "file/all.zip/inner.zip/a.html"


BAD = {
    "空.pdf": (b"", "是空文件，没有内容"),
    "截断.pdf": (label_pdf()[:900], "PDF 不完整或已损坏，打不开：请重新导出或重新下载"),
    "加密.pdf": (locked_pdf(), "有密码，打不开：请另存一份不加密的 PDF"),
    "扫描.pdf": (scanned_pdf(2), "没有文字层（共 2 页，像是扫描件）：请先做文字识别（OCR），再收录"),
    "图片.pdf": (b"\x89PNG\r\n\x1a\n0000", "是图片，没有文字：请先做文字识别（OCR），再收录"),
    "文字.pdf": ("其实是文字".encode(), "内容与扩展名不符：里面是普通文字，请核对文件"),
    "截断.docx": (formulary_docx()[:5000], "压缩包或 Word 文件不完整或已损坏，打不开：请重新导出或重新下载"),
    "旧.doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "是旧版 Office 文件（.doc .xls .ppt），请另存为 .docx 或 PDF"),
    "加密.docx": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
        "有密码，打不开：请另存一份不加密的文件",
    ),
    "实体.docx": (
        zipped(**{"word/document__xml": b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"}),
        "Word 文件的 `word/document.xml` 里有不该有的实体定义，没有读",
    ),
    "表.xlsx": (
        zipped(**{"[Content_Types]__xml": b"x", "xl/workbook__xml": b"x"}),
        "是 Excel 或 PowerPoint 文件，请另存为 .csv、.docx 或 PDF",
    ),
    "混.txt": (
        "正常\n".encode() + b"\xb0\xa1\xff\xff\n",
        "看不出文字编码：第 2 行既不是 UTF-8 也不是 GB18030（或两种混用），请另存为 UTF-8",
    ),
    "空白.html": (b"<html><script>x</script></html>", "没有读出文字：请核对文件，扫描件要先做文字识别（OCR）"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    data, message = BAD[name]
    reading = read(tmp_path, name, data)
    assert reading.documents == ()
    assert [str(fault) for fault in reading.faults] == [f"{tmp_path / name}: {message}"]


BAD_ARCHIVES = {
    "外.zip": (zipped(**{"../x__html": b"<html>"}), "/../x.html: 文件名指向压缩包之外，没有读：请核对压缩包的来源"),
    "炸.zip": (zipped(x__txt=b"0" * 20_000_000), "/x.txt: 展开后是压缩后的 1028 倍，像是压缩炸弹，没有读：请核对文件来源"),
    "套.zip": (
        zipped(a__zip=zipped(a__zip=zipped(a__zip=zipped(a__txt=b"x")))),
        "/a.zip/a.zip/a.zip: 压缩包套了 4 层，超过 3 层的上限，没有读：请解开",
    ),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_a_bad_archive_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    data, message = BAD_ARCHIVES[name]
    assert [str(fault) for fault in read(tmp_path, name, data).faults] == [f"{tmp_path / name}{message}"]


def test_a_scanned_page_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    reading = read(tmp_path, "x.pdf", scanned_pdf(3, text_on_first=True))
    assert len(reading.documents) == 1
    told = "这一页没有文字（像是扫描或图片），没有收录：请先做文字识别（OCR）"
    assert [str(warning) for warning in reading.warnings] == [f"{tmp_path / 'x.pdf'}: 第 {page} 页: {told}" for page in (2, 3)]


def test_macros_and_wrong_extensions_are_told(tmp_path: Path) -> None:
    target = io.BytesIO(formulary_docx())
    with zipfile.ZipFile(target, "a") as parts:
        parts.writestr("word/vbaProject.bin", b"macro")
    reading = read(tmp_path, "m.pdf", target.getvalue())
    assert len(reading.documents) == 2
    assert [warning.message for warning in reading.warnings] == [
        "扩展名与内容不符，按内容当作 docx 读取，请改正扩展名",
        "含有宏，只读了文字，宏没有打开",
        "这里的表格认不准行列，没有收录这张表：请核对原件，改写成文字或 Markdown 后再收录（“规格 40mg”）",
    ]


def test_a_link_out_of_the_folder_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("机密")
    folder = tmp_path / "kb"
    folder.mkdir()
    (folder / "a.html").write_text(PAGE)
    (folder / "b.txt").symlink_to(tmp_path / "secret.txt")
    reading = read_knowledge([folder])
    assert [document.id for document in reading.documents] == ["file/a.html"]
    assert [str(warning) for warning in reading.warnings] == [f"{folder / 'b.txt'}: 是指向文件夹之外的链接，没有收录：请放入文件本身"]


def test_a_file_beyond_the_limits_is_refused_and_nothing_hangs(tmp_path: Path) -> None:
    late = read(tmp_path, "late.html", PAGE.encode(), ExtractionLimits(seconds=0.01))
    assert [fault.message for fault in late.faults] == ["0.01 秒内没有读完，已停止：请拆成几个文件，或另存后再试"]
    large = read(tmp_path, "large.html", PAGE.encode() + b"<p>" + "长".encode() * 40_000_000, ExtractionLimits(memory_bytes=300_000_000))
    assert [fault.message for fault in large.faults] == ["读取时超出内存上限或文件有害，读取进程已停止：请核对文件来源，或另存后再试"]


def test_an_id_comes_from_the_path_and_not_from_the_content(tmp_path: Path) -> None:
    before = read(tmp_path, "a b.html", PAGE.encode()).documents[0]
    after = read(tmp_path, "a b.html", PAGE.replace("140", "130").encode()).documents[0]
    assert before.id == after.id == "file/a_b.html"
    assert before.digest != after.digest


CHART = 'id = "编号"\ntitle = "名称"\nkind = "drug"\n[sections]\n"适应症" = "适应症"\n'
TABLE = "编号,名称,适应症\nd/1,甲普利片,用于高血压。\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.csv", TABLE.encode("utf-8-sig")),
        ("x.csv", TABLE.encode("gb18030")),
        ("x.csv", TABLE.encode("utf-16")),
        ("x.tsv", TABLE.replace(",", "\t").encode()),
        ("x.tsv", TABLE.replace(",", "\t").encode("utf-16")),
    ],
)
def test_tables_are_read_as_excel_writes_them(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    (tmp_path / "x.toml").write_bytes(CHART.encode("utf-8-sig"))
    [document] = read_documents([tmp_path])
    assert (document.id, document.title, document.body(document.sections[0])) == ("d/1", "甲普利片", "用于高血压。")


def test_a_table_of_no_encoding_is_told(tmp_path):
    (tmp_path / "x.csv").write_bytes(TABLE.encode("gb18030") + b"\x81\x20\xff\xff")
    (tmp_path / "x.toml").write_text(CHART, "utf-8")
    [fault] = read_knowledge([tmp_path]).faults
    assert fault.message.startswith("看不出文字编码")


def test_an_archive_holds_whatever_a_folder_may(tmp_path):
    row = '{"id": "d/2", "kind": "drug", "title": "乙普利片", "sections": [{"title": "适应症", "text": "用于头痛。"}]}\n'
    markdown = "---\nid: d/3\nkind: drug\ntitle: 丙普利片\n---\n## 适应症\n用于发热。\n"
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("甲/x.csv", TABLE.encode("gb18030"))
        archive.writestr("甲/x.toml", CHART)
        archive.writestr("y.jsonl", row)
        archive.writestr("z/z.md", markdown)
        archive.writestr("README.md", "# 说明")
        archive.writestr("bad.csv", TABLE)
        archive.writestr("bad.jsonl", row + "{")
        archive.writestr("sheet.dwg", "x")
    reading = read_knowledge([tmp_path / "x.zip"])
    assert sorted(document.id for document in reading.documents) == ["d/1", "d/2", "d/3"]
    told = {(fault.path.rpartition("/")[2], fault.line): fault.message for fault in reading.faults}
    assert told["bad.csv", 0] == "缺少列对照文件 `bad.toml`（写明 id、title、[sections] 各是哪一列）"
    assert ("bad.jsonl", 2) in told
    assert any("d/2" in message and "重复" in message for message in told.values())
    assert [warning.message for warning in reading.warnings] == ["是读不了的种类，没有收录：请另存为 PDF、Word、HTML 或文本"]


def test_a_gzip_file_that_swells_is_refused(tmp_path):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b" " * 30_000_000))
    [fault] = read_knowledge([tmp_path]).faults
    assert fault.message == "展开后超过压缩后的 200 倍，像是压缩炸弹，没有读：请核对文件来源"


@pytest.mark.slow
def test_five_hundred_pages_are_read_whole_with_their_pages(tmp_path: Path) -> None:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    canvas = Canvas(str(tmp_path / "x.pdf"), pagesize=(595, 842))
    for number in range(1, 501):
        canvas.setFont("STSong-Light", 10)
        draw(canvas, 50, 780, [f"第{number}节内容", *(f"本页第{row}行说明第{number}号病例的处理。" for row in range(1, 31))])
        canvas.showPage()
    canvas.save()
    reading = read_knowledge([tmp_path / "x.pdf"])
    [document] = reading.documents
    assert (reading.faults, reading.warnings) == ((), ())
    for number in (1, 250, 500):
        for row in (1, 30):
            sentence = f"本页第{row}行说明第{number}号病例的处理。"
            assert document.text.count(sentence) == 1
            assert document.page_at(document.text.index(sentence)) == number
    assert list(document.pages) == sorted(document.pages)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pdf", "docx", "html", "zip"])
def test_a_file_with_damaged_bytes_is_read_or_refused_and_the_others_go_on(tmp_path: Path, kind: str) -> None:
    """Bytes turned, cut and doubled at random: never an exception, always a document or a word about the file."""

    def both() -> bytes:
        return zipped(**{"a.docx": formulary_docx(), "b.html": PAGE.encode()})

    made = {"pdf": label_pdf, "docx": formulary_docx, "html": PAGE.encode, "zip": both}[kind]()
    dice = random.Random(kind)
    for number in range(8):
        data = bytearray(made)
        for _ in range(dice.randint(1, 40)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        cut = dice.choice([len(data), dice.randrange(1, len(data))])
        (tmp_path / f"{number}.{kind}").write_bytes(bytes(data[:cut]) + bytes(data[: dice.choice([0, 50])]))
    (tmp_path / "sound.md").write_text("---\nid: d/1\nkind: text\ntitle: 完好的一篇\n---\n## 正文\n内容。\n", "utf-8")
    reading = read_knowledge([tmp_path])
    told = {fault.path for fault in (*reading.faults, *reading.warnings)} | {document.source.title for document in reading.documents}
    assert any(document.id == "d/1" for document in reading.documents)
    for number in range(8):
        assert any(f"{number}.{kind}" in place for place in told)
