"""A question read in the light of the conversation before it: what it leaves open is taken from there, what it changes is not."""

import re
from collections.abc import Sequence
from dataclasses import replace

from app.conversation import Conversation, Item, listed_in, names_unheld, offered
from app.patient import NOBODY
from app.prescribing import HOW_TAKEN, asks_how_taken
from app.question import LONGEST_QUESTION, MAY_TAKE, Question, Turn, check_text, content_runs, headings_of, kinds_of, resolve, says
from app.remembering import remembered
from app.selection import DOSE, INTERACTION, best_fit, class_names, in_sections
from app.signs import describes
from app.subject import Subject, documents_of, spellings, unique_subjects
from app.surfacing import together
from app.unnamed import asks_outside
from indexer.query import Query, read_query
from indexer.release import Release
from indexer.terms import fold, terms

_PRONOUN = re.compile(
    r"它|[这那该此](?:个|种|款|类)?(?:药|病)|(?:这|那|该|此)(?:个|种|款)(?!月|星期|情况|时候|剂量|年|人)|[这那]两|上述|上面|前面|刚才|前者|后者|给这|[吃用]这(?!些|样)|他俩?|她俩?"
)
# A complaint that came or grew while a drug was taken: 失眠更重了怎么办.
_SUFFERING = re.compile(r"更|加重|出现|[老总还]是|一直|[吃用服打]了")
_THIS = re.compile(r"这个?病|(?:会不会|是不是|算不算|就?是)(?:得了?)?(?:这|那|该)(?:个|种)?(?:病)?")
_THING = re.compile(r"它|[这该此](?:个|种|款)?药")
# A bare number is the clearance told before only where nothing else is said to have moved.
_MOVED = re.compile(r"^(?:那|现在|今天|昨天|刚|又|再)?(?:复查|化验|查)?(?:又|已经?)?[降掉升涨变](?:到|成|为)(\d+(?:\.\d+)?)")
_OWN_QUESTION = re.compile("是不是|会不会|会.{1,4}[吗么不]")
_NOT_HAD = re.compile("没有?|无|不是")
_LEAVING = re.compile(r"换个(?:话题|问题)|另外?(?:请教|想问|问)|不问这|不说这|新问题|别的问题")
_BACK = re.compile(r"刚才|前面|上面|说回|回到|说正事|继续|接着说|还是那|那个(?:药|病)")
_FOLLOWING = re.compile(r"(?:呢|的话)[,?。!]|(?:呢|的话)$|^(?:那|如果|要是|万一|换成|改成|之后|然后|和|跟|与|同)")
_CORRECTING = re.compile(
    r"更正|不对[,。]|口误|[说讲写打看听记弄搞问]错|[看弄搞说记]串|[弄搞说记]反|我说的是|我是说|我(?:要|想)?问的是|应该是|不是.{1,12}(?:[,]|是)"
)
_ADDING = re.compile(r"还|也|又|另外|对了|并且|同时|合并|加上|而且")
_HOW_MUCH = re.compile(
    r"[喂给吃用喝打服来](?:多少|几[片粒包袋滴支毫次])|(?:一[次天日顿晚]|每[次天日顿晚]|最多).{0,3}(?:多少|几[片粒包袋滴支毫次])|怎么[给喂减加]|(?:每|天)天都?要"
    r"|量.{0,2}[变调改]|[加减]量|[加减调]多少"
)
# A drug named as one more beside the drug in mind: 还有一瓶…,隔多久; 前天才停的…; 能换成…吗.
# 从…换过来, 吃…影响不.
_JOINING = re.compile(
    r"还(?:有|补|在|吃|用)|加了|配|一起|一块|同时|隔|停|能换|可以换|[和跟与同]|[从由].{1,10}[换转改]|switch"
    r"|影响(?:药效|效果|吸收)?(?:不|吗|么|没)?[?。]?$|冲突|相克|相冲|打架|[吃用服喝打含][了过着完]"
)
# Whoever is spoken of from here on is another patient, though no word tells who.
_ANOTHER = re.compile(
    r"(?:换(?:了)?一?[个位]?(?:新的?)?|(?:下|另外?|其他|别的?)(?:的)?一?[个位]?|还?有一?[个位](?:[^,。;]{0,10}的)?)(?:病人|患者|病号)"
    r"|(?:换(?:了)?一?[个位]|[下另]外?一个)(?:孩子|小孩|老人|人)(?!工|[能可吃喝用服的])|[下另]外?一位"
)
# Thanks and the like ask nothing, whatever is in mind.
_COURTESY = re.compile(
    r"(?:好的?|谢谢|多谢|感谢|谢了|辛苦|麻烦|明白|知道|了解|清楚|懂|收到|嗯+|哦+|行|ok|thanks?|thank you|再见|拜拜|[您你]|[了啊哈啦]"
    r"|医生|大夫|[,。!~ ])+"
)
_MISSED = re.compile(r"(?:[昨今前]|早上|晚上|中午|一[顿次]).{0,4}没(?:吃|用|打|喝|服)|忘了?(?:吃|用|打|喝|服)|漏了")
_COMPARED = re.compile(r"[一哪]类|区别|不同|哪个|什么药|一样")
_WHICH = re.compile(r"[吃用选换服打喝]哪[个种些]|用(?:什么|啥)")
_HAVING_TAKEN = re.compile("[吃用服喝打][了完上过着后]")
_SAME = re.compile(r"一样|也是|也会|也要|也能|也得")
_DISEASE = re.compile("病")
_CHOICES = re.compile(r"您要[找问]的是[:：]?")
_ORDINAL = re.compile(
    r"(?:第|(?=头))([一二三四五头1-5])一?(?:个|种)|[前上](?:一|面|边)(?:那|这)?(?:一)?[个种]|前者|后(?:一|面|边)(?:那|这)?(?:一)?[个种]|后者|最后(?:那|的)?一?[个种]"
)
_BOTH = re.compile(r"(?:这|那|它)?(?:两|俩)(?:个|种|样)?(?:药|都|一起|一块|同时|能)|这[两俩][个种]?|它[们俩]|二者|两者")
# "能一起吃吗" after two drugs is about both; "能和其他药一起吃吗" is not.
_TOGETHER, _COMPANY = re.compile("一起|一块|同时|合用|同服|联用"), re.compile("[和与跟]|同(?!时|服)")
# 对,就是这个; 是的,一天几次.
_YES = re.compile(
    r"^(?:[是对嗯好哦]+的?|没错|就是|正是|yes|ok)(?:[,。!]|$|(?=就是|是[这它]))(?:[是对嗯好]+的?|没错|就?是)?(?:[这它那]个?|的)?[,。!]?"
)
# 第一个吧, 选第二个, 应该是前者, 后面那个. The rest of an answer to "您要找的是" is what was asked, unless it asks anew.
_CHOSEN = re.compile(
    r"^(?:那|就|我?[要选问]的?(?:就?是)?|应该是?|是|嗯,?|哦,?)*"
    r"(?:[第头]([一二三四五1-5]?)一?[个种]|([前后])[面边]?(?:者|那?一?[个种])|(最后)一?[个种])(?:吧|的|啊|那[个种]|药)*[,。!]?"
)
_NONE = re.compile(r"都不是|不是这|都不对|不对")
_PAIR = 2
_NUMBERED = {c: n for n, c in enumerate("一二三四五")} | {c: n for n, c in enumerate("12345")} | {"头": 0}
_QUOTED = re.compile(r"[“\"]([^”\"]+)[”\"]")
# Share of a run's terms that the subjects' texts must hold for a question to stay with them.
# 0.5: as many turns of the golden dialogues are answered rightly as with 0.2, and three fewer beside the point.
_KNOWN_SHARE = 0.5
# Beside what is asked, never a dose, so short a run is no name that anything hangs on: 确诊靠啥, 为啥不能跟酒一块.
_TOO_SHORT_FOR_A_NAME = 2
# How well a sentence of theirs must fit a question for it to be about them all the same (`fits`).
# 0.25: of 107 dev questions on other matters put into the golden dialogues none fits so well but stories of signs and names not held.
_FITTING_TURN = 0.25
# The same where the lay terms know what is said, and where it tells several signs, which a disease may show better.
_FITTING_LAY, _FITTING_SIGNS = 0.15, 0.4
# Drugs that share a part of their names make a class of it: 他汀, 洛尔, 沙坦.
_FEWEST_OF_CLASS, _CLASS_LENGTH = 3, 2
# Characters of a word that may name something; a lone one does not.
_SHORTEST_WORD = 2
_TREATMENT, _COMPLAINTS = "治疗方法", ("不良反应", "注意事项")
_INDICATIONS, _CONTRAINDICATIONS = "适应症", "禁忌"
# A sentence that fits so well answers a question which asks for no section; and so much better than another drug's, this drug's alone.
_ANSWERING, _APART = 0.6, 0.25


