"""Medical sentences as tokens that are equal where they mean the same: quantities, frequencies, routes, patients, polarity, words.

What only carries style is left out (的, 应, 患者); synonyms share one key; everything else counts, character by character.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from app.doses import LATIN_FREQUENCIES, NUMBER, QUANTITY, Bound, Frequency, Quantity, Span, bounded, number, often, read_quantity
from indexer.terms import fold

Kind = Literal["word", "quantity", "frequency", "divided", "route", "population", "patient", "polarity", "negation", "timing"]
Key = str | Quantity | Frequency

_ROUTES = {
    "口服": "口服 内服 orally oral po p.o. 经口 嚼服 吞服 冲服 送服",
    "含服": "含服 含化 舌下含服 舌下含化 舌下 sl",
    "静脉滴注": "静脉滴注 静滴 静脉点滴 静脉输注 静脉输液 ivgtt 静脉滴入",
    "静脉注射": "静脉注射 静注 静脉推注 静推",
    "静脉": "静脉 静脉给药 iv i.v. intravenous intravenously",
    "肌内注射": "肌内注射 肌肉注射 肌注 im i.m. intramuscular intramuscularly",
    "皮下注射": "皮下注射 皮下 sc s.c. subcutaneous subcutaneously",
    "吸入": "吸入 雾化吸入 雾化",
    "外用": "外用 外敷 外涂 涂抹 涂布 涂患处 外搽 topical",
    "直肠": "直肠 直肠给药 塞肛 纳肛 肛门 肛内",
    "阴道": "阴道给药 置阴道 阴道内",
    "滴眼": "滴眼 眼用 滴入眼睑内 滴入结膜囊",
    "滴鼻": "滴鼻 鼻喷 鼻用",
    "滴耳": "滴耳",
}
_POPULATIONS = {
    "成人": "成人 成年人 成年患者 adult adults",
    "儿童": "儿童 小儿 患儿 小孩 儿科患者 child children paediatric pediatric",
    "老年人": "老年人 老年患者 老人 老年 高龄患者 elderly",
    "婴儿": "婴儿 infant infants",
    "幼儿": "幼儿",
    "婴幼儿": "婴幼儿",
    "新生儿": "新生儿 neonate neonates",
    "早产儿": "早产儿",
    "青少年": "青少年 adolescent adolescents",
    "孕妇": "孕妇 妊娠妇女 妊娠期妇女 孕期妇女 怀孕妇女 妊娠女性 pregnancy pregnant",
    "哺乳期妇女": "哺乳期妇女 哺乳妇女 哺乳期女性 哺乳期母亲 授乳妇女 授乳妇 乳母 哺乳期 lactation",
    "肾功能不全": "肾功能不全 肾功能损害 肾功能损伤 肾功能减退 肾功能障碍 肾功能受损 肾功能不良",
    "肝功能不全": "肝功能不全 肝功能损害 肝功能损伤 肝功能减退 肝功能障碍 肝功能受损 肝功能不良",
}
_POLARITIES = {
    "禁用": "禁用 忌用 禁服 忌服 禁止使用 禁止应用 禁止服用 严禁使用 严禁服用 禁忌使用 不得使用 不得服用 不可使用 不可服用 不能使用 不能服用 "
    "绝对禁用 contraindicated",
    "慎用": "慎用 慎服 谨慎使用 谨慎服用 谨慎应用 慎重使用 小心使用",
    "不用于": "不用于 不适用于 不能用于 不可用于 不得用于",
    "用于": "用于 适用于 用于治疗 适用于治疗 可用于 可用于治疗 适应于",
    "可用": "可用 可以使用 可以用 可使用 可以服用 可服用 能用 能使用",
    "不推荐": "不推荐使用 不推荐应用 不推荐 不建议使用 不建议应用 不建议",
    "不推荐用于": "不推荐用于 不建议用于",
}
# What stands before its object and may stand after it too: 禁用于孕妇, 孕妇禁用.
_TURNED = {"禁用于": "禁用", "忌用于": "禁用", "禁止用于": "禁用", "慎用于": "慎用"}
_WORDS = {
    "合用": "合用 并用 联用 联合使用 联合应用 合并使用 合并应用 同用 同服 同时使用 同时服用 同时应用 联合用药 合并用药",
    "引起": "引起 导致 所致 造成",
    "如": "如 如果 若 倘若 假如 例如 比如",
    "时": "时 的时候 之时",
    "停药": "停药 停用 停止使用 停止服用 停止用药 停服",
    "医生": "医生 医师 大夫",
    "用": "用 使用 服用 应用 用药 服药 给药 给予 服",
    "不良反应": "不良反应 副作用 副反应",
    "升高": "升高 上升 增高 增加 增大",
    "降低": "降低 下降 减低 减少",
    "立即": "立即 立刻 马上",
    "发热": "发热 发烧",
    "本日量": "日剂量 日用量",
    "连续": "连用 连服 连续使用 连续服用 连续用药 连续应用 连续",
    "重新": "重新",
    "医生指导": "在医生指导下 在医师指导下 遵医师指导 遵医生指导 在医师的指导下 在医生的指导下",
    "去医院": "去医院 到医院 赴医院 前往医院",
    "忌食": "忌食 禁食",
    "必要时": "必要时 如有必要 如有需要",
    "其他": "其他 其它",
    "期间": "期间 过程中 过程之中",
    "监测": "监测 监控 检测",
}
_TIMINGS = {
    "餐前": "餐前 饭前 进餐前 ac a.c.",
    "餐后": "餐后 饭后 进餐后 pc p.c.",
    "餐中": "餐中 餐时 进餐时 随餐",
    "睡前": "睡前 临睡前 就寝前 入睡前 hs h.s.",
    "空腹": "空腹",
    "每晚": "每晚 qn 每天晚上 每日晚上",
    "每早": "每早 每晨 每天早上 每日早晨",
    "早晚": "早晚",
}
_NEGATIONS = {
    "无需": "无需 不需 不需要 不必 无须 毋须 不须",
    "不可": "不可 不能 不得",
    "不宜": "不宜 不应 不要 不适宜 不应该 不应当 勿 切勿 请勿",
    **{word: word for word in "不 无 未 非 没有 避免 禁止 除外 仅 只 除 尚未 not no".split()},
}
# Words with a left-out character inside that is part of them.
_WHOLE = "主要 重要 必要 需氧 反应 适应 效应 应激 供应 感应 对应 相应 响应 目的 患者家属 或然 与否 参与 给与 涉及 普及 危及 累及 波及 及早 可能 可逆 可的松 可待因 可乐 许可 认可 有效 有害 有机 含有 为主 行为 因为 作为 为期 会阴 会厌 机会 社会 将近 即刻 随即 要求 纲要 者 一般 一旦 一定 一些 一样 一致 一过性 同时 不安 不适 不全 不良 不振 不足 不清 不稳 不孕 不育 不寐 不语 不止 不利 不畅 不调 不等 不同 不明 不规则 不规律 不耐受 不典型 不饱和 不眠 不通 无力 无症状 无菌 无机 无水 无尿 未成年 非典 非甾体 非处方药 非洛地平 非布司他 非那雄胺 非诺贝特 非索非那定 功能 性能 能量 官能 不和".split()
_LEFT_OUT = (
    "的 了 之 其 该 此 所 将 会 并 且 并且 而且 也 亦 均 都 则 即 是 为 有 应 应当 应该 须 必须 需 需要 请 可 可以 能 能够 对于 患者 病人 者 人群 另外 此外 "
    "需注意 需要注意 请注意 需注意的是 值得注意的是 注意 包括 包含 如下 分别 其中 按体重 按体重计算 体重 计算 本品 本药 该药 该品 此药 "
    "根据资料 根据知识库 资料显示 据资料 资料指出 说明书指出 说明书提示 说明书规定 需要指出的是 一般来说 总的来说 具体来说 具体而言 也就是说 首先 其次 最后 the a an of is are in and or".split()
)
_AFRESH = {"此外", "另外"}  # what follows stands on its own
_LINKS = {"与", "跟"}  # they tie two things, which must not come apart


def _table(kind: Kind, groups: dict[str, str]) -> dict[str, tuple[Kind, str]]:
    return {form: (kind, key) for key, forms in groups.items() for form in forms.split()}


_INCIDENCES = {"常见", "少见", "罕见", "偶见", "十分常见", "严重"}
_LEXICON: dict[str, tuple[Kind, str]] = {
    **{word: ("word", word) for word in (*_WHOLE, *_INCIDENCES)},
    **_table("word", _WORDS),
    **_table("timing", _TIMINGS),
    **_table("negation", _NEGATIONS),
    **_table("population", _POPULATIONS),
    **_table("route", _ROUTES),
    **_table("polarity", _POLARITIES),
    **{form: ("polarity", key) for form, key in _TURNED.items()},
    **{word: ("word", "") for word in _LEFT_OUT},
}


@dataclass(frozen=True, slots=True)
class Token:
    """A unit of meaning. `key` is shared by what means the same; `surface` is how it stands in the text.

    `opens`: a clause (or, in a clause of doses alone, a dose) begins here; `item`: a list separator stands before it, `tied` where
    that is 与; `clause`, `statement` and `sentence` number what it stands in; `bracketed`: within round brackets.
    """

    kind: Kind
    key: Key
    surface: str
    clause: int
    statement: int
    sentence: int
    opens: bool
    item: bool
    tied: bool
    bracketed: bool


@dataclass(slots=True)
class Clause:
    """A stretch of text between commas, colons, semicolons or stops. `heading` where a colon ends it; `ends_line` where that is all."""

    text: str
    heading: bool = False
    tokens: list[int] = field(default_factory=list)
    statement: int = 0
    sentence: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """A text read: its tokens in order and its clauses."""

    tokens: tuple[Token, ...]
    clauses: tuple[Clause, ...]



_SYMBOLS = "[≥≤><]|>=|<="
_BOUND_WORDS: dict[Bound, str] = {
    "≥": "≥|>=|>\\s*or\\s*=|不少于|不低于|不小于|不得少于|不得低于|至少|最少|大于或?等于|at least",
    "≤": "≤|<=|<\\s*or\\s*=|(?:一般)?(?:不适宜|不应该|(?:不|勿|切勿)[得应宜可能要]?)(?:超过|大于|高于|多于)|最多|至多|最大(?:剂量|用量|量)?|最高(?:剂量|用量|量)?|极量|限量|小于或?等于"
    "|max(?:imum)?(?: dose)?[.:]?|up to|not (?:to )?exceed(?:ing)?",
    ">": ">|大于|超过|高于|多于|more than|over|above",
    "<": "<|小于|低于|少于|不足|未满|不满|不到|less than|under|below",
}
_AHEAD = r"(?=[^,;:。!?()\[\]\n、]{0,14}?(?:\d|[零一二两三四五六七八九十百半]))"
_JUST_AHEAD = r"(?=[约为是量达至]{0,2}\s*(?:\d|[零一二两三四五六七八九十百半]))"
_PERIOD = "个?小时|个?月|hours?|hrs?|h|天|日|days?|d|个?星期|周|weeks?|wk|w|分钟|minutes?|min"
_HOURS = {"h": 1, "小": 1, "天": 24, "日": 24, "d": 24, "周": 168, "星": 168, "w": 168, "月": 720}
_TO = r"(?:~|-|–|—|至|到|to)"
_WORD = "|".join(sorted(map(re.escape, (form for form in _LEXICON if not form.isascii())), key=len, reverse=True))
_LATIN_WORD = "|".join(sorted(map(re.escape, (form for form in _LEXICON if form.isascii())), key=len, reverse=True))
_LATIN_OFTEN = "|".join(
    sorted((re.escape(form).replace("bid", r"b\.?i\.?d\.?") for form in LATIN_FREQUENCIES), key=len, reverse=True)
)
_LEXER = re.compile(
    "|".join(
        f"(?P<{name}>{pattern})"
        for name, pattern in {
            "mark": r"(?:(?<=[\s。;,:!?])|(?<=[\u3400-\u9fff])|^)\(?\d{1,2}(?:\.(?=\s*[^\d\s.])|\)、?(?=\s*[^\d\s.]))",
            "citation": r"\[(?:来源)?\d+\]",
            "ratio": r"\d+:\d+(?:\.\d+)?",
            "often": rf"(?<![a-z])(?:{_LATIN_OFTEN}|b\.?i\.?d\.?|t\.?i\.?d\.?|q\.?i\.?d\.?)(?![a-z])|隔[日天][1一]次",
            "hourly": rf"(?<![a-z])q\s?(?P<q_low>\d+)(?:{_TO}(?P<q_high>\d+))?(?P<q_unit>[hdw])(?![a-z])",
            "times": r"(?P<times_count>\d+|two|three|four)\s*times?\s*(?:a|per|/)?\s*(?P<times_span>daily|day|d|week|weekly)(?![a-z])",
            "every": rf"(?:每隔?|every)\s*(?P<every_low>{NUMBER})(?:\s*(?:{_PERIOD})?\s*{_TO}\s*(?P<every_high>{NUMBER}))?\s*(?P<every_unit>{_PERIOD})(?![a-z])"
            rf"(?:(?:给药|服用?|使用|用|注射|滴注?)?(?P<every_least>{NUMBER})(?:{_TO}(?P<every_most>{NUMBER}))?次)?",
            "weight": rf"(?:按|以)?(?:体重)?每(?:kg|公斤|千克)(?:体重)?{_AHEAD}",
            "daily": rf"(?:每个?|[一1](?=[天日])(?![天日]\s*(?:[~\-至到后前]|内(?!最|不|总))))(?:天|日|24小时)(?:剂量|用量|总量|总剂量|量)?{_AHEAD}|日(?:剂量|用量|总量){_AHEAD}"
            rf"|(?<![每一今当隔数首末次生节假])日(?=[服用]?(?:\d|[一二两三四五六])(?:[~\-至]\d)?次)",
            "weekly": rf"每个?(?:周|星期)(?:剂量|用量|总量)?{_AHEAD}|[一1](?:周|星期)(?=(?:\d|[一二两三四五六])(?:[~\-至]\d)?次)",
            "single": rf"(?:每次|一次量|单次|每剂|每回|单剂量?)(?:剂量|用量|量)?{_AHEAD}",
            "once": rf"(?:一次|1次)(?!\s*[/~\-至到])(?:剂量|用量)?{_AHEAD}",
            "bound": "|".join(
                f"(?:{pattern}){_AHEAD if bound == '≤' else _JUST_AHEAD}" for bound, pattern in _BOUND_WORDS.items()
            ),
            "divided": rf"(?:分|in\s)\s*(?P<parts_low>{NUMBER})(?:次?\s*{_TO}\s*(?P<parts_high>{NUMBER}))?\s*(?:次|divided doses)(?:服用|服|给药|给予|使用|用)?",
            "quantity": QUANTITY,
            "afterwards": r"(?<![a-z])(?:daily|per day|a day)(?![a-z])",
            "latin": rf"(?<![a-z])(?:{_LATIN_WORD})(?![a-z0-9])",
            "name": r"[a-zα-ω][a-zα-ω0-9]*(?:-[a-z0-9]+)*",
            "figure": r"\d+(?:\.\d+)?",
            "word": _WORD,
            "weak": "以及|或者|[、和与及或跟/]",
            "strong": r"[,;:。!?！？\n【】]|\.(?=\s|$)",
            "bracket": r"[()\[\]]",
            "gap": r"(?<=[\u3400-\u9fff])[ \t]+(?=[\u3400-\u9fff])",
            "other": r"\S",
        }.items()
    )
)
_MARK = re.compile(r"(?:^|(?<=[\n。;:,]))[ \t]*(?:[-*•·●▪◆■]\s*|\(\d{1,2}\)\s*、?|\(?[一二三四五六七八九十]{1,3}[)、]\s*|\d{1,2}(?:[)、]|[.](?!\d))\s*)+")
_TOGETHER = re.compile(r"(?:(?<=[\n。;,:])|^)(?:本品)?[与和同]([^,;:。\n]{2,30}?)(?:合用|联用|并用|同用|同时使用|联合使用)时?,")
_CIRCLED = re.compile("[①-⑳]")
_DOSING = {"quantity", "frequency", "divided", "route", "population", "patient", "timing"}


def read(text: str, subjects: Sequence[str] = ()) -> Reading:
    """Read a text. `subjects`: names of what it is about, which count as little as 本品 does."""
    folded = fold(_CIRCLED.sub("\n", text))
    for name in sorted({fold(subject) for subject in subjects if subject}, key=len, reverse=True):
        folded = folded.replace(name, "本品")
    return _Reader(_TOGETHER.sub(r"\1:", _MARK.sub("", folded))).reading()


class _Reader:
    """Walks over a folded text; keeps what the words so far say of the quantity to come."""

    def __init__(self, folded: str) -> None:
        self._folded = folded
        self._drafts: list[tuple[Kind, Key, str, int, bool, bool, bool]] = []
        self._clauses = [Clause("")]
        self._clause_start = 0
        self._statement = self._sentence = 0
        self._item = self._tied = False
        self._depth = 0
        self._turned: tuple[str, str] | None = None
        self._forget()

    def _forget(self) -> None:
        self._span: Span = ""
        self._bound: Bound = ""
        self._over: tuple[str, ...] = ()
        self._pending: list[str] = []

    def reading(self) -> Reading:
        for match in _LEXER.finditer(self._folded):
            getattr(self, f"_on_{_group(match)}")(match)
        self._end_clause(len(self._folded), heading=False)
        return self._finish()

    def _put(self, kind: Kind, key: Key, surface: str) -> None:
        self._drafts.append((kind, key, surface, len(self._clauses) - 1, self._item, self._tied, self._depth > 0))
        self._clauses[-1].tokens.append(len(self._drafts) - 1)
        self._item = self._tied = False

    def _on_citation(self, match: re.Match[str]) -> None:
        """Marks of citations say nothing."""

    def _on_mark(self, match: re.Match[str]) -> None:
        """A number of a list within a line begins a sentence."""
        if self._depth:
            return
        self._end_clause(match.start(), heading=False)
        self._sentence += 1
        self._statement += 1
        self._clause_start = match.end()
        self._clauses.append(Clause("", statement=self._statement, sentence=self._sentence))

    def _on_ratio(self, match: re.Match[str]) -> None:
        self._put("word", match[0], match[0])

    def _on_often(self, match: re.Match[str]) -> None:
        plain = match[0].replace(".", "")
        self._put("frequency", LATIN_FREQUENCIES[plain], match[0])

    def _on_hourly(self, match: re.Match[str]) -> None:
        hours = _HOURS[match["q_unit"]]
        low, high = Fraction(match["q_low"]) * hours, Fraction(match["q_high"] or match["q_low"]) * hours
        self._put("frequency", Frequency(Fraction(1), Fraction(1), low, high), match[0])

    def _on_times(self, match: re.Match[str]) -> None:
        count = Fraction({"two": "2", "three": "3", "four": "4"}.get(match["times_count"], match["times_count"]))
        hours = Fraction(168 if match["times_span"].startswith("w") else 24)
        self._put("frequency", Frequency(count, count, hours, hours), match[0])

    def _on_every(self, match: re.Match[str]) -> None:
        unit = match["every_unit"].removeprefix("个")
        hours = Fraction(1, 60) if unit.startswith(("分", "m")) and unit != "月" else Fraction(_HOURS[unit[0]])
        if unit.startswith("month"):
            hours = Fraction(720)
        low, high = number(match["every_low"]) * hours, number(match["every_high"] or match["every_low"]) * hours
        least = number(match["every_least"] or "1")
        most = number(match["every_most"]) if match["every_most"] else least
        self._put("frequency", Frequency(least, most, low, high), match[0])
        self._forget()

    def _on_weight(self, match: re.Match[str]) -> None:
        self._over = ("kg",)
        self._pending.append(match[0])

    def _on_daily(self, match: re.Match[str]) -> None:
        self._span = "day"
        self._pending.append(match[0])

    def _on_weekly(self, match: re.Match[str]) -> None:
        self._span = "week"
        self._pending.append(match[0])

    def _on_single(self, match: re.Match[str]) -> None:
        self._span = ""
        self._pending.append(match[0])

    def _on_once(self, match: re.Match[str]) -> None:
        if self._span:
            self._take(Quantity(Fraction(1), Fraction(1), "次"), match[0])

    def _on_bound(self, match: re.Match[str]) -> None:
        self._bound = next(bound for bound, pattern in _BOUND_WORDS.items() if re.fullmatch(pattern, match[0]))
        self._pending.append(match[0])

    def _on_divided(self, match: re.Match[str]) -> None:
        low, high = number(match["parts_low"]), number(match["parts_high"] or match["parts_low"])
        self._put("divided", Quantity(low, high, "次"), match[0])

    def _on_quantity(self, match: re.Match[str]) -> None:
        self._take(read_quantity(match[0]), match[0])

    def _on_figure(self, match: re.Match[str]) -> None:
        value = Fraction(match[0])
        self._take(Quantity(value, value, ""), match[0])

    def _on_afterwards(self, match: re.Match[str]) -> None:
        if self._drafts and isinstance(last := self._drafts[-1][1], Quantity):
            kind, _, surface, *rest = self._drafts[-1]
            self._drafts[-1] = (kind, bounded(last, "", "day", ()), f"{surface} {match[0]}", *rest)  # type: ignore[assignment]

    def _take(self, quantity: Quantity, surface: str) -> None:
        """A quantity, with what the words before it say of it."""
        surface = "".join([*self._pending, surface])
        if quantity.unit == "次" and (self._span or quantity.span):
            hours = Fraction(168 if "week" in (self._span, quantity.span) else 24)
            self._put("frequency", often(bounded(quantity, self._bound, "", ()), hours), surface)
        else:
            measured = bounded(quantity, self._bound, self._span, self._over)
            self._put("patient" if _is_of_patient(measured, surface) else "quantity", measured, surface)
        self._forget()

    def _on_latin(self, match: re.Match[str]) -> None:
        self._on_word(match)

    def _on_word(self, match: re.Match[str]) -> None:
        kind, key = _LEXICON[match[0]]
        if match[0] in _AFRESH and not self._clauses[-1].tokens and len(self._clauses) > 1:
            self._sentence += 1
            self._clauses[-1].sentence = self._sentence
        if key == "不良反应" and self._clauses[-1].tokens and self._drafts[-1][1] in _INCIDENCES:
            return
        if match[0] in _TURNED:
            self._turned = (key, match[0])
        elif key and not (self._pending and key == "用"):
            self._put(kind, key, match[0])

    def _on_name(self, match: re.Match[str]) -> None:
        self._put("word", match[0], match[0])

    def _on_weak(self, match: re.Match[str]) -> None:
        self._item, self._tied = True, match[0] in _LINKS

    def _on_gap(self, match: re.Match[str]) -> None:
        """Lists are set apart by white space too."""
        self._item = True

    def _on_other(self, match: re.Match[str]) -> None:
        if match[0].isalnum() or match[0] in "%+±×<>≥≤=":
            if not (self._pending and match[0] in "量"):
                self._put("word", match[0], match[0])

    def _on_bracket(self, match: re.Match[str]) -> None:
        self._depth = max(0, self._depth + (1 if match[0] in "([" else -1))

    def _on_strong(self, match: re.Match[str]) -> None:
        sign = match[0][0]
        if self._depth and sign in ",:;、":
            self._item = True
            return
        self._depth = 0
        self._end_clause(match.start(), heading=sign == ":")
        if sign in "。!?！？\n.":
            self._sentence += 1
        if sign not in ",:":
            self._statement += 1
        self._clause_start = match.end()
        self._clauses.append(Clause("", statement=self._statement, sentence=self._sentence))

    def _end_clause(self, end: int, *, heading: bool) -> None:
        if self._pending:
            self._put("word", "".join(self._pending), "".join(self._pending))
        self._forget()
        if self._turned:
            self._put("polarity", *self._turned)
            self._turned = None
        self._trim()
        self._item = self._tied = False
        self._clauses[-1].text = self._folded[self._clause_start : end].strip()
        self._clauses[-1].heading = heading

    def _trim(self) -> None:
        """"孕妇用药:" heads what is said of 孕妇, and "同时," nothing."""
        members = self._clauses[-1].tokens
        if len(members) > 1 and self._drafts[-1][1] == "用" and all(self._drafts[i][0] == "population" for i in members[:-1]):
            members.pop()
            self._drafts.pop()
        elif len(members) == 1 and self._drafts[-1][1] == "同时":
            members.pop()
            self._drafts.pop()
            self._sentence += 1

    def _finish(self) -> Reading:
        kinds = [[self._drafts[i][0] for i in clause.tokens] for clause in self._clauses]
        pure = [all(kind in _DOSING for kind in found) for found in kinds]
        tokens = []
        for at, (kind, key, surface, clause, item, tied, bracketed) in enumerate(self._drafts):
            where = self._clauses[clause]
            opens = at == where.tokens[0] or (pure[clause] and not tied)
            tokens.append(Token(kind, key, surface, clause, where.statement, where.sentence, opens, item, tied, bracketed))
        return Reading(tuple(tokens), tuple(self._clauses))


def _is_of_patient(quantity: Quantity, surface: str) -> bool:
    """Whether a quantity says who the patient is rather than what to give: an age, a body weight, a clearance."""
    weighs = quantity.unit == "g" and not quantity.over and any(unit in surface for unit in ("kg", "公斤", "千克"))
    return weighs or quantity.unit in {"岁", "月龄", "mmhg"} or (quantity.unit == "l" and "分钟" in quantity.over)


def _group(match: re.Match[str]) -> str:
    """The name of the alternative that matched; named parts inside it do not count."""
    return next(name for name in _HANDLED if match[name] is not None)


_HANDLED = [name for name in _LEXER.groupindex if "_" not in name]
