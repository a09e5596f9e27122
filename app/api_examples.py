"""Examples for the interface's description, and the schema that each stands for."""

from collections.abc import Mapping
from typing import Any

RELEASE = "20261123-062607-7ead4320"
QUESTION: Any = {"question": "它的禁忌呢？", "history": [{"role": "user", "content": "非布司他能治疗什么病？"}]}
CHAT: Any = {"model": "qizhen", "messages": [{"role": "user", "content": "非布司他的禁忌是什么？"}], "stream": False}
_DATES = {"revised": "2026-11-01", "expires": ""}
_SOURCE = {"title": "非布司他", "publisher": "", "url": "", **_DATES, "licence": "CC0-1.0", "review": "未经临床审核"}
_SENTENCE = {"text": "正在使用硫唑嘌呤或巯嘌呤者禁用。", "citations": [1]}
_PLACE = {"document": "drug/febuxostat", "title": "非布司他", "section": "禁忌", "start": 120, "end": 136}
_CITATION = {"number": 1, **_PLACE, "quote": "正在使用硫唑嘌呤或巯嘌呤者禁用。", "source": _SOURCE}
_CANDIDATE = {"document": "drug/febuxostat", "title": "非布司他", "about": "抗痛风药", "question": "非布司他的禁忌是什么？"}
_TAIL = {"release": RELEASE, "generator": "quoting", "milliseconds": 3.2, "record": "7K3M-9QXT-2FHD"}
ANSWER: dict[str, Any] = {
    "id": "",
    "question": "非布司他的禁忌是什么？",
    "status": "answered",
    "sentences": [_SENTENCE],
    "citations": [_CITATION],
    "notices": ["仅供专业人员参考，不能替代诊疗决策。"],
    "candidates": [_CANDIDATE],
    **_TAIL,
}
_SHOWN = {"id": "7K3M-9QXT-2FHD", "at": "2026-11-23T10:53:04.120Z", "person": "li", "way": "api"}
_JUDGED = {"rating": 1, "comment": ""}
_SUMMARY = {
    **_SHOWN,
    "question": "非布司他的禁忌是什么？",
    "status": "answered",
    "release": RELEASE,
    "generator": "quoting",
    "milliseconds": 3.2,
}
ANSWERS: dict[str, Any] = {"answers": [{**_SUMMARY, **_JUDGED}], "next": ""}
RECORD: dict[str, Any] = {
    **_SHOWN,
    "key": "",
    "thread": "",
    "step": "",
    "question": "它的禁忌呢？",
    "history": [{"role": "user", "content": "非布司他能治疗什么病？"}],
    "read_as": "非布司他的禁忌呢？",
    "chosen": "quoting",
    "settings": {"program": "0.1.0", "reranker": ""},
    "release": RELEASE,
    "generator": "quoting",
    "status": "answered",
    "sentences": [_SENTENCE],
    "citations": [{"number": 1, "document": "drug/febuxostat", "start": 120, "end": 136}],
    "notices": ["仅供专业人员参考，不能替代诊疗决策。"],
    "candidates": [_CANDIDATE],
    "verdicts": ["supported"],
    "milliseconds": 3.2,
    **_JUDGED,
}
RATING: Any = {"rating": -1, "comment": "缺少肾功能不全的用量"}
RATED: dict[str, Any] = {"record": "7K3M-9QXT-2FHD", **RATING}
_DIFFERENCE = {"part": "句子", "before": ["孕妇禁用。[1]"], "now": ["孕妇慎用。[1]"]}
REPLAY: dict[str, Any] = {"record": "7K3M-9QXT-2FHD", "release": RELEASE, "same": False, "differences": [_DIFFERENCE]}
EVENTS = 'event: found\ndata: {"notices": [], "milliseconds": 2.1}\n\nevent: sentence\ndata: {"sentences": [...], "citations": [...]}\n\n'
_HIT = {**_PLACE, "text": "正在使用硫唑嘌呤或巯嘌呤者禁用。", "score": 1.52, "similarity": 0.61}
FOUND: dict[str, Any] = {"id": "", "hits": [_HIT], "milliseconds": 1.4, "next": ""}
_PART = {"title": "禁忌", "document": "drug/aspirin", "start": 120, "end": 136, "text": "活动性消化道出血者禁用。", "source": _SOURCE}
CARD: dict[str, Any] = {
    "status": "found",
    "document": "drug/aspirin",
    "title": "阿司匹林",
    "sections": [_PART],
    "candidates": [_CANDIDATE],
    "look_alikes": [{"title": "阿司匹林维生素C", "difference": ""}],
}
DOCUMENT: dict[str, Any] = {
    "id": "drug/febuxostat",
    "kind": "drug",
    "title": "非布司他",
    "aliases": ["优立通"],
    "text": "禁忌\n正在使用硫唑嘌呤或巯嘌呤者禁用。",
    "sections": [{"title": "禁忌", "start": 3, "end": 19}],
    "source": _SOURCE,
    "release": RELEASE,
}
_MANIFEST = {"id": RELEASE, "parent": "", "created": "2026-11-23T06:26:07Z", "documents": 366, "passages": 5355, "current": True}
RELEASES: dict[str, Any] = {"current": RELEASE, "releases": [_MANIFEST], "next": ""}
MODELS: dict[str, Any] = {
    "object": "list",
    "data": [{"id": "qizhen-quoting", "object": "model", "created": 0, "owned_by": "qizhen", "name": "原文摘录"}],
}
_TEXT = "**非布司他 · 禁忌**\n\n- 正在使用硫唑嘌呤或巯嘌呤者禁用。[1]\n\n仅供专业人员参考……\n\n---\n\n来源：\n\n[1] 非布司他 · 禁忌\n"
_HEAD = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1795414800, "model": "qizhen-quoting"}
COMPLETION: dict[str, Any] = {
    **_HEAD,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}],
    "qizhen": ANSWER,
}
CHUNKS = 'data: {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "…[1]"}}]}\n\ndata: [DONE]\n\n'
_PROBLEM = {"type": "about:blank", "title": "请求的内容不合要求", "status": 422, "detail": "问题是空的。"}
_PROBLEMS = {
    400: "读不懂",
    404: "没有",
    403: "没有权限",
    406: "给不出所要的格式",
    409: "同样的请求正在回答",
    410: "已经清除",
    413: "太大",
    415: "不是 JSON",
    422: "不合要求",
    500: "出错",
    503: "忙，或没有知识库",
}


def schema_of(example: Any) -> dict[str, Any]:
    """The JSON schema of whatever has an example's shape; all its keys are required, more are allowed."""
    if isinstance(example, Mapping):
        properties = {key: schema_of(value) for key, value in example.items()}
        return {"type": "object", "required": list(example), "properties": properties}
    if isinstance(example, list):
        return {"type": "array", "items": schema_of(example[0])} if example else {"type": "array"}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": kinds[type(example)]}


def responses(example: Mapping[str, Any], stream: str = "") -> dict[int | str, dict[str, Any]]:
    """What a route may answer: an object like the example, or the stream; or a problem."""
    content: dict[str, Any] = {"application/json": {"schema": schema_of(example), "example": example}}
    if stream:
        content["text/event-stream"] = {"schema": {"type": "string"}, "example": stream}
    problem = {"application/problem+json": {"schema": schema_of(_PROBLEM), "example": _PROBLEM}}
    possible: dict[int | str, dict[str, Any]] = {200: {"description": "成功", "content": content}}
    return possible | {status: {"description": about, "content": problem} for status, about in _PROBLEMS.items()}