def read_question(release: Release, text: str, history: Sequence[Turn] = ()) -> Question:
    """Resolve a question; what it leaves open comes from the conversation. Raises QuestionError for one that cannot be asked."""
    check_text(text)
    conversation = Conversation()
    for turn in history:
        content = turn.content[:LONGEST_QUESTION]
        if turn.role != "user":
            conversation = conversation.heard(release, content)
        elif any(c.isalnum() for c in content):
            conversation = conversation.after(_follow(release, content, conversation))
    return _follow(release, check_text(text), conversation)


def _follow(release: Release, text: str, conversation: Conversation) -> Question:
    question = resolve(release, text)
    if chosen := _chosen(release, question, conversation):
        return replace(chosen, text=text)
    adding = _ADDING.search(question.query.folded) is not None and _CORRECTING.search(question.query.folded) is None
    earlier = NOBODY if _ANOTHER.search(question.query.folded) else conversation.patient
    patient = earlier.joined(question.own, adding)
    if _COURTESY.fullmatch(question.query.folded):
        return replace(question, patient=patient)
    if (moved := _MOVED.search(question.query.folded)) and patient.clearance is not None and question.own == NOBODY:
        patient = replace(patient, clearance=float(moved[1]))
    question = replace(question, patient=patient)
    if question.other is not None:
        return question
    if (item := _item_meant(release, question, conversation)) and not item.drugs:
        return replace(question, unknown=item.name)
    if pointed := _pointed_at(release, question, conversation):
        question = _about(release, question, pointed, conversation)
    elif question.subjects:
        question = _with_subjects(release, question, conversation)
    else:
        question = _without_subjects(release, question, conversation)
    taking = patient.without(question.subjects).taking
    return replace(question, beside=unique_subjects((*question.beside, *taking)))


