"""An evaluation for people: report.md with tables, plots beside it, the published figures, and what none of them can say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.figures import Figures, Row, worst
from finetune.plots import bar_plot, line_plot

_NAMES = {"chance": "偶然", "source": "原文", "retrieval": "仅检索", "closed": "闭卷", "chain": "全链"}
# The original project's own figures, judged by hand; percent, standards 1/2/3.
PUBLISHED_DRUGS: Mapping[str, tuple[float, float, float]] = {
    "ChatGLM": (39.36, 23.16, 14.74),
    "ChatGPT（3.5）": (47.87, 30.85, 15.96),
    "QiZhen-LLaMA-7B-3500": (77.66, 55.32, 40.00),
    "QiZhen-LLaMA-7B-6000": (90.43, 73.40, 65.96),
    "QiZhen-CaMA-13B-3600": (82.29, 60.62, 47.92),
    "QiZhen-CaMA-13B-6000": (90.43, 80.85, 72.34),
    "QiZhen-CaMA-13B-12400": (91.49, 82.98, 72.34),
}
DISEASE_FIELDS = ("临床表现", "检查检验", "治疗药物")
PUBLISHED_DISEASES: Mapping[str, tuple[str, str, str]] = {
    "ChatGLM": ("90 / 6 / 3", "93 / 11 / 6", "60 / 10 / 5"),
    "ChatGPT（3.5）": ("94 / 11 / 4", "97 / 8 / 5", "62 / 11 / 4"),
    "QiZhen-CaMA-13B-12400": ("95 / 15 / 7", "97 / 20 / 7", "75 / 36 / 23"),
}
_CAVEATS = """## 读数须知

- 公开数字由人工评判，本表由自动匹配器评判：两者不可在 2 个百分点以内比较。公开表的分母混用 94、95、96，有一个数（60.62%）不合任何分母。
- 94 题的 95% 区间约为 ±6～10 个百分点（如 90.43% 与 91.49% 只差一个药）；疾病表的 100 种疾病没有公开，这里用的是另外的疾病。
- 三条标准：说出至少一项、至少一半、至少三分之二。它们奖励多说，所以要与「精确」一起看：答案按顿号、逗号、和、及、或切开，
  不属于应答项的份额只是编造的近似，正确的说明文字也算在内。「出自原文」是切开的各项在应答文档中找得到的份额。
