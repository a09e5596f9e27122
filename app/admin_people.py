"""The admin pages of accounts and of keys for programs. A password is never shown again, a key once."""

import datetime
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.access import ROLES, SCOPES_OF, Who
from app.account_words import ACCOUNT_ACTS, SCOPES
from app.accounts import LONGEST_PASSWORD, SHORTEST_PASSWORD, Account, plain_name
from app.admin_form import Form, Sent
from app.admin_page import admin_page, admin_router
from app.answer_record import stamp
from app.api_keys import ApiKey
from app.doorkeeper import Doorkeeper
from app.problems import Problem
from app.service import Service, Serving
from indexer.errors import AccountError

_DAYS = 90  # that a key holds unless another number is chosen
_ACTS = 100  # shown
_HERE = "/admin/people"

router = admin_router()


@router.get("/people", response_class=HTMLResponse)
async def people(request: Request, service: Serving) -> HTMLResponse:
    """All accounts, all keys, and what was done to them."""
    return await _people(request, service)


@router.post("/people/add", response_model=None)
async def add(request: Request, service: Serving, who: Who, sent: Sent) -> Response:
    """A new account; the first one must be an admin's, or nobody could manage the others."""
    accounts = _keeper(service).accounts
    why, name, role = sent.why, sent.one("name"), sent.one("role")
    if role != "admin" and not await accounts.exist():
        return await _people(request, service, "第一个账户应是管理员，否则没有人能管理其余的账户。", name)
    try:
        account = await accounts.add(name, role, _password(sent), who.name, why)
    except AccountError as error:
        return await _people(request, service, f"{error.fault}。", name)
    return RedirectResponse(address_of(account.name), 303)


@router.get("/people/{name}", response_class=HTMLResponse)
async def person(request: Request, service: Serving, name: str) -> HTMLResponse:
    """One account."""
    return await _person(request, service, await _account(service, name))


@router.post("/people/{name}/role", response_model=None)
async def change_role(request: Request, service: Serving, who: Who, name: str, sent: Sent) -> Response:
    """Give an account another role, if it still has the one that was shown."""
    role, why = sent.one("role"), sent.why
    async with _keeper(service).changing:
        account = await _account(service, name)
        if account.role == role:
            return _back(account.name)
        if account.role != sent.one("seen"):
            told = f"在您打开这一页之后，`{account.name}` 的角色已改为{ROLES[account.role]}，所以没有执行。请看过再决定。"
            return await _person(request, service, account, told, 409)
        return await _done(request, service, account, _keeper(service).accounts.set_role(account.name, role, who.name, why))


@router.post("/people/{name}/disable", response_model=None)
async def disable(request: Request, service: Serving, who: Who, name: str, sent: Sent) -> Response:
    """Let an account sign in no more, and end its sessions."""
    why = sent.why
    async with _keeper(service).changing:
        account = await _account(service, name)
        if account.disabled:
            return _back(account.name)
        return await _done(request, service, account, _keeper(service).accounts.disable(account.name, who.name, why))


@router.post("/people/{name}/enable", response_model=None)
async def enable(request: Request, service: Serving, who: Who, name: str, sent: Sent) -> Response:
    """Let an account sign in again."""
    why = sent.why
    async with _keeper(service).changing:
        account = await _account(service, name)
        if not account.disabled:
            return _back(account.name)
        return await _done(request, service, account, _keeper(service).accounts.enable(account.name, who.name, why))


@router.post("/people/{name}/password", response_model=None)
async def reset_password(request: Request, service: Serving, who: Who, name: str, sent: Sent) -> Response:
    """Give an account another password, and end its sessions."""
    account, why = await _account(service, name), sent.why
    return await _done(request, service, account, _keeper(service).accounts.set_password(account.name, _password(sent), who.name, why))


@router.post("/people/{name}/sign-out", response_model=None)
async def sign_out(request: Request, service: Serving, who: Who, name: str, sent: Sent) -> Response:
    """End all sessions of an account."""
    account, why = await _account(service, name), sent.why
    return await _done(request, service, account, _keeper(service).accounts.sign_out(account.name, who.name, why))