def _chosen(release: Release, question: Question, conversation: Conversation) -> Question | None:
    """An answer to "您要找的是": the question that was asked, of the name that is chosen."""
    offer = _CHOICES.search(conversation.said)
    if offer is None or not conversation.asked:
        return None
    listed = offered(release, conversation.said[offer.end() :])
    folded = question.query.folded.strip()
    yes = _YES.match(folded)
    if len(listed) > 1 and yes and yes.end() == len(folded):  # which of them is still open
        return resolve(release, conversation.asked)
    chosen, anew = _picked(release, question, listed)
    if chosen is None:
        return None
    if anew and (asked := resolve(release, f"{chosen.name} {anew}")).sections:
        return replace(asked, patient=conversation.patient.joined(asked.own))
    whole = _renamed(release, conversation, chosen, anew)
    return replace(whole, patient=conversation.patient.joined(whole.own))


def _renamed(release: Release, conversation: Conversation, chosen: Subject, anew: str) -> Question:
    """The question that was asked, with the name chosen in it for the one that was not held, in its dosage form where that is held."""
    before, missed = conversation.asked, _QUOTED.search(conversation.said)
    at = fold(before).find(fold(missed[1])) if missed else -1
    tail = f"，{anew}" if anew else ""
    if missed is None or at < 0:
        return resolve(release, f"{chosen.name} {before}{tail}")
    form = max((form for form in release.guide.words.forms if fold(missed[1]).endswith(form)), key=len, default="")
    readings = (
        resolve(release, before[:at] + name + before[at + len(missed[1]) :] + tail)
        for name in dict.fromkeys((chosen.name + form if not chosen.name.endswith(form) else chosen.name, chosen.name))
    )
    return next((reading for reading in readings if reading.subjects and reading.other is None), resolve(release, chosen.name))


