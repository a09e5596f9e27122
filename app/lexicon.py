"""Words that mean the same to a pharmacist: one key for all spellings. What only carries style has no key and is left out."""

from typing import Literal

Kind = Literal["word", "quantity", "frequency", "divided", "route", "population", "patient", "polarity", "negation", "timing"]

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
    "禁用": "禁用 忌用 禁服 忌服 禁止使用 禁止应用 禁止服用 严禁使用 严禁服用 禁忌使用 不得使用 不得服用 不可使用 "
    "不可服用 不能使用 不能服用 "
    "绝对禁用 contraindicated",
    "慎用": "慎用 慎服 谨慎使用 谨慎服用 谨慎应用 慎重使用 小心使用",
    "不用于": "不用于 不适用于 不能用于 不可用于 不得用于",
    "用于": "用于 适用于 用于治疗 适用于治疗 可用于 可用于治疗 适应于",
    "可用": "可用 可以使用 可以用 可使用 可以服用 可服用 能用 能使用",
    "不推荐": "不推荐使用 不推荐应用 不推荐 不建议使用 不建议应用 不建议",
    "不推荐用于": "不推荐用于 不建议用于",
}
# What stands before its object and may stand after it too: 禁用于孕妇, 孕妇禁用.
TURNED = {"禁用于": "禁用", "忌用于": "禁用", "禁止用于": "禁用", "慎用于": "慎用"}
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
    "就诊": "就诊 就医 去医院就诊 到医院就诊 前往医院就诊 去医院就医 到医院就医",
    "检查": "检查 检查检验 检验检查",
    "忌食": "忌食 禁食",
    "必要时": "必要时 如有必要 如有需要 需要时 按需",
    "其他": "其他 其它",
    "起始": "起始 initial initially 初始",
    "维持": "维持 maintenance",
    "疑似": "疑似 怀疑 疑有",
    "约": "约 大约 大概",
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
_WHOLE = (
    "联合 主要 重要 必要 需氧 反应 适应 效应 应激 供应 感应 对应 相应 响应 目的 患者家属 或然 与否 参与 给与 涉及 普及 危及 "
    "累及 波及 及早 可能 可逆 可的松 可待因 可乐 许可 认可 "
    "有效 有害 有机 含有 为主 行为 因为 作为 为期 会阴 会厌 机会 社会 将近 即刻 随即 要求 纲要 一般 一旦 一定 一些 "
    "一样 一致 一过性 同时 不安 不适 不全 不良 不振 不足 "
    "不清 不稳 不孕 不育 不寐 不语 不止 不利 不畅 不调 不等 不同 不明 不规则 不规律 不耐受 不典型 不饱和 不眠 不通 无力 "
    "无症状 无菌 无机 无水 无尿 未成年 非典 非甾体 非处方药 "
    "非洛地平 非布司他 非那雄胺 非诺贝特 非索非那定 功能 性能 能量 官能 不和"
).split()
_LEFT_OUT = (
    "的 了 之 该 此 所 将 会 并 且 并且 而且 也 亦 均 都 则 即 是 为 有 应 应当 应该 须 必须 需 需要 请 可 可以 能 能够 "
    "要 就 对于 患者 病人 者 人群 另外 此外 "
    "需注意 需要注意 请注意 需注意的是 值得注意的是 注意 包括 包含 如下 分别 其中 按体重 按体重计算 体重 计算 本品 本药 该药 该品 此药 "
    "根据资料 根据知识库 资料显示 据资料 资料指出 说明书指出 说明书提示 说明书规定 需要指出的是 一般来说 总的来说 "
    "具体来说 具体而言 也就是说 首先 其次 最后 the a an of is are in and or"
).split()
MODALS = {"可", "可以", "能", "能够", "应", "应当", "应该", "须", "需", "要"}  # left out only before what they are about
AFRESH = {"此外", "另外"}  # what follows stands on its own
LINKS = {"与", "跟"}  # they tie two things, which must not come apart


def _table(kind: Kind, groups: dict[str, str]) -> dict[str, tuple[Kind, str]]:
    return {form: (kind, key) for key, forms in groups.items() for form in forms.split()}


INCIDENCES = {"常见", "少见", "罕见", "偶见", "十分常见", "严重"}
LEXICON: dict[str, tuple[Kind, str]] = {
    **{word: ("word", word) for word in (*_WHOLE, *INCIDENCES)},
    **_table("word", _WORDS),
    **_table("timing", _TIMINGS),
    **_table("negation", _NEGATIONS),
    **_table("population", _POPULATIONS),
    **_table("route", _ROUTES),
    **_table("polarity", _POLARITIES),
    **{form: ("polarity", key) for form, key in TURNED.items()},
    **dict.fromkeys(_LEFT_OUT, ("word", "")),
}
LABELS = frozenset(
    (
        "适应症 适应证 功能主治 主治 用法用量 用法与用量 用法 用量 剂量 不良反应 副作用 禁忌 注意事项 药物相互作用 规格 贮藏 "
        "常规剂量 给药方法 特殊人群 "
        "药理作用 成份 成分 性状 概述 病因 临床表现 症状 症状表现 典型症状 主要症状 检查检验 检查 诊断要点 治疗 治疗药物 "
        "治疗方法 并发症 预防 就诊科室"
    ).split()
)
# Sections whose items are what a drug is used for.
INDICATIONS = frozenset("适应症 适应证 功能主治 主治".split())
# Dosage forms that end a product's name; its ingredient is named without them.
FORMS = (
    "肠溶缓释片 缓释胶囊 肠溶胶囊 软胶囊 胶囊 缓释片 控释片 肠溶片 分散片 咀嚼片 泡腾片 滴丸 片 颗粒 口服溶液 口服液 "
    "干混悬剂 混悬液 注射液 滴眼液 软膏 乳膏 凝胶 丸 散 糖浆 栓"
).split()
