"""What is told of recorded answers, on the command line and on the pages of admins alike."""

from collections.abc import Mapping

from app.answer_record import Way
from app.answering import Status
from app.gaps import GapKind

STATUS: Mapping[Status, str] = {"answered": "已答", "refused": "拒答", "clarify": "反问"}
RATING: Mapping[int, str] = {1: "赞", -1: "踩", 0: ""}
WAYS: Mapping[Way, str] = {"chat": "网页", "api": "接口", "openai": "接口（OpenAI）"}
VERDICTS: Mapping[str, str] = {"supported": "有依据", "contradicted": "与原文相反", "unsupported": "没有依据"}
GAPS: Mapping[GapKind, str] = {"not_held": "没有收录", "not_mentioned": "资料没有提到", "other": "其他"}