def _picked(release: Release, question: Question, listed: Sequence[Subject]) -> tuple[Subject | None, str]:
    """Which of the names offered is chosen, and what the answer asks beside."""
    folded = question.query.folded.strip()
    if not listed or _NONE.search(folded):
        return None, ""
    if found := _CHOSEN.match(folded):
        number = _NUMBERED[found[1] or "头"] if not (found[2] or found[3]) else 0 if found[2] == "前" else len(listed) - 1
        return (listed[number] if number < len(listed) else None), folded[found.end() :]
    if len(listed) == 1 and (yes := _YES.match(folded)):
        return listed[0], folded[yes.end() :]
    if len(question.subjects) == 1 and not question.sections and not content_runs(question.query.residue):
        return question.subjects[0], ""
    return (_described(release, question, listed) if not question.subjects and not question.sections else None), ""


def _described(release: Release, question: Question, listed: Sequence[Subject]) -> Subject | None:
    """The one name offered of which, or of whose class, a question holds a part: 奥施的, 抗精神病的那个."""
    runs = [run for run in (run.rstrip("的那这个种") for run in content_runs(question.query.residue)) if len(run) > 1]
    named = [subject for subject in listed if any(run in name for name in spellings(release, subject) for run in runs)]
    classes = ((subject, class_names(release, documents_of(release, subject))) for subject in listed)
    of_class = [subject for subject, names in classes if any(run in name for name in names for run in runs)]
    return next((fitting[0] for fitting in (named, of_class) if len(fitting) == 1), None)


def _pointed_at(release: Release, question: Question, conversation: Conversation) -> tuple[Subject, ...]:
    """What "第一个", "后者", "两个一起" mean: what an answer listed, or what was named before."""
    folded = question.query.folded
    drugs = [subject for subject in conversation.named if subject.kind == "drug"]
    if question.subjects:
        return ()
    if item := _item_meant(release, question, conversation):
        return item.drugs
    if ordinal := _ORDINAL.search(folded):
        return (drugs[-2 if ordinal[0][0] in "前上" else -1],) if not ordinal[1] and len(drugs) > 1 else ()
    alone = _TOGETHER.search(folded) and not _COMPANY.search(folded) and not says(question.query)
    if (_BOTH.search(folded) or alone) and len(drugs) > 1:
        return tuple(drugs[-2:])
    return ()


def _item_meant(release: Release, question: Question, conversation: Conversation) -> Item | None:
    """The item of the list shown last that an ordinal counts out; "后一个" counts where the list has two."""
    ordinal = _ORDINAL.search(question.query.folded)
    items = conversation.listed or listed_in(release, conversation.said)
    if ordinal is None or question.subjects or not items:
        return None
    if ordinal[1]:
        number = _NUMBERED[ordinal[1]]
    elif ordinal[0].startswith("最后"):
        number = len(items) - 1
    elif len(items) == _PAIR and not any(subject.kind == "drug" for subject in conversation.named):
        number = 0 if ordinal[0][0] in "前上" else 1
    else:
        return None
    return items[number] if number < len(items) else None


def _about(release: Release, question: Question, subjects: tuple[Subject, ...], conversation: Conversation) -> Question:
    """The question asked of these subjects; what it asks for comes from the conversation where it does not say."""
    read = _reread(release, question, subjects)
    sections = read.sections or _asks_how_much(question, subjects)
    least = _ANSWERING if _FOLLOWING.search(question.query.folded) or question.own != NOBODY else _FITTING_TURN
    warned = _warned_of(release, question, subjects)
    if not sections and not warned and (question.own == NOBODY or says(read.query)) and _fit(release, read, subjects) >= least:
        return replace(read, subjects=subjects, sections=(), unknown="", by_words=True)
    if not sections and _asks_how(release, read, subjects):
        sections = (DOSE,)
    sections = sections or warned or _carried_sections(question, subjects, conversation)
    return replace(read, subjects=subjects, sections=sections, unknown="")


def _reread(release: Release, question: Question, subjects: Sequence[Subject]) -> Question:
    """The question read with the headings of its subjects' documents; only what they can have is asked of them."""
    headings = headings_of(release, [position for subject in subjects for position in subject.documents])
    query = read_query(question.text, release.names, release.guide, headings)
    kinds = {subject.kind for subject in subjects}
    fitting = [cue.name for cue in query.cues if cue.title or not kinds or kinds_of(release, [cue.name]) & kinds]
    return replace(question, query=query, sections=tuple(dict.fromkeys(fitting)))


