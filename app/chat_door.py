"""What stands before Chainlit: who asks is known here, and only what our chat needs of Chainlit's addresses is open.

Chainlit keeps a token of its own, which lasts for days and which it never takes back. So it is let through only where it names the person
whose session is open here, and who that is is handed over in a header that no client can set.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse

from app.access import NO_ACCOUNTS, NOT_SIGNED_IN, WHO, Person
from app.doorkeeper import COOKIE, Doorkeeper
from app.problems import Problem, problem_response

HEADER = "x-qizhen-person"
CHAT_COOKIE = "access_token"  # Chainlit's; long ones are cut into access_token_0, access_token_1
ROLE_COOKIE = "qizhen_role"  # for the page's script; nothing is allowed by it
_PAGES = re.compile(r"/|/thread/[0-9a-f-]{36}")
_OPEN = {
    "GET": re.compile(
        r"/(?:public|assets|avatars)/.+|/favicon|/logo|/auth/config|/user|/project/(?:translations|settings)"
        r"|/project/thread/[0-9a-f-]{36}(?:/element/[^/]+)?|/project/file/[^/]+|/ws/socket\.io/?"
    ),
    "POST": re.compile(r"/auth/header|/set-session-cookie|/project/(?:threads|action|file)|/ws/socket\.io/?"),
    "PUT": re.compile(r"/project/thread"),
    "DELETE": re.compile(r"/project/thread"),
    "OPTIONS": re.compile(r"/ws/socket\.io/?"),
}
_LOOK_EVERY = 2.0  # seconds, on a connection that stays open
_LASTING = 60  # seconds
_SIGNED_OUT = 4401  # the code a websocket is closed with

Scope = MutableMapping[str, Any]


class ChatDoor:
    """Lets in who is known and may ask; ends a connection whose session has ended."""

    def __init__(self, chat: Any, keeper: Doorkeeper, token: Callable[[str], str], over_https: bool = False) -> None:
        """`token` makes Chainlit's token for a name."""
        self._chat = chat
        self._keeper = keeper
        self._token = token
        self._attributes = "; Path=/; SameSite=lax" + ("; Secure" if over_https else "")

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            return
        try:
            person = await self._admitted(scope)
        except Problem as problem:
            await _refuse(scope, receive, send, problem)
            return
        WHO.set(person)
        inside = {**scope, "headers": _handed_over(scope, person)}
        if scope["type"] == "http" and _PAGES.fullmatch(scope["path"]):
            await self._chat(inside, receive, self._with_token(inside, send, person))
        elif scope["type"] == "http":
            await self._chat(inside, receive, send)
        else:
            await self._watched(inside, receive, send, person)

    async def _admitted(self, scope: Scope) -> Person:
        path = scope["path"]
        is_page = scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and _PAGES.fullmatch(path)
        method = scope.get("method", "GET")
        allowed = _OPEN.get("GET" if method == "HEAD" else method)
        if not is_page and not (allowed and allowed.fullmatch(path)):
            raise Problem(404, f"没有 `{path[:80]}`。")
        person = await self._person(scope)
        if person and person.may("ask"):
            return person
        if not person and not await self._keeper.has_accounts():
            raise Problem(403, NO_ACCOUNTS)
        raise Problem(403, "您的角色不能提问。") if person else Problem(401, NOT_SIGNED_IN)

    async def _person(self, scope: Scope) -> Person | None:
        client = scope.get("client")
        return await self._keeper.by_session(Headers(scope=scope), client[0] if client else "")

    def _with_token(self, inside: Scope, send: Any, person: Person) -> Any:
        """With a page comes Chainlit's token for whoever it is for, unless they have it: its own way to it is a page for signing in; and
        their role, by which the page shows or hides links and nothing else.

        No browser keeps a page to show it again to the next person.
        """
        role = f"{ROLE_COOKIE}={person.role}{self._attributes}"
        more = [(b"cache-control", b"no-store"), (b"set-cookie", role.encode())]
        if f"{CHAT_COOKIE}=" not in Headers(scope=inside).get("cookie", ""):
            more.append((b"set-cookie", f"{CHAT_COOKIE}={self._token(person.name)}{self._attributes}; HttpOnly".encode()))

        async def send_with_token(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        return send_with_token

    async def _watched(self, scope: Scope, receive: Any, send: Any, person: Person) -> None:
        """A websocket, closed when the session it was opened with ends, or belongs to another role."""
        looked, ended = time.monotonic(), False

        async def has_ended() -> bool:
            nonlocal looked, ended
            if not ended and time.monotonic() - looked > _LOOK_EVERY:
                looked = time.monotonic()
                ended = await self._person(scope) != person
                if ended:
                    await send({"type": "websocket.close", "code": _SIGNED_OUT})
            return ended

        async def receive_while() -> Any:
            message = await receive()
            if message["type"] == "websocket.receive" and await has_ended():
                return {"type": "websocket.disconnect", "code": _SIGNED_OUT}
            return message

        async def send_while(message: Mapping[str, Any]) -> None:
            if message["type"] != "websocket.send" or not await has_ended():
                await send(message)

        await self._chat(scope, receive_while, send_while)


async def _refuse(scope: Scope, receive: Any, send: Any, problem: Problem) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _SIGNED_OUT})
    elif problem.status_code == 401 and _PAGES.fullmatch(scope["path"]):
        await RedirectResponse(f"/login?next={quote(scope['path'])}", 303)(scope, receive, send)
    else:
        await problem_response(problem)(scope, receive, send)


def handed_over(headers: Mapping[str, str]) -> str:
    """The name that the door put into a request's headers."""
    return unquote(headers.get(HEADER, ""))


def _handed_over(scope: Scope, person: Person) -> list[tuple[bytes, bytes]]:
    """The headers that Chainlit gets: nobody's word but ours for who it is."""
    cookies = Headers(scope=scope).get("cookie", "")
    ours = [(name, value) for name, value in scope["headers"] if name not in (b"authorization", b"cookie", HEADER.encode())]
    kept = _cookies_for(cookies, person)
    return [*ours, (HEADER.encode(), quote(person.name).encode()), *([(b"cookie", kept.encode("latin-1"))] if kept else [])]


def _cookies_for(cookies: str, person: Person) -> str:
    """Without our own session, and without Chainlit's token where it names somebody else."""
    try:
        found = SimpleCookie(cookies)
    except CookieError:
        return ""
    tokens = sorted(name for name in found if name == CHAT_COOKIE or re.fullmatch(rf"{CHAT_COOKIE}_\d+", name))
    is_theirs = _holds("".join(found[name].value for name in tokens), person.name)
    return "; ".join(f"{name}={found[name].value}" for name in found if name != COOKIE and (is_theirs or name not in tokens))


def _holds(token: str, name: str) -> bool:
    """Whether a token claims to be that person's and to last for a while; Chainlit checks its signature."""
    parts = token.split(".")
    if len(parts) != 3:
        return False
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return False
    if not isinstance(claims, dict) or not isinstance(claims.get("exp"), int | float):
        return False
    return claims.get("identifier") == name and claims["exp"] > time.time() + _LASTING