- 「原文」列是匹配器的上限，「偶然」列（别题的原文）是它的下限；「仅检索」是第一个片段；「全链」低于它，说明生成丢了事实。
- 该拒答的题，「应拒而拒」与「应拒而答」之外的是反问（名字相近的药）。
- 闭卷是背诵，不是推理：题目问的就是训练文本里的事实。「未学对象」应当拒答。
- 「矛盾」：被引文（全链）或应答章节（闭卷）反驳的句子；由 app/claims.py 判断，它宁可多判。
"""


def write_report(out: Path, rows: Sequence[Row], result: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """Write report.md and its plots into a folder."""
    parts = ["# 评测报告\n", _made(manifest)]
    for number, (exam, groups) in enumerate(result["exams"].items()):
        inside = [row for row in rows if row["exam"] == exam]
        parts += [f"## {exam}\n", _standards(groups), _rest(groups), *_plots(out, f"exam-{number}", exam, groups, inside)]
    parts += [_choices(result["choices"]), _against(result["against"]), _published(result["exams"]), _CAVEATS]
    parts += [_worst(rows, column) for column in ("closed", "chain") if column in manifest["columns"]]
    (out / "report.md").write_text("\n".join(part for part in parts if part), "utf-8")


def _made(manifest: Mapping[str, Any]) -> str:
    matcher, release, model = manifest["matcher"], manifest["release"], manifest["model"]
    lines = [
        f"- 知识库版本 `{release['id']}`，{release['documents']} 篇文档",
        f"- 匹配器第 {matcher['version']} 版，别名表 `{matcher['aliases'][:12]}`",
        *(f"- 问题 `{name}`，SHA-256 `{file['sha256'][:12]}`" for name, file in manifest["files"].items()),
    ]
    if manifest["generator"]:
        lines.append(f"- 全链的回答方式 `{manifest['generator']}`")
    if model:
        adapter = f"，适配器 `{model['adapter']['name']}`（`{model['adapter']['digest'][:12]}`）" if model["adapter"] else ""
        shape = model["template"]
        lines.append(f"- 模型 `{model['base']['name']}`（`{model['base']['digest'][:12]}`）{adapter}")
        lines.append(f"- 提示模板 `{shape['name']}`（`{shape['digest'][:12]}`），贪心解码，最多 {model['decoding']['most_tokens']} 个词元")
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    shown = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in shown) + "\n"


def _standards(groups: Mapping[str, Mapping[str, Figures]]) -> str:
    head = ["分组", "列", "计分题", "标准一", "标准二", "标准三", "项召回", "独占召回", "精确", "F1", "出自原文", "文字召回"]
    lines = [
        [
            group or "全部",
            _NAMES[column],
            str(got["scored"]),
            *(_interval(got[f"standard_{n}"]) for n in (1, 2, 3)),
            *(_percent(got[key]) for key in ("item_recall", "exclusive_recall", "precision")),
            "-" if got["f1"] is None else f"{100 * got['f1']:.1f}",
            _percent(got["held"]),
            _percent(got["text_recall"]),
        ]
        for group, columns in groups.items()
        for column, got in columns.items()
        if got["scored"] or got["text_recall"]["n"]
    ]
    return _table(head, lines) if lines else ""


def _rest(groups: Mapping[str, Mapping[str, Figures]]) -> str:
    head = [
        "分组",
        "列",
        "题数",
        "应拒而拒",
        "应拒而答",
        "误拒",
        "句子受支持",
        "矛盾",
        "字数",
        "不重复",
        "截断",
        "词元",
        "词元/秒",
        "秒 p50",
        "p95",
    ]
    lines = [
        [
            group or "全部",
            _NAMES[column],
            str(got["questions"]),
            _percent(got["refused"]["refuse"]),
            _percent(got["made_up"]),
            _percent(got["refused"]["answer"]),
            _percent(got["supported"]),
            _percent(got["contradicted"], digits=2),
            f"{got['characters']['mean']:.0f}",
            f"{100 * got['distinct']:.1f}",
            _percent(got["cut"]),
            str(got["tokens"]) if got["tokens"] else "-",
            str(got["tokens_a_second"] or "-"),
            f"{got['seconds']['p50']:.3f}",
            f"{got['seconds']['p95']:.3f}",
        ]
        for group, columns in groups.items()
        for column, got in columns.items()
    ]
    return _table(head, lines)


def _plots(out: Path, name: str, exam: str, groups: Mapping[str, Mapping[str, Figures]], rows: Sequence[Row]) -> list[str]:
    """Bars of the three standards, and how many questions have at least so much of their items named."""
    if not any(got["scored"] for got in groups[""].values()):
        return []
    bars = {
        _NAMES[column]: {f"标准{'一二三'[n - 1]}": 100 * (got[f"standard_{n}"]["share"] or 0) for n in (1, 2, 3)}
        for column, got in groups[""].items()
    }
    bar_plot(out / f"{name}-standards.svg", f"{exam}：三条标准", "达到的题（%）", bars)
    curves = {_NAMES[column]: reached([row for row in rows if row["column"] == column]) for column in groups[""]}
    line_plot(out / f"{name}-recall.svg", f"{exam}：说出的份额", "每题说出的应答项（%）", "至少如此的题（%）", curves)
    return [f"![三条标准]({name}-standards.svg)\n", f"![说出的份额]({name}-recall.svg)\n"]


def reached(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """For every tenth of the expected items, in percent, the percentage of questions with at least that much named."""
    shares = [row["named"] / len(row["expected"]) for row in rows if row["expected"]]
    steps = [step / 10 for step in range(11)]
    return [(100 * step, 100 * sum(share >= step for share in shares) / len(shares)) for step in steps] if shares else []


def _choices(choices: Mapping[str, Mapping[str, Any]]) -> str:
    if not choices:
        return ""
    head = ["文件", "题型", "题数", "生成后取字母", "按似然", "读不出字母"]
    lines = [
        [
            name,
            kind or "全部",
            str(got["questions"]),
            *(_interval(got[key]) for key in ("written", "likeliest")),
            _percent(got["unreadable"]),
        ]
        for name, kinds in choices.items()
        for kind, got in kinds.items()
    ]
    return "## 选择题\n\n全对才算对。\n\n" + _table(head, lines)


def _against(compared: Sequence[Mapping[str, Any]]) -> str:
    if not compared:
        return ""
    head = ["文件", "列", "题数", "标准一 只新对/只旧对 (p)", "标准二", "标准三", "项召回之差（95% 区间）"]
    lines = []
    for row in compared:
        splits = [row[f"standard_{n}"] for n in (1, 2, 3)]
        recall = row["item_recall"]
        shift = f"{100 * recall['difference']:+.1f}（{100 * recall['low']:+.1f}～{100 * recall['high']:+.1f}）"
        cells = [f"{split['only_now']}/{split['only_then']} ({split['p']:.3f})" for split in splits]
        lines.append([row["exam"], _NAMES[row["column"]], str(row["questions"]), *cells, shift])
    return "## 与先前一次相比\n\n成对的精确 McNemar 检验；项召回之差用自助法。\n\n" + _table(head, lines)


def _published(exams: Mapping[str, Mapping[str, Mapping[str, Figures]]]) -> str:
    """The published tables with our rows of the same shape beneath: indications, and the three fields of diseases."""
    drugs = [[name, *(f"{figure:.2f}" for figure in figures), "人工"] for name, figures in PUBLISHED_DRUGS.items()]
    diseases = [[name, *figures, "人工"] for name, figures in PUBLISHED_DISEASES.items()]
    for exam, groups in exams.items():
        for column, got in groups[""].items():
            label = f"本次 {exam} · {_NAMES[column]}（{got['scored']} 题）"
            if set(DISEASE_FIELDS) <= set(groups):
                fields = [groups[field][column] for field in DISEASE_FIELDS]
                diseases.append([label, *(" / ".join(_percent(field[f"standard_{n}"]) for n in (1, 2, 3)) for field in fields), "自动"])
            elif len(groups) == 1 and got["scored"]:
                drugs.append([label, *(_percent(got[f"standard_{n}"], digits=2) for n in (1, 2, 3)), "自动"])
    return (
        "## 公开数字与本次\n\n药品适应症（公开表 94 个药）：\n\n"
        + _table(["模型", "标准一", "标准二", "标准三", "评判"], drugs)
        + "\n疾病（公开表 100 种病），标准一 / 二 / 三：\n\n"
        + _table(["模型", *DISEASE_FIELDS, "评判"], diseases)
    )


def _worst(rows: Sequence[Row], column: str) -> str:
    found = worst(rows, column)
    if not found:
        return ""
    shown = [f"## 最差的回答：{_NAMES[column]}\n"]
    for row in found:
        missing = [forms[0] for n, forms in enumerate(row["expected"]) if n not in {hit["item"] for hit in row["hits"]}]
        told = [f"- 问（{row['exam']} {row['id']}）：{_line(row['question'])}", f"  - 答：{_line(row['answer']) or '（无）'}"]
        told += [f"  - 没说出：{'、'.join(missing)}"] if missing else []
        told += [f"  - 矛盾的句子：{row['contradicted']}"] if row["contradicted"] else []
        told += ["  - 应当拒答"] if row["must"] == "refuse" else []
        shown += told
    return "\n".join(shown) + "\n"


def _line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 200 else flat[:199] + "…"


def _percent(share: Mapping[str, Any], digits: int = 1) -> str:
    return "-" if share["share"] is None else f"{100 * share['share']:.{digits}f}"


def _interval(share: Mapping[str, Any]) -> str:
    return "-" if share["share"] is None else f"{100 * share['share']:.1f}（{100 * share['low']:.1f}～{100 * share['high']:.1f}）"