def _asks_how_much(question: Question, subjects: Sequence[Subject]) -> tuple[str, ...]:
    """Of a drug already spoken of, "一次喂多少" asks for the dose, "昨晚的没吃" what to do; of a disease "能用哪个" for the drugs."""
    drug = any(subject.kind == "drug" for subject in subjects)
    if not drug and _WHICH.search(question.query.folded):
        return ("治疗药物",)
    if drug and _MISSED.search(question.query.folded):
        return ("漏服",)
    return (DOSE,) if drug and _HOW_MUCH.search(question.query.folded) else ()


def _warned_of(release: Release, question: Question, subjects: Sequence[Subject]) -> tuple[str, ...]:
    """What a drug in mind is asked for where all that is told is another disease or an allergy, which change no dose: 他心梗过."""
    folded, own = question.query.folded, question.own
    alone = not own.groups and own.age is None and own.clearance is None and own.weight is None
    drugs = all(subject.kind == "drug" for subject in subjects)
    if not drugs or not alone or not (own.diseases or own.allergies) or MAY_TAKE.search(folded) or _CORRECTING.search(folded):
        return ()
    documents = [document for subject in subjects for document in documents_of(release, subject)]
    names = [name for disease in own.diseases for name in spellings(release, disease)]
    treated = any(name in fold(unit.text) for unit in in_sections(release, documents, [_INDICATIONS]) for name in names)
    return () if treated else (_CONTRAINDICATIONS,)


def _carried_sections(question: Question, subjects: Sequence[Subject], conversation: Conversation) -> tuple[str, ...]:
    """What is still asked for: of a patient told now only the dose, of a question that says something of its own nothing."""
    folded = question.query.folded
    drug = any(subject.kind == "drug" for subject in subjects)
    if drug and MAY_TAKE.search(folded) and not _CORRECTING.search(folded):
        return ()
    if question.own.is_told and not _CORRECTING.search(folded):
        return (DOSE,) if DOSE in conversation.sections or question.own.clearance is not None else ()
    own = says(question.query) or (_OWN_QUESTION.search(folded) and question.query.residue)
    return conversation.sections if not own or _CORRECTING.search(folded) or _FOLLOWING.search(folded) else ()


def _with_subjects(release: Release, question: Question, conversation: Conversation) -> Question:
    """A question that names something: asked together with what went before, of the same drug, or of the same section."""
    if stays := _stays_with(release, question, conversation):
        return stays
    folded = question.query.folded
    kinds = {subject.kind for subject in question.subjects}
    others = _others(question, conversation)
    joined = set(question.sections) <= {DOSE} and _JOINING.search(folded) is not None and not _COMPARED.search(folded)
    if kinds == {"drug"} and len(others) == 1 and joined and together(release, question.subjects, others):
        return replace(question, sections=(INTERACTION,), beside=others)
    asks_together = INTERACTION in question.sections and len(question.subjects) == 1
    goes_on = not question.sections and INTERACTION in conversation.sections and _points_back(folded)
    if kinds == {"drug"} and others and (asks_together or goes_on):
        return replace(question, sections=question.sections or conversation.sections, beside=others)
    carries = _points_back(folded) or _SAME.search(folded) or _CORRECTING.search(folded)
    fits = not conversation.sections or kinds <= kinds_of(release, conversation.sections)
    own = says(question.query) or _OWN_QUESTION.search(folded)
    if question.sections or not carries or not fits or ((own or question.own.is_told) and not _CORRECTING.search(folded)):
        return question
    return replace(question, sections=conversation.sections, groups=question.groups or conversation.groups)


def _others(question: Question, conversation: Conversation) -> tuple[Subject, ...]:
    """The drugs in mind that a question does not name."""
    named = {subject.documents for subject in question.subjects}
    return tuple(subject for subject in conversation.drugs() if subject.documents not in named)


