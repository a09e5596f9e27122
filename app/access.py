"""Who may do what: the one check that stands before every route of ours, pages and interface alike."""

import contextlib
import ipaddress
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, Request

from app.problems import Problem

if TYPE_CHECKING:
    from app.doorkeeper import Doorkeeper

Scope = Literal["ask", "drugs", "documents", "releases", "metrics", "admin"]
Role = Literal["clinician", "pharmacist", "admin"]
ROLES: Mapping[Role, str] = {"clinician": "临床人员", "pharmacist": "药师", "admin": "管理员"}
SCOPES_OF: Mapping[Role, frozenset[Scope]] = {
    "clinician": frozenset(("ask", "drugs", "documents")),
    "pharmacist": frozenset(("ask", "drugs", "documents", "releases")),
    "admin": frozenset(("ask", "drugs", "documents", "releases", "metrics", "admin")),
}
# Where programs come with a key; pages are for people, who sign in.
_FOR_PROGRAMS = ("/api/", "/v1/", "/metrics")


@dataclass(frozen=True, slots=True)
class Person:
    """Who makes a request: an account's name and role; for a program the id of its API key too, and what that key allows."""

    name: str
    role: Role
    key: str = ""
    allowed: frozenset[Scope] | None = None

    def may(self, scope: Scope) -> bool:
        """Whether role and key allow it."""
        return scope in SCOPES_OF[self.role] and (self.allowed is None or scope in self.allowed)


# Whoever sits at this machine, where there are no accounts.
LOCAL = Person("local", "admin")
# Who the present request is from, for what every page shows.
WHO: ContextVar[Person | None] = ContextVar("who", default=None)


@dataclass(frozen=True, slots=True)
class Access:
    """A dependency that lets a request pass which may do what the scope names.

    Raises Problem 401 where it is not known who asks, 403 where they may not. Without accounts whoever is on this machine may do
    everything, and nobody else anything.
    """

    scope: Scope

    async def __call__(self, request: Request) -> None:
        """Check one request."""
        person = await who_asks(request)
        if not person.may(self.scope):
            of_key = f"密钥 `{person.key}` 没有" if person.allowed is not None and self.scope not in person.allowed else "您的角色没有"
            raise Problem(403, f"{of_key}权限 `{self.scope}`，不能这样做。需要时请管理员授权。")
        request.state.person = person
        WHO.set(person)


async def who_asks(request: Request) -> Person:
    """Who makes a request. Raises Problem 401 or 403 where that is nobody who is known."""
    keeper: Doorkeeper | None = request.app.state.service.doorkeeper
    host = request.client.host if request.client else ""
    if keeper is None:
        person = LOCAL if is_loopback(host) else None
    elif request.url.path.startswith(_FOR_PROGRAMS):
        person = await keeper.by_key_or_session(request.headers, host)
    else:
        person = await keeper.by_session(request.headers, host)
    if person:
        return person
    if keeper is None or not await keeper.has_accounts():
        raise Problem(403, NO_ACCOUNTS)
    raise Problem(401, NOT_SIGNED_IN, headers={"WWW-Authenticate": "Bearer"})


NO_ACCOUNTS = "还没有账户，只能在本机使用。要从别的机器使用，请先建立账户：qizhen users add 名称 --role admin。"
NOT_SIGNED_IN = "请先登录，或出示有效的 API 密钥。"


def person_of(request: Request) -> Person:
    """Who makes a request that `require` let pass."""
    person: Person = request.state.person
    return person


Who = Annotated[Person, Depends(person_of)]


def require(scope: Scope) -> Any:
    """The dependency for a route or a router: `dependencies=[require("drugs")]`."""
    return Depends(Access(scope))


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
