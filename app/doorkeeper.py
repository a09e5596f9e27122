"""Who somebody is: by the session's cookie, by an API key, or by sitting at this machine where there are no accounts."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.access import LOCAL, Person, is_loopback
from app.accounts import Accounts
from app.api_keys import PREFIX, ApiKeys
from app.problems import Problem
from app.sign_in import SignIns

Result = TypeVar("Result")
COOKIE = "qizhen_session"
# For so long a session that was ended elsewhere may still be taken for one.
_BELIEVED = 2.0  # seconds
_MOST_BELIEVED = 4096


class Doorkeeper:
    """Asks the database who somebody is, and believes the answer for two seconds."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.accounts = Accounts(engine)
        self.sign_ins = SignIns(engine)
        self.keys = ApiKeys(engine)
        self.changing = asyncio.Lock()  # held by whoever looks at an account and then changes it
        self._believed: OrderedDict[str, tuple[float, Person | None]] = OrderedDict()
        self._has_accounts = False
        self._looked = -_BELIEVED
        self._looking = asyncio.Lock()

    async def by_session(self, headers: Mapping[str, str], host: str) -> Person | None:
        """Who a browser speaks for. Raises Problem 503 where the database does not answer."""
        if not await self.has_accounts():
            return LOCAL if is_loopback(host) else None
        token = session_of(headers)
        return await self._known(token, self.sign_ins.person) if token else None

    async def by_key_or_session(self, headers: Mapping[str, str], host: str) -> Person | None:
        """As `by_session`, for programs too, which bring a key; a wrong key is nobody's, whatever the cookie says."""
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and secret.startswith(PREFIX):
            return await self._known(secret, self.keys.person)
        return await self.by_session(headers, host)

    async def has_accounts(self) -> bool:
        """Whether people sign in here. Accounts are never deleted, so once there is one there always is."""
        if self._is_old():
            async with self._looking:  # one looks for all who come in this moment
                if self._is_old():
                    self._has_accounts = await _answered(self.accounts.exist())
                    self._looked = time.monotonic()
        return self._has_accounts

    def _is_old(self) -> bool:
        return not self._has_accounts and time.monotonic() - self._looked >= _BELIEVED

    async def sign_out(self, headers: Mapping[str, str]) -> None:
        """End the session of a browser, here at once."""
        if token := session_of(headers):
            self._believed.pop(token, None)
            await _answered(self.sign_ins.sign_out(token))

    async def _known(self, secret: str, ask: Callable[[str], Awaitable[Person | None]]) -> Person | None:
        told = self._believed.get(secret)
        if told and time.monotonic() - told[0] < _BELIEVED:
            return told[1]
        person = await _answered(ask(secret))
        self._believed[secret] = (time.monotonic(), person)
        self._believed.move_to_end(secret)
        while len(self._believed) > _MOST_BELIEVED:
            self._believed.popitem(last=False)
        return person


async def _answered(asked: Awaitable[Result]) -> Result:
    try:
        return await asked
    except (SQLAlchemyError, OSError) as error:
        raise Problem(503, "账户数据库没有回应，现在不能确认身份。请稍候再试。", headers={"Retry-After": "5"}) from error


def session_of(headers: Mapping[str, str]) -> str:
    """The token in a request's cookies, "" for none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