def _stays_with(release: Release, question: Question, conversation: Conversation) -> Question | None:
    """A question whose names only tell of the patient, asked of what was in mind before: a disease had, a drug taken."""
    folded = question.query.folded
    drugs, kinds = conversation.drugs(), {subject.kind for subject in question.subjects}
    if kinds == {"disease"} and drugs and _is_about_patient(release, question):
        patient = replace(question.patient, diseases=unique_subjects((*question.patient.diseases, *question.subjects)))
        return replace(_about(release, question, drugs, conversation), patient=patient)
    if kinds == {"disease"} and _SUFFERING.search(folded) and (blamed := _blamed(release, question, conversation)):
        return _about(release, question, blamed, conversation)
    named = {subject.documents for subject in question.subjects}
    told = {subject.documents for subject in question.own.diseases}
    if kinds == {"disease"} and named <= told and not drugs and not question.sections and _THIS.search(folded):
        return replace(question, subjects=unique_subjects((*conversation.subjects, *question.subjects)))
    taken = {subject.documents for subject in question.own.taking}
    asks_nothing = not question.sections and not _FOLLOWING.search(folded) and not _OWN_QUESTION.search(folded)
    others = _others(question, conversation)
    if others and named <= taken and (_PRONOUN.search(folded) or (MAY_TAKE.search(folded) and not question.sections) or asks_nothing):
        return replace(_about(release, question, others, conversation), beside=question.subjects)
    return None


def _is_about_patient(release: Release, question: Question) -> bool:
    """Whether a disease named after a drug is the patient's, and the drug is still asked about."""
    folded = question.query.folded
    if question.sections and "drug" not in kinds_of(release, question.sections):
        return False
    if re.search(r"换个|另外|不问|回到|说回|还是", folded):
        return False
    if question.sections and "disease" not in kinds_of(release, question.sections):
        return True
    telling = question.own.is_told or _FOLLOWING.search(folded) is not None
    return MAY_TAKE.search(folded) is not None or _PRONOUN.search(folded) is not None or (telling and not question.sections)


def _without_subjects(release: Release, question: Question, conversation: Conversation) -> Question:
    """A question that names nothing held: about what the conversation is about, unless it brings up something else."""
    folded = question.query.folded
    back = (_BACK.search(folded) and conversation.subjects) or _speaks_of_disease(release, question, conversation)
    if conversation.lost is not None and not back:
        return _still_lost(question, conversation.lost) if _is_open(question) else question
    if _LEAVING.search(folded):
        subjects: tuple[Subject, ...] = ()
    else:
        subjects = _blamed(release, question, conversation) or _spoken_about(release, question, conversation)
    if INTERACTION not in question.sections and (part := _class_named(release, question, subjects or conversation.subjects)):
        return replace(
            resolve(release, part), text=question.text, patient=question.patient, sections=question.sections or (DOSE,), unknown=part
        )
    if not subjects:
        return question
    if INTERACTION in question.sections and len(conversation.drugs()) > 1:
        subjects = conversation.drugs()
    return _about(release, question, _nearest(release, question, subjects), conversation)


def _blamed(release: Release, question: Question, conversation: Conversation) -> tuple[Subject, ...]:
    """The drugs in mind whose adverse reactions or cautions hold the complaint that a question asks what to do about: 干咳怎么办."""
    if set(question.sections) != {_TREATMENT}:
        return ()
    runs = [*says(question.query), *(name for subject in question.subjects for name in spellings(release, subject))]
    signs = question.query.said_beside_names

    def told_of(subject: Subject) -> bool:
        units = in_sections(release, documents_of(release, subject), _COMPLAINTS)
        texts = [fold(unit.text) for unit in units]
        return any(sign.stands_in(text) for sign in signs for text in texts) or any(run in text for run in runs for text in texts)

    return tuple(subject for subject in conversation.drugs() if told_of(subject))


def _speaks_of_disease(release: Release, question: Question, conversation: Conversation) -> bool:
    """Whether a question after one about a name not held is plainly answered by the disease that was in mind before it."""
    diseases = [subject for subject in conversation.subjects if subject.kind == "disease"]
    says_own = bool(says(question.query)) and not question.sections and not _PRONOUN.search(question.query.folded)
    return bool(diseases) and len(diseases) == len(conversation.subjects) and says_own and _fit(release, question, diseases) >= _ANSWERING


