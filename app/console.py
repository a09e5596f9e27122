"""The `qizhen` command. Data goes to stdout, everything else to stderr; errors are worded here and end with exit code 2."""

import io
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from app.answering import Answer, ask
from app.claims import check_claim
from app.claims_file import read_claims
from app.contract import answer_json, card_json, hit_json
from app.drug_card import look_up
from app.layout import groups, leading, source_rows
from app.measuring import measure
from app.open_generator import GENERATORS, open_generator
from app.question import check_text
from app.questions_file import read_questions
from app.searching import search_asked
from app.settings import DEFAULT_INDEX, SHIPPED_KNOWLEDGE, ServerSettings, model_settings
from indexer.build import build_release
from indexer.errors import Fault, QizhenError, QuestionError
from indexer.lint import lint, load_rules
from indexer.readers import read_documents
from indexer.release import (
    current_id,
    list_releases,
    open_release,
    publish_release,
    release_ids,
    rollback_release,
    verify_release,
)

MISUSE = 2
_TABLE_WIDTH = 160

app = typer.Typer(
    help="启真：每一句都标明出处的中文医学问答。",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
index_app = typer.Typer(
    help="知识库的版本：建立、查看、检查、发布、退回。", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)
app.add_typer(index_app, name="index")

notes = Console(stderr=True, highlight=False, markup=False, emoji=False)

Index = Annotated[Path, typer.Option("--index", help="索引文件夹。", metavar="DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="在标准输出打印 JSON。")]
QuestionsFile = Annotated[Path | None, typer.Option("--questions", help="每行一个问题的 JSON Lines 文件。", metavar="FILE")]


def main() -> None:
    """Run the command; every fault of the user's becomes a message and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except QizhenError as error:
        notes.print(f"错误：{error}", soft_wrap=True)
        sys.exit(MISUSE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def _warn(warning: Fault) -> None:
    sys.stderr.write(f"注意 {warning}\n")


@index_app.command("build")
def index_build(
    kb: Annotated[list[Path] | None, typer.Option("--kb", help="文档文件或文件夹，可多次给出。", metavar="PATH")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="不沿用上一版的任何部分。")] = False,
    index: Index = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """读入文档，在旁边建成新版本，检查后发布。"""
    with _progress() as report:
        built = build_release(index, kb or [SHIPPED_KNOWLEDGE], fresh=fresh, progress=report, warn=_warn)
    if as_json:
        _print_json(asdict(built))
        return
    changed = built.added or built.changed or built.removed or fresh
    state = f"新增 {built.added} · 修改 {built.changed} · 删除 {built.removed}" if changed else "没有变化"
    sys.stdout.write(f"{built.release}  {built.documents} 篇文档，{built.passages} 个片段，{state}，{built.seconds:.1f} 秒\n")


@contextmanager
def _progress() -> Iterator[Any]:
    with Progress(console=notes, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done)

        yield report


@index_app.command("lint")
def index_lint(
    kb: Annotated[list[Path] | None, typer.Option("--kb", help="文档文件或文件夹，可多次给出。", metavar="PATH")] = None,
    as_json: AsJson = False,
) -> None:
    """以编辑的眼光看一遍：缺的章节、没有单位的剂量、重名、单边的相互作用。"""
    remarks = lint(read_documents(kb or [SHIPPED_KNOWLEDGE]), load_rules())
    if as_json:
        _print_json({"remarks": [asdict(remark) for remark in remarks]})
    else:
        sys.stdout.write("".join(f"{remark}\n" for remark in remarks) or "没有要改的地方\n")
    if remarks:
        notes.print(f"hint: 有 `{len(remarks)}` 处要改；它们不妨碍发布")
        raise typer.Exit(MISUSE)


@index_app.command("releases")
def index_releases(index: Index = DEFAULT_INDEX, as_json: AsJson = False) -> None:
    """列出所有版本，标明发布中的一个。"""
    published = current_id(index)
    rows = [{**asdict(manifest), "current": manifest.id == published} for manifest in list_releases(index)]
    for row in rows:
        row.pop("files")
    if as_json:
        _print_json({"current": published, "releases": rows})
        return
    table = Table("", "版本", "时间", "文档", "片段", "新增", "修改", "删除", box=None)
    for row in rows:
        cells = (row[key] for key in ("id", "created", "documents", "passages", "added", "changed", "removed"))
        table.add_row("*" if row["current"] else "", *map(str, cells))
    Console(width=_TABLE_WIDTH, markup=False).print(table)


@index_app.command("verify")
def index_verify(
    release: Annotated[str, typer.Argument(help="版本号；不写则为发布中的版本。", metavar="[ID]")] = "",
    index: Index = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """核对一个版本的摘要、数目和位置。"""
    release = release or current_id(index)
    faults = verify_release(index, release)
    if as_json:
        _print_json({"release": release, "sound": not faults, "faults": faults})
    else:
        sys.stdout.write(f"{release}  {'完好' if not faults else '有损坏：'}\n" + "".join(f"  {fault}\n" for fault in faults))
    if faults:
        notes.print("hint: 用 qizhen index rollback 退回，或 qizhen index build --fresh 重建")
        raise typer.Exit(MISUSE)


@index_app.command("publish")
def index_publish(release: Annotated[str, typer.Argument(metavar="ID")], index: Index = DEFAULT_INDEX, as_json: AsJson = False) -> None:
    """检查一个已有版本并发布它。"""
    before = publish_release(index, release)
    _report_switch(release, before, as_json)


@index_app.command("rollback")
def index_rollback(index: Index = DEFAULT_INDEX, as_json: AsJson = False) -> None:
    """退回到发布中版本的上一版。"""
    before = current_id(index)
    _report_switch(rollback_release(index), before, as_json)


def _report_switch(release: str, before: str, as_json: bool) -> None:
    if as_json:
        _print_json({"release": release, "before": before})
    else:
        sys.stdout.write(f"已发布 {release}（之前是 {before or '无'}）\n")


@app.command("search")
def search_command(
    question: Annotated[str | None, typer.Argument(metavar="QUESTION")] = None,
    questions: QuestionsFile = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="最多几个片段。")] = 10,
    explain: Annotated[bool, typer.Option("--explain", help="写明每个片段的得分由什么组成。")] = False,
    index: Index = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """找出与问题最相关的片段。"""
    asked = [(q.id, q.question, q.history) for q in read_questions(questions)] if questions else [("", check_text(_given(question)), ())]
    _one_of(question, questions)
    release = open_release(index)
    for question_id, text, history in asked:
        started = time.perf_counter()
        hits = search_asked(release, text, history, limit)
        spent = round((time.perf_counter() - started) * 1000, 2)
        if as_json:
            _print_json({"id": question_id, "hits": [hit_json(hit, explained=explain) for hit in hits], "milliseconds": spent})
            continue
        sys.stdout.write(f"{text}（{spent} 毫秒）\n")
        for rank, hit in enumerate(hits, 1):
            sys.stdout.write(f"{rank:3}. {hit.document.title} · {hit.section}  {hit.score:.3f}\n     {_one_line(hit.text)}\n")
            if explain:
                parts = f"关键词 {hit.parts.keyword:.3f} + 向量 {hit.parts.vector:.3f} + 章节 {hit.parts.section:.3f}"
                sys.stdout.write(f"     {parts}；问题用词的 {hit.coverage:.0%} 见于此处\n")


@app.command("ask")
def ask_command(
    question: Annotated[str | None, typer.Argument(metavar="QUESTION")] = None,
    questions: QuestionsFile = None,
    generator: Annotated[str, typer.Option(help=f"回答方式：{'、'.join(GENERATORS)}。")] = "quoting",
    index: Index = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """回答问题，每一句标明出处。"""
    chosen = open_generator(generator, model_settings())
    _one_of(question, questions)
    asked = read_questions(questions) if questions else []
    texts = [(q.id, q.question, q.history) for q in asked] or [("", check_text(_given(question)), ())]
    release = open_release(index)
    for question_id, text, history in texts:
        answer = ask(release, text, history, chosen)
        if as_json:
            _print_json(answer_json(answer, question_id))
        else:
            sys.stdout.write(render(answer) + "\n")


def render(answer: Answer) -> str:
    """An answer as plain text: sentences with marks, sources, notices."""
    first, last = leading(answer.notices)
    lines = [f"问：{answer.question}", "", *([*first, ""] if first else [])]
    for group in groups(answer.sentences, answer.citations):
        lines.append(f"【{group.title} · {group.section}】")
        lines += [sentence.text + "".join(f"[{number}]" for number in sentence.citations) for sentence in group.sentences]
    lines += ["", "来源"] if answer.citations else []
    for row in source_rows(answer):
        lines.append("".join(f"[{citation['number']}]" for citation in row["citations"]) + f" {row['label']}")
    lines += ["", *last] if answer.citations else last[:-1]
    lines += [f"  {c.title}（{c.about}）" if c.about else f"  {c.title}" for c in answer.candidates]
    lines += [] if answer.citations else last[-1:]
    return "\n".join(lines) + "\n"


@app.command("drug")
def drug_command(
    name: str,
    section: Annotated[str, typer.Option(help="只看这一节。", metavar="适应症")] = "",
    index: Index = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """按通用名、商品名或英文名查药。"""
    name = check_text(name)
    card = look_up(open_release(index), name, section)
    if as_json:
        _print_json(card_json(card))
        return
    if card.document is None:
        sys.stdout.write(f"没有收录“{name}”。\n" if card.status == "unknown" else f"“{name}”有几种：\n")
        sys.stdout.writelines(f"  {c.title}  {c.about}\n" for c in card.candidates)
        return
    sys.stdout.write(f"{card.document.title}  {'、'.join(card.document.aliases)}\n")
    sys.stdout.writelines(f"勿与“{near.title}”混淆{f'：{near.difference}' if near.difference else '。'}\n" for near in card.look_alikes)
    if section and not card.sections:
        sys.stdout.write(f"没有“{section}”一节；已有：{'、'.join(s.title for s in card.document.sections)}\n")
    for document, found in card.sections:
        sys.stdout.write(f"\n【{found.title}】{document.source.label}\n{document.body(found)}\n")


@app.command("check")
def check_command(
    claims: Annotated[Path, typer.Option(help='每行一个 {"claim", "evidence"} 的文件。', metavar="FILE")], as_json: AsJson = False
) -> None:
    """逐句核对：说法是否都有原文支持。"""
    for cited in read_claims(claims):
        checked = check_claim(cited.claim, cited.evidence)
        if as_json:
            _print_json(asdict(checked))
        else:
            sys.stdout.write(f"{checked.verdict}  {cited.claim}  {'；'.join(checked.reasons)}\n")


@app.command("measure")
def measure_command(
    questions: Annotated[Path, typer.Option(help="带 documents、terms、refuse 的问题文件。", metavar="FILE")],
    generator: Annotated[str, typer.Option(help=f"回答方式：{'、'.join(GENERATORS)}。")] = "quoting",
    index: Index = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """检索、回答、拒答、引用和用时的数字。"""
    chosen = open_generator(generator, model_settings())
    measured = measure(open_release(index), read_questions(questions), chosen)
    if as_json:
        _print_json(measured)
        return
    table = Table(
        "",
        "题数",
        "召回@10",
        "MRR",
        "标准一",
        "标准二",
        "标准三",
        "原句",
        "应拒而拒",
        "误拒",
        "应反问",
        "引用有效",
        "引用召回",
        "引用精确",
        "矛盾",
        "毫秒 p50",
        "p99",
        box=None,
    )
    for name, row in (*measured["categories"].items(), ("全部", measured)):
        standards = [_percent(row["answers"][f"standard_{n}"]) for n in (1, 2, 3)]
        refusals = [_percent(row["refusals"][side]["refused"]) for side in ("unanswerable", "answerable")]
        refusals = [_percent(row["answers"]["spans"]), *refusals, _percent(row["refusals"]["ambiguous"]["clarify"])]
        times = [str(row["milliseconds"]["ask"][key]) for key in ("p50", "p99")]
        retrieval = [f"{row['retrieval'][key]:.3f}" if row["retrieval"]["questions"] else "-" for key in ("recall@10", "mrr")]
        cited = [_percent(row["citations"][key]) for key in ("valid", "recall", "precision", "contradicted")]
        table.add_row(name, str(row["questions"]), *retrieval, *standards, *refusals, *cited, *times)
    Console(width=_TABLE_WIDTH, markup=False).print(table)


@app.command("serve")
def serve_command(
    host: Annotated[str, typer.Option(help="监听地址；没有账户时只能是本机。")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    index: Index = DEFAULT_INDEX,
    state: Annotated[Path, typer.Option(help="对话记录等的文件夹。", metavar="DIR")] = Path("var"),
    open_page: Annotated[bool, typer.Option("--open", help="启动后在浏览器中打开。")] = False,
) -> None:
    """启动问答网页；第一次启动时先用自带知识库建立索引。"""
    from app.server import check_address, generator, serve

    check_address(host, port)
    generator()  # a language model that is not set up is told here, not in the chat
    if not release_ids(index):
        notes.print(f"`{index}` 里还没有知识库，先用自带的示例知识库建立索引。", soft_wrap=True)
        index_build(index=index)
    serve(ServerSettings(index, state, host, port), open_page)


def _given(question: str | None) -> str:
    if question is None:
        raise QuestionError("没有给出问题：``", "写出问题，或用 --questions 文件")
    return question


def _one_of(question: str | None, questions: Path | None) -> None:
    if question is not None and questions is not None:
        raise QuestionError(f"问题 `{question[:30]}` 和 --questions `{questions}` 不能同时给出", "只留其中一个")


def _percent(share: dict[str, Any]) -> str:
    return "-" if share["share"] is None else f"{100 * share['share']:.1f}"


def _one_line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 100 else flat[:99] + "…"
