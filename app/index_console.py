"""`qizhen index …` and `qizhen log …`: releases of the knowledge base, for an admin."""

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.contract import manifest_json
from app.questions_file import read_questions
from app.release_words import ACTIONS, counted, details_told
from app.settings import DEFAULT_INDEX, SHIPPED_KNOWLEDGE, encoder_settings
from app.trial import GoldenTrial
from indexer.build import BuildReport, build_release
from indexer.changes import CHANGES, Change, DocumentChange, render_change, render_dated
from indexer.collecting import KEPT, collect_releases, shown_size
from indexer.comparing import Comparison, compare_releases, plan_build
from indexer.embedder import embedder_for
from indexer.errors import Fault
from indexer.intake import Expired
from indexer.lint import lint, load_rules
from indexer.readers import read_documents
from indexer.record import Entry, read_log, verify_log
from indexer.release import current_id, list_releases, publish_release, rollback_release, verify_release

MISUSE, STOPPED = 2, 130
_TABLE_WIDTH = 160
_SHOWN = 50

index_app = typer.Typer(
    help="知识库的版本：预览、建立、比较、检查、发布、退回、清除。",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
log_app = typer.Typer(help="谁在何时对知识库做了什么。", rich_markup_mode=None, pretty_exceptions_enable=False)

notes = Console(stderr=True, highlight=False, markup=False, emoji=False)

Index = Annotated[Path, typer.Option("--index", help="索引文件夹。", metavar="DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="在标准输出打印 JSON。")]
Knowledge = Annotated[list[Path] | None, typer.Option("--kb", help="文档文件或文件夹，可多次给出。", metavar="PATH")]
Why = Annotated[str, typer.Option("--why", help="为什么这样做，记入记录。", metavar="TEXT")]
Shown = Annotated[int, typer.Option("--limit", min=0, help="每一类最多显示几篇；--json 不受限。")]


def print_json(value: Any) -> None:
    """One JSON value on a line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


@index_app.command("plan")
def index_plan(kb: Knowledge = None, limit: Shown = _SHOWN, index: Index = DEFAULT_INDEX, as_json: AsJson = False) -> None:
    """预览：现在建立会新增、修改、删除、拒绝哪些文档，文字有何不同。什么都不写。"""
    plan = plan_build(index, kb or [SHIPPED_KNOWLEDGE])
    compared = plan.comparison
    if as_json:
        left_out = {"rejected": [asdict(fault) for fault in plan.rejected], "expired": [asdict(gone) for gone in plan.expired]}
        if plan.warnings:
            left_out["warnings"] = [asdict(warning) for warning in plan.warnings]
        print_json({"published": compared.old, "documents": compared.documents, **_comparison_json(compared), **left_out})
    else:
        sys.stdout.write(f"与发布中的版本 {compared.old or '（无）'} 相比，新版本将有 {compared.documents} 篇文档\n\n")
        _write_comparison(compared, limit)
        _write_left_out(plan.rejected, plan.expired, plan.warnings)
    if plan.rejected:
        notes.print(f"hint: 有 `{len(plan.rejected)}` 处错误，build 不会发布；改正它们，或用 --skip-faulty 略过", soft_wrap=True)
        raise typer.Exit(MISUSE)


def _comparison_json(compared: Comparison) -> dict[str, Any]:
    listed: dict[str, Any] = {str(kind): [_change_json(change) for change in compared.of(kind)] for kind in CHANGES}
    return {"counts": compared.counts, **listed}


def _change_json(change: DocumentChange) -> dict[str, Any]:
    row = {"document": change.document, "title": change.title}
    if change.change in ("added", "removed"):
        return row
    fields = [asdict(entry) for entry in change.fields]
    return {**row, "fields": fields, "sections": [asdict(section) for section in change.sections]}


def _write_comparison(compared: Comparison, limit: int) -> None:
    """The counts, then each change; what only got another source is gathered."""
    sys.stdout.write(f"{counted(compared.counts)}\n")
    kinds: tuple[Change, ...] = ("changed", "removed", "added")
    for kind in kinds:
        changes = compared.of(kind)
        sys.stdout.writelines(("\n" if kind == "changed" else "") + render_change(change) for change in changes[:limit])
        if len(changes) > limit:
            sys.stdout.write(f"{CHANGES[kind]}  另有 {len(changes) - limit} 篇，用 --limit 或 --json 查看\n")
    sys.stdout.write(render_dated(compared.of("dated")))


def _write_left_out(rejected: Sequence[Fault], expired: Sequence[Expired], warnings: Sequence[Fault]) -> None:
    sys.stdout.writelines(f"过期  {gone.document}  {gone.title}（有效期至 {gone.expires}），不再收入\n" for gone in expired)
    sys.stdout.writelines(f"拒绝  {fault}\n" for fault in rejected)
    sys.stdout.writelines(f"注意  {warning}\n" for warning in warnings)


@index_app.command("build")
def index_build(
    kb: Knowledge = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="不沿用上一版的任何部分。")] = False,
    no_publish: Annotated[bool, typer.Option("--no-publish", help="只在旁边建好，不发布。")] = False,
    skip_faulty: Annotated[bool, typer.Option("--skip-faulty", help="略过有错误的文档并记下，而不是停下。")] = False,
    questions: Annotated[Path | None, typer.Option("--questions", help="发布前用这些标准问题与发布中的版本比较。", metavar="FILE")] = None,
    require: Annotated[float, typer.Option("--require", min=0, max=1, help="标准问题至少答对的比例，不到就不发布。")] = 0.0,
    why: Why = "",
    index: Index = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """读入文档，在旁边建成新版本，检查后发布。可随时停下，再运行时接着做。"""
    encoder, knowledge = encoder_settings(), kb or [SHIPPED_KNOWLEDGE]
    with _stoppable(), _progress() as report:
        trial = GoldenTrial(read_questions(questions), require, lambda done, total: report("标准问题", done, total)) if questions else None
        built = build_release(
            index,
            knowledge,
            fresh=fresh,
            publish=not no_publish,
            skip_faulty=skip_faulty,
            why=why,
            trial=trial,
            embedder=embedder_for(knowledge, encoder.name, encoder.prompts, may_download=True),
            progress=report,
        )
    if as_json:
        print_json(_build_json(built, trial))
        return
    changed = built.added or built.changed or built.removed or fresh
    dated = f"（{built.dated} 篇仅来源）" if built.dated else ""
    state = f"新增 {built.added} · 修改 {built.changed}{dated} · 删除 {built.removed}" if changed else "没有变化"
    sys.stdout.write(f"{built.release}  {built.documents} 篇文档，{built.passages} 个片段，{state}，{built.seconds:.1f} 秒\n")
    sys.stdout.writelines(f"{remark}\n" for remark in built.remarks)
    _write_left_out(built.rejected, built.expired, built.warnings)
    if not built.published:
        sys.stdout.write(f"没有发布；发布它：qizhen index publish {built.release}\n")


def _build_json(built: BuildReport, trial: GoldenTrial | None) -> dict[str, Any]:
    """The contract's keys, and those of options that were used."""
    keys = ("release", "parent", "documents", "passages", "added", "changed", "removed", "seconds")
    row: dict[str, Any] = {key: getattr(built, key) for key in keys}
    if not built.published:
        row["published"] = False
    if built.rejected:
        row["rejected"] = [asdict(fault) for fault in built.rejected]
    if built.expired:
        row["expired"] = [asdict(gone) for gone in built.expired]
    if built.warnings:
        row["warnings"] = [asdict(warning) for warning in built.warnings]
    if trial and trial.result:
        row["questions"] = asdict(trial.result)
    return row


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C and `kill` end a build in order: what is embedded stays for the next one."""

    def stop(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        notes.print("已停止，没有发布任何内容；已完成的编码保留着，再运行同一条命令就接着做。", soft_wrap=True)
        raise typer.Exit(STOPPED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress() -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done)

        yield report


@index_app.command("lint")
def index_lint(kb: Knowledge = None, as_json: AsJson = False) -> None:
    """以编辑的眼光看一遍：缺的章节、没有单位的剂量、重名、单边的相互作用。"""
    remarks = lint(read_documents(kb or [SHIPPED_KNOWLEDGE]), load_rules())
    if as_json:
        print_json({"remarks": [asdict(remark) for remark in remarks]})
    else:
        sys.stdout.write("".join(f"{remark}\n" for remark in remarks) or "没有要改的地方\n")
    if remarks:
        notes.print(f"hint: 有 `{len(remarks)}` 处要改；它们不妨碍发布")
        raise typer.Exit(MISUSE)


@index_app.command("releases")
def index_releases(index: Index = DEFAULT_INDEX, as_json: AsJson = False) -> None:
    """列出所有版本：何时、何人、为何、从何而来；标明发布中的一个。"""
    published = current_id(index)
    rows = [manifest_json(manifest, published) for manifest in list_releases(index)]
    if as_json:
        print_json({"current": published, "releases": rows})
        return
    table = Table("", "版本", "时间", "用户", "文档", "片段", "新增", "修改", "删除", "缘由", box=None)
    for row in rows:
        row["created"] = row["created"][:19]
        cells = (row[key] for key in ("id", "created", "user", "documents", "passages", "added", "changed", "removed", "why"))
        table.add_row("*" if row["current"] else "", *map(str, cells))
    Console(width=_TABLE_WIDTH, markup=False).print(table)


@index_app.command("diff")
def index_diff(
    old: Annotated[str, typer.Argument(help="较早的版本号。", metavar="A")],
    new: Annotated[str, typer.Argument(help="较晚的版本号。", metavar="B")],
    limit: Shown = _SHOWN,
    index: Index = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """比较两个版本：新增、修改、删除的文档，逐句列出不同。"""
    compared = compare_releases(index, old, new)
    if as_json:
        print_json({"old": old, "new": new, **_comparison_json(compared)})
        return
    sys.stdout.write(f"从 {old} 到 {new}\n\n")
    _write_comparison(compared, limit)


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
        print_json({"release": release, "sound": not faults, "faults": faults})
    else:
        sys.stdout.write(f"{release}  {'完好' if not faults else '有损坏：'}\n" + "".join(f"  {fault}\n" for fault in faults))
    if faults:
        notes.print("hint: 用 qizhen index rollback 退回，或 qizhen index build --fresh 重建")
        raise typer.Exit(MISUSE)


@index_app.command("publish")
def index_publish(
    release: Annotated[str, typer.Argument(metavar="ID")], why: Why = "", index: Index = DEFAULT_INDEX, as_json: AsJson = False
) -> None:
    """检查一个已有版本并发布它。"""
    before = publish_release(index, release, why=why)
    _report_switch(release, before, as_json)


@index_app.command("rollback")
def index_rollback(why: Why = "", index: Index = DEFAULT_INDEX, as_json: AsJson = False) -> None:
    """退回到发布中版本的上一版。"""
    before = current_id(index)
    _report_switch(rollback_release(index, why=why), before, as_json)


def _report_switch(release: str, before: str, as_json: bool) -> None:
    if as_json:
        print_json({"release": release, "before": before})
    else:
        sys.stdout.write(f"已发布 {release}（之前是 {before or '无'}）\n")


@index_app.command("collect")
def index_collect(
    keep: Annotated[int, typer.Option("--keep", min=0, help="至少保留最近的几版。")] = KEPT,
    why: Why = "",
    index: Index = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """清除旧版本；发布中的、它的上一版和有人正在用的总是保留。"""
    done = collect_releases(index, keep=keep, why=why)
    if as_json:
        print_json(asdict(done))
        return
    sys.stdout.writelines(f"已清除 {release}\n" for release in done.removed)
    sys.stdout.writelines(f"有人正在用，没有清除 {release}\n" for release in done.in_use)
    sys.stdout.write(f"腾出 {shown_size(done.bytes)}，保留 {len(done.kept)} 版\n")


@log_app.callback(invoke_without_command=True)
def log_command(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="只看最近的几条；--json 不受限。")] = _SHOWN,
    index: Index = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """谁在何时建立、发布、退回、清除或拒绝了什么。"""
    if context.invoked_subcommand:
        return
    entries = read_log(index)
    if as_json:
        print_json({"entries": [asdict(entry) for entry in entries]})
        return
    if not entries:
        sys.stdout.write(f"`{index}` 还没有记录\n")
    for entry in entries[-limit:]:
        sys.stdout.write(f"{entry.number:4}  {entry.time}  {entry.user}  {ACTIONS[entry.action]}  {entry.release}{_told(entry)}\n")


def _told(entry: Entry) -> str:
    parts = [part for part in (details_told(entry), f"缘由：{entry.why}" if entry.why else "") if part]
    return f"  {'；'.join(parts)}" if parts else ""


@log_app.command("verify")
def log_verify(index: Index = DEFAULT_INDEX, as_json: AsJson = False) -> None:
    """核对记录：有没有被改动、删去或插入的条目。"""
    report = verify_log(index)
    if as_json:
        print_json({"entries": report.entries, "sound": not report.faults, "faults": report.faults, "notices": report.notices})
    else:
        sys.stdout.write(f"{report.entries} 条记录，{'有改动：' if report.faults else '没有被改动'}\n")
        sys.stdout.writelines(f"  {line}\n" for line in (*report.faults, *report.notices))
    if report.faults:
        notes.print("hint: 与备份的 log.jsonl 对照，查明谁改了它")
        raise typer.Exit(MISUSE)