@router.post("/people/{name}/keys", response_model=None)
async def add_key(request: Request, service: Serving, who: Who, name: str, sent: Sent) -> Response:
    """A new key, shown this once. The same form sent again makes no second one."""
    keeper, why = _keeper(service), sent.why
    async with keeper.changing:
        keys, account = keeper.keys, await _account(service, name)
        newest = _newest(await keys.all(), account.name)
        if newest != sent.one("newest"):
            told = f"在您打开这一页之后，已为它新建了密钥 `{newest}`，所以没有再建一把。密钥只在建成时显示一次；没有记下的，停用它再新建。"
            return await _person(request, service, account, told, 409)
        days = sent.one("days")
        whole = int(days) if days.isascii() and days.isdigit() and len(days) < 6 else 0
        try:
            key, secret = await keys.add(account.name, sent.all("scope"), whole, sent.one("label"), who.name, why)
        except AccountError as error:
            return await _person(request, service, account, f"{error.fault}。", 422)
        shown = admin_page(request, "admin_key.html", _HERE, key=key, secret=secret, scopes=SCOPES)
        shown.headers["cache-control"] = "no-store"
        return shown


@router.post("/keys/{key_id}/revoke", response_model=None)
async def revoke_key(service: Serving, who: Who, key_id: str, sent: Sent) -> Response:
    """End a key."""
    keeper, why = _keeper(service), sent.why
    async with keeper.changing:
        keys = keeper.keys
        known = {key.id: key for key in await keys.all()}
        if key_id not in known:
            raise Problem(404, f"没有密钥 `{key_id[:40]}`。请从账户页里选。")
        if not known[key_id].revoked:
            await keys.revoke(key_id, who.name, why)
        return _back(known[key_id].owner)


def address_of(name: str) -> str:
    """The address of an account's page."""
    return f"{_HERE}/{quote(name, safe='')}"


async def _people(request: Request, service: Service, told: str = "", name: str = "") -> HTMLResponse:
    keeper = _keeper(service)
    accounts, keys, acts = await keeper.accounts.all(), await keeper.keys.all(), await keeper.accounts.acts(_ACTS)
    return _page(request, "admin_people.html", told, 422 if told else 200, accounts=accounts, keys=keys, acts=acts, name=name[:40])


async def _person(request: Request, service: Service, account: Account, told: str = "", status: int = 200) -> HTMLResponse:
    keeper = _keeper(service)
    keys = [key for key in await keeper.keys.all() if key.owner == account.name]
    mine = {account.name, *(key.id for key in keys)}
    acts = [act for act in await keeper.accounts.acts(10 * _ACTS) if act.subject in mine][:_ACTS]
    allowed = [scope for scope in SCOPES if scope in SCOPES_OF[account.role]]
    newest = _newest(keys, account.name)
    return _page(
        request, "admin_person.html", told, status, account=account, keys=keys, acts=acts, allowed=allowed, newest=newest, days=_DAYS
    )


def _page(request: Request, template: str, told: str, status: int, **values: Any) -> HTMLResponse:
    words = {"roles": ROLES, "scopes": SCOPES, "words": ACCOUNT_ACTS, "lengths": (SHORTEST_PASSWORD, LONGEST_PASSWORD)}
    return admin_page(request, template, _HERE, status, told=told, now=stamp(datetime.datetime.now(datetime.UTC)), **words, **values)


async def _done(request: Request, service: Service, account: Account, doing: Awaitable[object]) -> Response:
    """Back to the account's page, where the act stands in the log; or the page with what was wrong."""
    try:
        await doing
    except AccountError as error:
        return await _person(request, service, account, f"{error.fault}。", 422)
    return _back(account.name)


def _back(name: str) -> Response:
    return RedirectResponse(f"{address_of(name)}#acts", 303)


async def _account(service: Service, told: str) -> Account:
    """The account of that name. Raises Problem 404."""
    name = plain_name(told)
    found = next((account for account in await _keeper(service).accounts.all() if account.name == name), None)
    if found is None:
        raise Problem(404, f"没有账户 `{told[:40]}`。请从账户列表里选。")
    return found


def _newest(keys: list[ApiKey], owner: str) -> str:
    return next((key.id for key in keys if key.owner == owner), "")


def _password(sent: Form) -> str:
    """As it was typed: blanks at its ends belong to it."""
    return str(next(iter(sent.all("password")), ""))


def _keeper(service: Service) -> Doorkeeper:
    if service.doorkeeper is None:
        raise Problem(503, "这个服务没有数据库，不能有账户。")
    return service.doorkeeper