def _is_open(question: Question) -> bool:
    """Whether a question cannot stand by itself."""
    asks = bool(question.sections or question.groups or question.own.is_told)
    return _points_back(question.query.folded) or (asks and not content_runs(question.query.pointed))


def _still_lost(question: Question, lost: Question) -> Question:
    """A question about what is not held stays one: its name must not be looked for elsewhere."""
    return replace(
        question,
        query=replace(question.query, strangers=lost.query.strangers),
        other=lost.other,
        unknown="" if lost.other else names_unheld(lost),
        sections=question.sections or lost.sections,
    )


def _standing(release: Release, question: Question, conversation: Conversation) -> tuple[Subject, ...]:
    """The subjects that a question without one may be about: the latest that can have what is asked for."""
    asked = kinds_of(release, question.sections) if question.sections else set()
    wanted = {"disease"} if _DISEASE.search(question.query.folded) and _PRONOUN.search(question.query.folded) else asked
    fitting = tuple(subject for subject in conversation.subjects if not wanted or subject.kind in wanted)
    earlier = [subject for subject in (*conversation.patient.diseases, *conversation.named) if subject.kind in wanted]
    return _meant(release, question, fitting or tuple(earlier[-1:]))


def _spoken_about(release: Release, question: Question, conversation: Conversation) -> tuple[Subject, ...]:
    """The subjects whose texts speak of all that a question says; else the latest that have a sentence which fits it."""
    standing = _standing(release, question, conversation)
    if standing and _stays(release, question, standing):
        return standing
    if question.query.strangers:
        return ()
    kinds = {subject.kind for subject in conversation.subjects}
    earlier = [subject for subject in conversation.named if subject.kind not in kinds]
    candidates = [subjects for subjects in (standing, conversation.subjects, tuple(earlier[-1:])) if subjects]
    if "治疗药物" in question.sections:  # which other drug to take is no question to the drug in mind
        candidates = [subjects for subjects in candidates if all(subject.kind == "disease" for subject in subjects)]
    least = (
        _FITTING_SIGNS if describes(question) else _FITTING_LAY if question.query.said and DOSE not in question.sections else _FITTING_TURN
    )
    fitting = [c for c in candidates if _fit(release, question, c) >= least and not _names_another(release, question, c)]
    return fitting[0] if fitting else ()


def _fit(release: Release, question: Question, subjects: Sequence[Subject]) -> float:
    """How well the best sentence of the subjects fits the question."""
    return _fit_of(release, (question.query, tuple(subjects)))


@remembered
def _fit_of(release: Release, asked: tuple[Query, tuple[Subject, ...]]) -> float:
    """Every turn is read anew with each one after it, and asks this of the same subjects."""
    query, subjects = asked
    return best_fit(release, query, [document for subject in subjects for document in documents_of(release, subject)])


