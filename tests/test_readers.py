import gzip
import json
from pathlib import Path

import pytest

from indexer.errors import KnowledgeBaseError
from indexer.readers import read_documents, read_knowledge

GOOD = {"id": "a", "title": "甲", "sections": [{"title": "适应症", "text": "头痛。"}]}
MARKDOWN = """---
id: drug/x
kind: drug
title: 某药
aliases: [Xyz]
source: {publisher: 某院, revised: 2026-01-02}
---
## 适应症
- 头痛。
- 发热。

## 禁忌
孕妇禁用。
"""


def faults(*paths: Path) -> list[str]:
    with pytest.raises(KnowledgeBaseError) as caught:
        read_documents(paths)
    return [str(fault) for fault in caught.value.faults]


def write(folder: Path, name: str, *rows: object) -> Path:
    path = folder / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows), "utf-8")
    return path


def test_markdown_becomes_a_document(tmp_path: Path) -> None:
    [document] = read_documents([write(tmp_path, "x.md", MARKDOWN)])
    assert (document.id, document.kind, document.title, document.aliases) == ("drug/x", "drug", "某药", ("Xyz",))
    assert [(s.title, document.body(s)) for s in document.sections] == [("适应症", "- 头痛。\n- 发热。"), ("禁忌", "孕妇禁用。")]
    assert (document.source.publisher, document.source.revised) == ("某院", "2026-01-02")


def test_json_lines_keep_the_text_as_it_is(tmp_path: Path) -> None:
    row = {**GOOD, "sections": [{"title": "适应症", "text": "  第一行\r\n第二行　"}]}
    [document] = read_documents([write(tmp_path, "x.jsonl", row, "")])
    assert document.body(document.sections[0]) == "  第一行\r\n第二行　"


def test_control_characters_in_a_text_are_kept(tmp_path: Path) -> None:
    """Exports of real hospital systems hold them, and a text is never altered."""
    [document] = read_documents([write(tmp_path, "x.jsonl", {**GOOD, "sections": [{"title": "禁忌", "text": "a\x1ab\x00c"}]})])
    assert document.body(document.sections[0]) == "a\x1ab\x00c"


def test_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    assert [document.id for document in read_documents([path])] == ["a"]


def test_csv_is_read_through_its_column_map(tmp_path: Path) -> None:
    write(tmp_path, "x.csv", '编号,名,商品名,治,忌\n1,甲,乙,头痛,\n2,丙,,"发热\n咳嗽",孕妇')
    write(tmp_path, "x.toml", 'kind = "drug"\nid = "编号"\ntitle = "名"\naliases = ["商品名"]\n[sections]\n"适应症" = "治"\n"禁忌" = "忌"')
    first, second = read_documents([tmp_path])
    assert (first.id, first.kind, first.aliases, len(first.sections)) == ("1", "drug", ("乙",), 1)
    assert [second.body(s) for s in second.sections] == ["发热\n咳嗽", "孕妇"]


def test_a_folder_leaves_out_what_is_no_document(tmp_path: Path) -> None:
    (tmp_path / "questions").mkdir()
    write(tmp_path / "questions", "q.jsonl", {"id": "q", "question": "?"})
    write(tmp_path, "README.md", "# 说明")
    write(tmp_path, "questions.jsonl", {"id": "q", "question": "?"})
    write(tmp_path, "x.jsonl", GOOD)
    assert [document.id for document in read_documents([tmp_path])] == ["a"]


def test_all_faults_of_all_files_are_told_together(tmp_path: Path) -> None:
    lines = write(
        tmp_path,
        "a.jsonl",
        {"title": "甲", "sections": [{"title": "禁忌", "text": "x"}]},
        GOOD,
        "{broken",
        {**GOOD, "title": 3},
        {**GOOD, "id": "b c"},
        {**GOOD, "id": "c", "kind": "pill"},
        {**GOOD, "id": "d", "aliases": "乙"},
        {**GOOD, "id": "e", "sections": []},
        {**GOOD, "id": "f", "sections": [{"title": "禁忌", "text": " \n"}, {"title": "", "text": "x"}, "x"]},
        {**GOOD, "id": "h", "source": {"revised": "去年"}},
        {**GOOD, "id": "i", "source": {"url": 5}},
        "[1]",
    )
    more = write(tmp_path, "b.jsonl", GOOD)
    found = faults(lines, more)
    expected = [
        f"{lines}:1: id: 缺少",
        f"{lines}:3: JSON 无法解析：Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        f"{lines}:4: title: `3` 应为文字",
        f"{lines}:5: id: `b c` 含空白或超过 200 字",
        f"{lines}:6: kind: `pill` 应为 drug | disease | text",
        f"{lines}:7: aliases: `乙` 应为名称的列表",
        f"{lines}:8: sections: 缺少，至少要有一个有正文的章节",
        f"{lines}:9: sections[0]: 章节“禁忌”没有正文",
        f"{lines}:9: sections[1]: 章节没有标题",
        f"{lines}:9: sections[2]: 应为 {{title, text}}",
        f"{lines}:10: source.revised: `去年` 应为 YYYY-MM-DD",
        f"{lines}:11: source.url: `5` 应为文字",
        f"{lines}:12: 一行应为一个 JSON 对象",
        f"{more}:1: id: `a` 与 {lines}:2 重复",
    ]
    assert found == expected


