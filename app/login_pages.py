"""Signing in and out, on a page of our own that works without script."""

import re
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from app.access import require
from app.chat_door import CHAT_COOKIE
from app.doorkeeper import COOKIE, Doorkeeper
from app.problems import Problem
from app.rendering import PageRoute, page
from app.service import Serving
from app.sign_in import LONGEST

router = APIRouter(route_class=PageRoute, include_in_schema=False)
# A path of ours: no other host, which a second slash would name.
_LOCAL_PATH = re.compile(r"/(?![/\\])[^\x00-\x20]*")
_LONGEST_PATH = 2000


@router.get("/login", response_model=None)
async def sign_in_form(request: Request, service: Serving, next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """The form; nothing to fill in where somebody is signed in, or nobody has to."""
    keeper = _keeper(service.doorkeeper)
    host = request.client.host if request.client else ""
    if await keeper.by_session(request.headers, host) or not await keeper.has_accounts():
        return RedirectResponse(_inside(next), 303)
    return page("login.html", wanted=_inside(next), name="", told="")


@router.post("/login", response_model=None)
async def sign_in(
    request: Request,
    service: Serving,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    wanted: Annotated[str, Form()] = "/",
) -> Response:
    """Start a session; whatever session the browser came with ends."""
    keeper = _keeper(service.doorkeeper)
    host = request.client.host if request.client else ""
    try:
        token = await keeper.sign_ins.sign_in(name, password, host)
    except Problem as problem:
        if problem.status_code not in (401, 429):
            raise
        shown = page("login.html", problem.status_code, wanted=_inside(wanted), name=name[:40], told=problem.detail)
        shown.headers.update(problem.headers or {})
        return shown
    await keeper.sign_out(request.headers)
    answer = RedirectResponse(_inside(wanted), 303)
    seconds = int(LONGEST.total_seconds())
    answer.set_cookie(COOKIE, token, max_age=seconds, path="/", httponly=True, samesite="lax", secure=service.over_https)
    return _without_chat_token(request, answer)


@router.post("/logout", response_model=None)
async def sign_out(request: Request, service: Serving) -> Response:
    """End the session. The chat's own button asks by script, and loads the page anew when it is told so."""
    await _keeper(service.doorkeeper).sign_out(request.headers)
    by_script = request.headers.get("sec-fetch-mode", "navigate") != "navigate"
    answer: Response = JSONResponse({"success": True}) if by_script else RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=service.over_https)
    return _without_chat_token(request, answer)


@router.get("/me", response_model=None, dependencies=[require("ask")])
async def me(request: Request) -> dict[str, str]:
    """Who is signed in, for the chat's script."""
    person = request.state.person
    return {"name": person.name, "role": person.role}


def _keeper(keeper: Doorkeeper | None) -> Doorkeeper:
    if keeper is None:
        raise Problem(404, "这里没有账户。")
    return keeper


def _inside(path: str) -> str:
    return path if len(path) <= _LONGEST_PATH and _LOCAL_PATH.fullmatch(path) else "/"


def _without_chat_token(request: Request, answer: Response) -> Response:
    for name in request.cookies:
        if name.startswith(CHAT_COOKIE):
            answer.delete_cookie(name, path="/")
    return answer
