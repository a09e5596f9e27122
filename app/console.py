"""The `qizhen` command. Data goes to stdout, everything else to stderr; errors are worded here and end with exit code 2."""

import io
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.accounts_console import keys_app, users_app
from app.answering import Answer, ask
from app.answers_console import answers_app
from app.claims import check_claim
from app.claims_file import read_claims
from app.contract import answer_json, card_json, hit_json
from app.drug_card import look_up
from app.index_console import MISUSE, AsJson, Index, index_app, index_build, log_app, notes, print_json
from app.layout import groups, leading, source_rows
from app.measuring import measure
from app.open_generator import GENERATORS, open_generator
from app.question import check_text
from app.questions_file import read_questions
from app.searching import search_asked
from app.settings import DEFAULT_INDEX, model_settings, reranker_name, server_settings
from indexer.errors import QizhenError, QuestionError
from indexer.release import open_release, release_ids

_TABLE_WIDTH = 160

app = typer.Typer(
    help="启真：每一句都标明出处的中文医学问答。",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(index_app, name="index")
app.add_typer(users_app, name="users")
app.add_typer(keys_app, name="keys")
app.add_typer(log_app, name="log")
app.add_typer(answers_app, name="answers")

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
    release = open_release(index, reranker=reranker_name())
    for question_id, text, history in asked:
        started = time.perf_counter()
        hits = search_asked(release, text, history, limit)
        spent = round((time.perf_counter() - started) * 1000, 2)
        if as_json:
            print_json({"id": question_id, "hits": [hit_json(hit, explained=explain) for hit in hits], "milliseconds": spent})
            continue
        sys.stdout.write(f"{text}（{spent} 毫秒）\n")
        for rank, hit in enumerate(hits, 1):
            sys.stdout.write(f"{rank:3}. {hit.document.title} · {hit.section}  {hit.score:.3f}\n     {_one_line(hit.text)}\n")
            if explain:
                reranked = f" + 重排 {hit.parts.reranker:.3f}" if hit.parts.reranker else ""
                parts = f"关键词 {hit.parts.keyword:.3f} + 向量 {hit.parts.vector:.3f} + 章节 {hit.parts.section:.3f}{reranked}"
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
    release = open_release(index, reranker=reranker_name())
    for question_id, text, history in texts:
        answer = ask(release, text, history, chosen)
        if as_json:
            print_json(answer_json(answer, question_id))
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
    card = look_up(open_release(index, reranker=reranker_name()), name, section)
    if as_json:
        print_json(card_json(card))
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
            print_json(asdict(checked))
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
    measured = measure(open_release(index, reranker=reranker_name()), read_questions(questions), chosen)
    if as_json:
        print_json(measured)
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
    host: Annotated[str, typer.Option(help="监听地址；没有管理员账户时只能是本机。")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    index: Index = DEFAULT_INDEX,
    state: Annotated[Path, typer.Option(help="对话记录等的文件夹。", metavar="DIR")] = Path("var"),
    open_page: Annotated[bool, typer.Option("--open", help="启动后在浏览器中打开。")] = False,
) -> None:
    """启动问答网页；第一次启动时先用自带知识库建立索引。"""
    from app.server import check_address, generator, serve

    settings = replace(server_settings(), index=index, state=state, host=host, port=port)
    check_address(settings)
    generator()  # a language model that is not set up is told here, not in the chat
    if not release_ids(index):
        notes.print(f"`{index}` 里还没有知识库，先用自带的示例知识库建立索引。", soft_wrap=True)
        index_build(index=index)
    serve(settings, open_page)


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