def test_the_message_counts_the_faults_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeBaseError) as caught:
        read_documents([write(tmp_path, "a.jsonl", {}, {})])
    message = str(caught.value)
    assert message.startswith("知识库有 `6` 处错误，没有发布任何内容：")
    assert message.endswith("hint: 改正以上各处后重新运行 qizhen index build，或加 --skip-faulty 略过它们")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("没有文件头", ":1: 开头缺少 --- 之间的 YAML 文件头"),
        ("---\nid: [a\n---\n", ":2: YAML 无法解析：expected ',' or ']', but got '<stream end>'"),
        ("---\n- a\n---\n", ":2: 文件头应为“字段: 值”"),
        (MARKDOWN.replace("aliases", "alias"), ":2: alias: 不认识的字段，可用：aliases、id、kind、source、title"),
        (MARKDOWN.replace("孕妇禁用。", ""), ":12: sections[1]: 章节“禁忌”没有正文"),
        (MARKDOWN.replace("## 适应症", "适应症"), ":8: 第一个“## 章节”之前有正文"),
    ],
)
def test_faults_in_markdown_name_their_line(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "x.md"
    path.write_text(content, "utf-8")
    assert f"{path}{expected}" in faults(path)


def test_bytes_that_are_not_utf8_name_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes('{"id": "a"}\n{"id": "禁忌"}'.encode("gb18030"))
    assert faults(path) == [f"{path}:2: 不是 UTF-8 编码（第 20 字节 0xbd），请另存为 UTF-8"]


def test_a_truncated_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode() * 50)[:-12])
    [fault] = faults(path)
    assert fault.startswith(f"{path}: 读不出来：")


def test_a_folder_without_documents_and_a_missing_path(tmp_path: Path) -> None:
    assert faults(tmp_path, tmp_path / "none.md") == [
        f"{tmp_path}: 文件夹里没有文档（.md .jsonl .jsonl.gz .csv .tsv .pdf .docx .html .txt .zip）",
        f"{tmp_path / 'none.md'}: 没有这个文件，或不是 .md .jsonl .jsonl.gz .csv .tsv .pdf .docx .html .txt .zip",
    ]


def test_csv_without_a_column_map_or_with_a_wrong_one(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", "编号,名\n1,甲")
    assert faults(path) == [f"{path}: 缺少列对照文件 `x.toml`（写明 id、title、[sections] 各是哪一列）"]
    write(tmp_path, "x.toml", 'id = "号"\ntitle = "名"\n[sections]\n"适应症" = "治"')
    assert faults(path) == [f"{path}:1: 没有这些列：`号`、`治`；现有：编号、名"]
    write(tmp_path, "x.toml", "id = ")
    assert faults(path)[0].startswith(f"{path}: 列对照文件 `x.toml` 读不出来：")


def test_an_expiry_is_kept_and_must_be_a_date(tmp_path: Path) -> None:
    [document] = read_documents([write(tmp_path, "x.jsonl", {**GOOD, "source": {"expires": "2027-01-31"}})])
    assert document.source.expires == "2027-01-31"
    wrong = write(tmp_path, "y.jsonl", {**GOOD, "source": {"expires": "明年"}})
    assert faults(wrong) == [f"{wrong}:1: source.expires: `明年` 应为 YYYY-MM-DD"]


def test_faults_stand_beside_the_documents_that_have_none(tmp_path: Path) -> None:
    path = write(tmp_path, "x.jsonl", GOOD, {**GOOD, "title": "乙"}, {**GOOD, "id": "b", "title": ""})
    reading = read_knowledge([path])
    assert [(document.id, document.title) for document in reading.documents] == [("a", "甲")]
    assert [str(fault) for fault in reading.faults] == [f"{path}:2: id: `a` 与 {path}:1 重复", f"{path}:3: title: 缺少"]
