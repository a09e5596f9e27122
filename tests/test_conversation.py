from collections import Counter
from typing import Any

import pytest

from app.answering import Answer, ask
from app.following import read_question
from app.layout import message_pieces
from app.question import Turn
from indexer.query import Query, read_query
from indexer.release import Release


def said(release: Release, question: str, *earlier: str) -> Answer:
    """The answer after these turns; one that begins with ": " is the assistant's."""
    turns = [Turn("assistant", turn[2:]) if turn.startswith(": ") else Turn("user", turn) for turn in earlier]
    return ask(release, question, turns)


def shown(answer: Answer) -> str:
    return "\n".join(sentence.text for sentence in answer.sentences)


def cited(answer: Answer) -> set[str]:
    return {citation.unit.document.id for citation in answer.citations}


@pytest.mark.parametrize(
    ("question", "earlier", "expected", "never"),
    [
        ("那我妈妈呢，70岁", ["3岁孩子头孢克洛怎么吃"], "老年人", "mg/kg"),
        ("不是孩子，是我自己", ["3岁孩子布洛芬吃多少"], "成人轻至中度疼痛或发热", ""),
        ("布洛芬可以吃吗？", ["怀孕32周，普通感冒要不要用抗生素"], "孕晚期可致动脉导管早闭", ""),
        ("怀着孕的呢？", ["云南白药胶囊可以治什么"], "孕妇禁用。", "主治"),
        ("克拉霉素呢", ["孕妇能用阿奇霉素吗"], "孕妇禁用。", "扁桃体炎"),
        ("她肌酐清除率是25，不是52", ["高血压，女，41岁，肌酐清除率52，依那普利起始量"], "一次2.5mg", "一次5~10mg"),
        ("对了她还怀着孕", ["高血压，女，41岁，依那普利起始量"], "妊娠期妇女禁用", "维持一日10~20mg"),
        ("复查降到12了还能用吗", ["CrCl 38 mL/min，利伐沙班用多大剂量"], "低于15mL/min避免使用", "一次20mg"),
        ("俺娘76了，得从多少吃起", ["俺爹腿肿，速尿怎么吃"], "一次20mg，一日1次", "一次20~40mg"),
        ("前一个的禁忌呢", ["阿司匹林怎么吃", "华法林怎么吃"], "血友病", ""),
        ("两个一起吃呢", ["阿司匹林能治什么", "华法林能治什么"], "华法林：合用出血风险明显增加", ""),
        ("能一起吃吗", ["阿司匹林能治什么", "华法林能治什么"], "华法林：合用出血风险明显增加", ""),
        ("不对，我要问的是泼尼松，肝功能不全呢", ["泼尼松龙怎么吃"], "宜改用泼尼松龙", ""),
        ("上一种的禁忌", ["阿司匹林怎么吃", "华法林怎么吃"], "血友病", ""),
        ("我闺女4岁，能吃多少", ["我自己发烧，布洛芬怎么吃"], "5~10mg/kg", "成人轻至中度"),
        ("我说的是泼尼松，不是泼尼松龙。肝功能不全呢", ["泼尼松龙怎么吃"], "宜改用泼尼松龙", ""),
        ("他有痛风，碍事不", ["速尿怎么吃"], "痛风患者慎用", ""),
        ("重度的呢", ["利必通中度肝损要减多少", ": 拉莫三嗪（用法用量）：中度肝功能不全：一般应减少约50%。"], "约75%", "第1~2周一次25mg"),
        ("头一个刚开始一天多少", ["甲亢吃啥药", ": 甲状腺功能亢进症（治疗药物）：\n- 甲巯咪唑：……\n- 丙硫氧嘧啶：……"], "一日30mg", ""),
        ("今早发现昨晚的没吃", ["华法林怎么吃"], "不可加倍", ""),
        ("加了胺碘酮，这个要减多少", ["地高辛老人一天多少"], "合用应减量约一半", "一次200mg"),
        ("吃了大便发黑要紧吗", ["硫酸亚铁和优甲乐一起吃有影响吗"], "大便变黑为正常现象", ""),
        ("长期吃它会不会引起子宫方面的毛病", ["三苯氧胺治什么"], "子宫内膜癌", ""),
        ("透析病人能吃吗", ["痛风急性发作用什么药", ": 痛风（治疗药物）：\n- 秋水仙碱：……", "第一个怎么吃"], "透析患者", ""),
    ],
)
def test_what_was_established_is_kept_and_what_changed_is_replaced(
    shipped: Release, question: str, earlier: list[str], expected: str, never: str
) -> None:
    text = shown(said(shipped, question, *earlier))
    assert expected in text
    assert not never or never not in text


