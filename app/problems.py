"""Errors of the site, worded in Chinese: problem+json (RFC 9457) for programs; the pages show the same words."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from indexer.errors import AccountError, GeneratorError, IndexFolderError, QizhenError, QuestionError

PROBLEM = "application/problem+json"
TITLES = {
    400: "请求读不懂",
    401: "没有登录",
    403: "没有权限",
    404: "没有这个内容",
    405: "这个地址不接受这种方法",
    406: "给不出所要的格式",
    409: "正在处理",
    410: "已经清除",
    413: "请求太大",
    415: "请求的格式不对",
    422: "请求的内容不合要求",
    429: "请求太多",
    500: "程序出错",
    503: "暂时不能回答",
}
_log = logging.getLogger("qizhen.site")
_WRONG = {
    "missing": "缺少这一项",
    "extra_forbidden": "没有这一项，请删去",
    "string_type": "应为文字",
    "string_too_long": "最长 {max_length} 字",
    "string_too_short": "不能是空的",
    "list_type": "应为列表",
    "too_long": "最多 {max_length} 项",
    "too_short": "至少 {min_length} 项",
    "literal_error": "应为 {expected} 之一",
    "string_pattern_mismatch": "有不接受的字符",
    "int_parsing": "应为整数",
    "int_type": "应为整数",
    "bool_type": "应为 true 或 false",
    "bool_parsing": "应为 true 或 false",
    "datetime_from_date_parsing": "应为带时区的时刻，例如 2026-11-23T00:00:00Z",
    "datetime_parsing": "应为带时区的时刻，例如 2026-11-23T00:00:00Z",
    "timezone_aware": "应为带时区的时刻，例如 2026-11-23T00:00:00Z",
    "greater_than_equal": "不能小于 {ge}",
    "less_than_equal": "不能大于 {le}",
    "dict_type": "应为 JSON 对象",
    "model_attributes_type": "应为 JSON 对象",
    "model_type": "应为 JSON 对象",
}


class Problem(HTTPException):
    """An error to be answered with. `detail` names the value and the next step; `faults` are (place, what is wrong) pairs."""

    def __init__(
        self, status: int, detail: str, *, faults: Sequence[tuple[str, str]] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.faults = tuple(faults)


def problem_json(status: int, detail: str, faults: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """The members of RFC 9457; `errors` stands only where several things may be wrong at once."""
    problem: dict[str, Any] = {"type": "about:blank", "title": TITLES.get(status, HTTPStatus(status).phrase)}
    problem |= {"status": status, "detail": detail}
    return problem | ({"errors": [{"place": place, "detail": wrong} for place, wrong in faults]} if faults else {})


def problem_of(error: Exception) -> Problem:
    """An error of this program as the problem that a client is told."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, QizhenError):
        return Problem(_status_of(error), f"{error.fault}。{error.hint}。")
    number = secrets.token_hex(4)
    _log.error("request failed, record %s", number, exc_info=error)
    return Problem(500, f"没有完成：程序出错，可以再试一次；仍不行时把记录编号 {number} 告诉管理员。")


def _status_of(error: QizhenError) -> int:
    if isinstance(error, AccountError | QuestionError | GeneratorError):
        return 422
    return 503 if isinstance(error, IndexFolderError) else 500


def word_problems(application: FastAPI) -> None:
    """Answer every error of an application as a problem."""

    def told(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, HTTPException) and not isinstance(error, Problem):
            details = {404: f"没有接口 `{request.url.path}`。", 405: f"`{request.url.path}` 不接受 `{request.method}`。"}
            error = Problem(error.status_code, details.get(error.status_code, "请求读不懂。"), headers=error.headers)
        return problem_response(problem_of(error))

    for kind in (HTTPException, RequestValidationError, QizhenError, Exception):
        application.add_exception_handler(kind, told)


def _invalid(error: RequestValidationError) -> Problem:
    found = error.errors()
    if any(fault["type"] == "json_invalid" for fault in found):
        return Problem(400, "请求体不是 JSON，解析不了。")
    faults = [(_place(fault["loc"]), _wrong(fault)) for fault in found]
    return Problem(422, "；".join(f"{place}：{wrong}" for place, wrong in faults) + "。", faults=faults)


def _place(location: Sequence[Any]) -> str:
    """body.history.0.role as /history/0/role; a query parameter by its name."""
    inside = [str(part) for part in location[1:]]
    return "/" + "/".join(inside) if location[0] == "body" else ".".join(inside)


def _wrong(fault: Mapping[str, Any]) -> str:
    wording = _WRONG.get(fault["type"], "值不合要求")
    return wording.format(**fault.get("ctx", {}))


def problem_response(problem: Problem) -> JSONResponse:
    """A problem as an answer."""
    content = problem_json(problem.status_code, problem.detail, problem.faults)
    return JSONResponse(content, problem.status_code, problem.headers, media_type=PROBLEM)