def _nearest(release: Release, question: Question, subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
    """Of several subjects the one that alone has what a question without a section says: which blackens the stool. Never for a dose."""
    if len(subjects) < 2 or question.sections or not says(question.query) or _HOW_MUCH.search(question.query.folded):
        return subjects
    ranked = sorted(((_fit(release, question, [subject]), n) for n, subject in enumerate(subjects)), reverse=True)
    (best, first), (second, _) = ranked[:2]
    return (subjects[first],) if best >= _ANSWERING and best - second >= _APART else subjects


def _meant(release: Release, question: Question, subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
    """Of several subjects those that a part of their name points at: 辛伐他汀 for "这个他汀"."""
    runs = content_runs(question.query.residue)
    partly = tuple(subject for subject in subjects if any(run in name for name in spellings(release, subject) for run in runs))
    return partly or subjects


def _points_back(folded: str) -> bool:
    return bool(_PRONOUN.search(folded) or _FOLLOWING.search(folded) or _BACK.search(folded) or _CORRECTING.search(folded))


def _class_named(release: Release, question: Question, subjects: Sequence[Subject]) -> str:
    """A part of several other drugs' names that a question speaks of: 他汀 while 氯吡格雷 is in mind."""
    own = [name for subject in subjects for name in spellings(release, subject)]
    text = question.query.beside_names
    alone = [run for run in question.query.residue if len(run) <= _CLASS_LENGTH and release.names.is_chemical(run)]
    parts = (text[at : at + _CLASS_LENGTH] for at in range(len(text) - 1))
    others = (part for part in parts if any(run in part for run in alone) and not any(part in name for name in own))
    return next((part for part in others if len(release.names.containing(part, {"drug"})) >= _FEWEST_OF_CLASS), "")


def _stays(release: Release, question: Question, subjects: Sequence[Subject]) -> bool:
    """Whether all that a question says is spoken of in the subjects' texts, so that it brings up nothing else."""
    texts, held = _spoken_of(release, tuple(subjects))
    folded = question.query.folded
    pronoun = _PRONOUN.search(folded) or _BACK.search(folded) or _CORRECTING.search(folded) or _for_another(question, subjects)
    if pronoun and INTERACTION in question.sections:
        return True
    if _names_another(release, question, subjects):
        return False
    if _asks_of_drug(release, question, subjects) or _asks_how(release, question, subjects):
        return True
    few = 0 if not question.sections or DOSE in question.sections else _TOO_SHORT_FOR_A_NAME
    runs = [terms(run) for run in _unspoken(question, texts) if len(run) > few]
    return bool(pronoun) or all(sum(term in held for term in wanted) >= _KNOWN_SHARE * len(wanted) for wanted in runs)


def _asks_of_drug(release: Release, question: Question, subjects: Sequence[Subject]) -> bool:
    """Whether a drug is in mind and what is asked for is what drugs' texts have: 漏服, 驾驶, 饮酒. Never a dose."""
    if any(subject.kind != "drug" for subject in subjects) or DOSE in question.sections or asks_outside(release, question):
        return False
    named = _names_another(release, question, subjects)
    return _MISSED.search(question.query.folded) is not None or (
        bool(question.sections) and "drug" in kinds_of(release, question.sections) and not named
    )


def _asks_how(release: Release, question: Question, subjects: Sequence[Subject]) -> bool:
    """Whether a drug is in mind and the question is how it is taken, and of nothing else that its texts do not say: 站着含行吗."""
    if any(subject.kind != "drug" for subject in subjects) or not asks_how_taken(question):
        return False
    texts, _ = _spoken_of(release, tuple(subjects))
    rest = [part for run in says(question.query) for part in HOW_TAKEN.split(run)]
    return all(len(part) < _SHORTEST_WORD or any(part in text for text in texts) for part in rest)


def _names_another(release: Release, question: Question, subjects: Sequence[Subject]) -> bool:
    """Whether a question seems to name a drug or a disease that the subjects' texts do not speak of."""
    texts, held = _spoken_of(release, tuple(subjects))
    ends = release.guide.words.disease_ends
    runs = _unspoken(question, texts)
    pointed = _THING.search(question.query.folded) is not None  # "它会引起子宫方面的毛病吗" is about it, whatever else it speaks of
    ended = any(run.endswith(ends) for run in runs) and not pointed
    unread = [run for run in question.query.unsaid if any(run in other for other in runs)]  # 东西模糊 is a sign, no drug with 西 in it
    return ended or any(release.names.is_chemical(term) and term not in held for run in unread for term in terms(run))


def _unspoken(question: Question, texts: Sequence[str]) -> list[str]:
    """What a question says and the texts do not say word for word."""
    return [run for run in says(question.query) if not any(run in text for text in texts) and not _NOT_HAD.match(run)]


@remembered
def _spoken_of(release: Release, subjects: tuple[Subject, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The folded texts and names of the subjects, and the terms in them."""
    texts = [fold(document.text) for subject in subjects for document in documents_of(release, subject)]
    texts += [name for subject in subjects for name in spellings(release, subject)]
    return tuple(texts), frozenset(term for text in texts for term in terms(text))


def _for_another(question: Question, subjects: Sequence[Subject]) -> bool:
    """Whether a drug already spoken of is asked about for a patient told now: 娃1岁多也有痰,给喝点行不行."""
    drugs = all(subject.kind == "drug" for subject in subjects)
    taking = re.search("[吃用服喝打喂]", question.query.folded) is not None
    told = question.own.is_told or bool(question.own.person)
    return drugs and taking and told and set(question.sections) <= {DOSE}