@pytest.mark.parametrize(
    ("question", "earlier", "document"),
    [
        ("第二个", ["施康定怎么吃", ": 没有收录“施康定”。您要找的是：吗啡（美施康定） 还是 羟考酮（奥施康定）？"], "drug/oxycodone"),
        (
            "氯丙嗪",
            ["氯炳嗪有什么禁忌", ": 没有收录“氯炳嗪”。您要找的是：氯丙嗪（抗精神病药） 还是 异丙嗪（抗组胺药）？"],
            "drug/chlorpromazine",
        ),
        ("对的，就是这个", ["伐昔络韦怎么吃", ": 没有收录“伐昔络韦”。您要找的是：伐昔洛韦（阿昔洛韦的前体药物）？"], "drug/valaciclovir"),
        ("第一个怎么吃", ["痛风急性发作用什么药", ": 痛风（治疗药物）：\n- 秋水仙碱：……\n- 别嘌醇：……"], "drug/colchicine"),
        ("那个病一般要查些什么", ["痛风急性发作用什么药", "秋水仙碱怎么吃"], "disease/gout"),
        ("换个话题，手足口病有什么症状", ["阿司匹林怎么吃"], "disease/hand-foot-mouth-disease"),
    ],
)
def test_a_choice_or_a_new_subject_is_understood(shipped: Release, question: str, earlier: list[str], document: str) -> None:
    answer = said(shipped, question, *earlier)
    assert (answer.status, cited(answer)) == ("answered", {document})


@pytest.mark.parametrize(
    ("question", "earlier"),
    [
        ("那换成奥美沙坦一天吃几片", ["依那普利怎么吃"]),
        ("佐匹克隆一晚吃几毫克", ["失眠有哪些药"]),
        ("白癜风用什么药膏", ["牛皮癣是怎么引起的"]),
        ("今天上证指数收了多少点", ["地高辛漏服了怎么办"]),
        ("帮我给我外婆写首生日诗", ["易倍申第一周吃多少"]),
        ("它的禁忌呢", ["头孢克洛怎么吃", "奥美沙坦怎么吃", ": 知识库无法回答这个问题：没有收录“奥美沙坦”。"]),
    ],
)
def test_what_is_not_held_is_not_answered_from_the_drug_before_it(shipped: Release, question: str, earlier: list[str]) -> None:
    assert said(shipped, question, *earlier).status == "refused"


@pytest.mark.parametrize("question", ["再问个，他汀一天吃几片", "还有那个洛尔，心率慢能吃不"])
def test_a_class_of_drugs_is_asked_back_about(shipped: Release, question: str) -> None:
    assert said(shipped, question, "波立维和饭有关系吗").status == "clarify"


@pytest.mark.parametrize(
    "question", ["红烧肉怎么做才不腻？", "驾照扣了12分要怎么处理", "茅台股票现在能买吗？", "阿哌沙班房颤每次吃几毫克？"]
)
def test_other_matters_are_not_answered_from_the_drug_in_mind(shipped: Release, question: str) -> None:
    assert said(shipped, question, "地高辛漏服了怎么办", ": 地高辛（用法用量）：漏服：12小时以内可补服。").status == "refused"


def test_the_last_answer_tells_what_is_in_mind(shipped: Release) -> None:
    turns = ["拜唐苹饭前还是饭后", "我还打着来得时，低血糖了吃白糖行不", ": 阿卡波糖（注意事项）：发生低血糖应给予葡萄糖。"]
    assert "drug/acarbose" in cited(said(shipped, "肌酐清除率只有20", *turns))


def test_a_question_off_the_subject_does_not_lose_it(shipped: Release) -> None:
    turns = ["地高辛漏服了怎么办", "今天天气怎么样", ": 知识库无法回答这个问题：没有找到足以回答的内容。"]
    assert cited(said(shipped, "说回刚才那个药，禁忌是什么", *turns)) == {"drug/digoxin"}


def test_another_person_is_another_patient(shipped: Release) -> None:
    turns = [Turn("user", "我有支架，平常含硝酸甘油，西地那非能吃吗"), Turn("user", "那我弟弟68岁，一次吃多少")]
    asked = read_question(shipped, "他有什么要注意", turns)
    assert (asked.patient.person, asked.patient.age, asked.patient.taking) == ("兄弟", 68 * 12, ())


LIST = (
    ": 消化性溃疡（治疗药物）：\n- 奥美拉唑：用于抑酸，正在服用氯吡格雷者应避免合用。\n"
    "- 阿莫西林：用于根除。\n- 硫糖铝（本知识库未收录）：辅助。"
)


@pytest.mark.parametrize(
    ("question", "status", "documents"),
    [
        ("第二个怎么吃", "answered", {"drug/amoxicillin"}),  # 氯吡格雷 is spoken of by the first item, and none itself
        ("第三个怎么吃", "refused", set()),  # an item counts though its drug is not held
    ],
)
def test_an_ordinal_counts_the_items_of_a_list(shipped: Release, question: str, status: str, documents: set[str]) -> None:
    answer = said(shipped, question, "胃溃疡用什么药", LIST)
    assert (answer.status, cited(answer)) == (status, documents)


