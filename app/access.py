"""Who may do what: the one check that stands before every route of ours, pages and interface alike."""

import contextlib
import ipaddress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Request

from app.problems import Problem

Scope = Literal["ask", "drugs", "documents", "releases", "metrics", "admin"]
Role = Literal["clinician", "pharmacist", "admin"]


@dataclass(frozen=True, slots=True)
class Person:
    """Who makes a request: an account's name, its role, and the id of the API key that was shown, "" for none."""

    name: str
    role: Role
    key: str = ""


# Whoever sits at this machine, where there are no accounts.
LOCAL = Person("local", "admin")


@dataclass(frozen=True, slots=True)
class Access:
    """A dependency that lets a request pass which may do what the scope names. Raises Problem 403.

    There are no accounts: whoever is on this machine may do everything, and nobody else anything.
    """

    scope: Scope

    async def __call__(self, request: Request) -> None:
        """Check one request."""
        if request.client is None or not is_loopback(request.client.host):
            raise Problem(403, "还没有账户，只能在本机使用。要从别的机器使用，请通过 SSH 隧道。")
        request.state.person = LOCAL


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