@pytest.mark.parametrize(
    "another", ["换个病人，肾功能正常，怎么打", "下一位患者是髋关节手术的，怎么打", "还有一个做骨科手术的病人，怎么打"]
)
def test_what_was_told_of_one_patient_is_not_carried_to_the_next(shipped: Release, another: str) -> None:
    asked = read_question(shipped, another, [Turn("user", "83岁患者肌酐清除率25，依诺肝素钠预防怎么打")])
    assert (asked.patient.clearance, asked.patient.age) == (None, None)


@pytest.mark.parametrize("same", ["另外一个怎么吃", "下一次什么时候吃", "换个孩子能喝的剂型呢", "还有一个问题，饭后吃吗"])
def test_another_drug_or_question_is_no_other_patient(shipped: Release, same: str) -> None:
    asked = read_question(shipped, same, [Turn("user", "孩子3岁，布洛芬喂多少")])
    assert asked.patient.age == 36


@pytest.mark.parametrize(
    ("question", "earlier", "expected"),
    [
        ("他心梗过", "安康信痛风发作吃多少", "确诊的缺血性心脏病"),
        ("有个磺胺过敏的病人", "柳氮磺吡啶溃疡性结肠炎活动期怎么吃", "磺胺类药物"),
        ("滴多长时间", "患者肌酐清除率20，美罗培南治脑膜炎怎么给", "15~30分钟"),
        ("站着含行吗", "速效救心丸平时怎么吃", "避免站立时含服"),
        ("要从华法林换过来，怎么衔接", "泰毕全房颤一次多少", "INR低于2.0时开始"),
        ("吃奥美拉唑影响不", "头孢呋辛酯成人怎么吃", "胃酸减少可降低本品的吸收"),
        ("我吃了伟哥能含吗", "硝酸甘油怎么含", "禁止合用"),
        ("干咳怎么办", "卡托普利治高血压怎么吃", "干咳"),
        ("失眠更重了怎么办", "舍曲林一天吃几片", "失眠"),
        ("便血会不会是这个，我爸有痔疮", "肠癌早期有什么症状", "有痔的便血者不能因此排除结直肠癌"),
    ],
)
def test_a_turn_is_read_with_the_drug_or_disease_in_mind(shipped: Release, question: str, earlier: str, expected: str) -> None:
    assert expected in shown(said(shipped, question, earlier))


@pytest.mark.parametrize(
    ("choice", "title"),
    [("应该是后者", "drug/morphine"), ("前面那个吧", "drug/oxycodone"), ("奥施的", "drug/oxycodone"), ("第一个，老人呢", "drug/oxycodone")],
)
def test_a_choice_is_understood_in_other_words(shipped: Release, choice: str, title: str) -> None:
    back = ": 没有收录“施康定”。您要找的是：羟考酮（奥施康定） 还是 吗啡（美施康定）？"
    assert cited(said(shipped, choice, "施康定怎么吃", back)) == {title}


@pytest.mark.parametrize("choice", ["是的", "对，就是这个"])
def test_yes_to_several_names_is_asked_back_again(shipped: Release, choice: str) -> None:
    back = ": 没有收录“伐昔络韦”。您要找的是：伐昔洛韦 还是 阿昔洛韦？"
    assert said(shipped, choice, "伐昔络韦治带状疱疹吃几天", back).status == "clarify"


def test_thanks_repeat_no_dose(shipped: Release) -> None:
    assert said(shipped, "好的，谢谢", "奥氮平怎么吃").status == "refused"


def test_an_ointment_gets_no_dose_of_another_route(shipped: Release) -> None:
    text = shown(
        said(shipped, "第二个怎么涂", "湿疹用什么药膏", ": 湿疹（治疗药物）：\n- 糠酸莫米松乳膏：外用。\n- 氢化可的松乳膏：弱效。")
    )
    assert "外用涂于患处" in text
    assert "静脉" not in text


def test_fifty_turns_are_each_read_once(shipped: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counting(text: str, *given: Any) -> Query:
        read.append(text)
        return read_query(text, *given)

    monkeypatch.setattr("app.question.read_query", counting)
    turns = [Turn("user", "3岁孩子阿替洛尔吃多少"), Turn("assistant", "……"), Turn("user", "那它的剂量呢"), Turn("assistant", "……")] * 13
    ask(shipped, "它的那些禁忌呢", turns)
    once = Counter(read)
    assert set(once) >= {"3岁孩子阿替洛尔吃多少", "它的那些禁忌呢"}
    assert max(once.values()) <= 2  # with the headings of what it names, once more


@pytest.mark.parametrize(
    ("question", "choice", "title"), [("头孢克罗怎么吃", "第一个", "头孢克洛胶囊"), ("环孢素怎么吃", "第二个", "环孢素口服溶液")]
)
def test_a_question_back_is_answered_by_its_number(sample: Release, question: str, choice: str, title: str) -> None:
    back = ask(sample, question)
    turns = [Turn("user", question), Turn("assistant", "".join(message_pieces(back)))]
    answer = ask(sample, choice, turns)
    assert (back.status, answer.status, {c.unit.document.title for c in answer.citations}) == ("clarify", "answered", {title})
