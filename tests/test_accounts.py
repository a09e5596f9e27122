"""Accounts, sessions and keys, on SQLite and on PostgreSQL."""

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from app.access import Person
from app.accounts import Account, Accounts
from app.api_keys import ApiKeys
from app.database import open_database, prepare_database
from app.problems import Problem
from app.sign_in import SignIns
from indexer.errors import AccountError

PASSWORD, OTHER = "阿莫西林每日三次0.5g", "another long password"
START = datetime.datetime(2026, 11, 23, 8, 0, tzinfo=datetime.UTC)


class Office:
    """The three stores of one database, and a clock that is set by hand."""

    def __init__(self, url: str) -> None:
        self.moment = START
        self.engine = open_database(url)
        self.accounts = Accounts(self.engine, lambda: self.moment)
        self.sign_ins = SignIns(self.engine, lambda: self.moment)
        self.keys = ApiKeys(self.engine, lambda: self.moment)

    def later(self, **time: float) -> None:
        self.moment += datetime.timedelta(**time)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Office]:
    await prepare_database(url)
    office = Office(url)
    await office.accounts.add("admin", "admin", PASSWORD, "root")
    try:
        yield office
    finally:
        await office.engine.dispose()


def during(url: str, work: Callable[[Office], Awaitable[None]]) -> None:
    async def do() -> None:
        async with opened(url) as office:
            await work(office)

    asyncio.run(do())


async def refused(office: Office, name: str, password: str, address: str = "192.0.2.1") -> int:
    with pytest.raises(Problem) as told:
        await office.sign_ins.sign_in(name, password, address)
    return told.value.status_code


def test_an_account_signs_in_until_it_signs_out(database: str) -> None:
    async def work(office: Office) -> None:
        assert await office.accounts.add("Wang.Ｙ", "pharmacist", OTHER, "admin") == Account(
            "wang.y", "pharmacist", "2026-11-23T08:00:00.000Z", disabled=False
        )
        token = await office.sign_ins.sign_in("WANG.y", OTHER, "192.0.2.1")
        assert await office.sign_ins.person(token) == Person("wang.y", "pharmacist")
        assert await office.sign_ins.person(token[:-1]) is None
        await office.sign_ins.sign_out(token)
        assert await office.sign_ins.person(token) is None

    during(database, work)


@pytest.mark.parametrize(
    "act",
    [
        lambda accounts: accounts.disable("li", "admin"),
        lambda accounts: accounts.set_role("li", "pharmacist", "admin"),
        lambda accounts: accounts.set_password("li", PASSWORD, "admin"),
        lambda accounts: accounts.sign_out("li", "admin"),
    ],
    ids=["disable", "role", "password", "sign-out"],
)
def test_what_changes_an_account_ends_its_sessions(database: str, act: Callable[[Accounts], Awaitable[None]]) -> None:
    async def work(office: Office) -> None:
        await office.accounts.add("li", "clinician", OTHER, "admin")
        tokens = [await office.sign_ins.sign_in("li", OTHER, "192.0.2.1") for _ in range(2)]
        admin = await office.sign_ins.sign_in("admin", PASSWORD, "192.0.2.1")
        await act(office.accounts)
        assert [await office.sign_ins.person(token) for token in tokens] == [None, None]
        assert await office.sign_ins.person(admin) == Person("admin", "admin")

    during(database, work)


def test_a_disabled_account_does_not_sign_in_until_it_is_enabled(database: str) -> None:
    async def work(office: Office) -> None:
        await office.accounts.add("li", "clinician", OTHER, "admin")
        await office.accounts.disable("li", "admin")
        assert await refused(office, "li", OTHER) == 401
        await office.accounts.enable("li", "admin")
        assert await office.sign_ins.sign_in("li", OTHER, "192.0.2.1")

    during(database, work)


def test_sessions_end_when_nobody_uses_them_and_after_a_week(database: str) -> None:
    async def work(office: Office) -> None:
        idle = await office.sign_ins.sign_in("admin", PASSWORD, "192.0.2.1")
        used = await office.sign_ins.sign_in("admin", PASSWORD, "192.0.2.1")
        for _ in range(16):  # 7 days less 8 hours
            office.later(hours=10)
            assert await office.sign_ins.person(used)
        assert await office.sign_ins.person(idle) is None
        office.later(hours=9)
        assert await office.sign_ins.person(used) is None

    during(database, work)


def test_guessing_gets_slower_and_the_right_password_waits_too(database: str) -> None:
    async def work(office: Office) -> None:
        assert [await refused(office, "admin", "wrong password", f"192.0.2.{n}") for n in range(6)] == [401] * 5 + [429]
        assert await refused(office, "ADMIN", PASSWORD, "192.0.2.9") == 429
        office.later(seconds=31)
        assert await refused(office, "admin", "wrong password") == 401
        office.later(seconds=31)
        assert await refused(office, "admin", PASSWORD) == 429  # the wait is twice as long now
        office.later(seconds=31)
        assert await office.sign_ins.sign_in("admin", PASSWORD, "192.0.2.1")
        assert await refused(office, "admin", "wrong password") == 401  # counted from the beginning again

    during(database, work)


@pytest.mark.slow
def test_one_address_does_not_try_many_names(database: str) -> None:
    async def work(office: Office) -> None:
        office.sign_ins._checking = asyncio.Semaphore(8)
        tried = [await refused(office, f"name{n}", "wrong password") for n in range(31)]
        assert tried == [401] * 30 + [429]
        assert await office.sign_ins.sign_in("admin", PASSWORD, "192.0.2.2")

    during(database, work)


def test_an_unknown_name_is_told_the_same_and_no_secret_is_kept(database: str) -> None:
    async def work(office: Office) -> None:
        told = []
        for name in ("admin", "nobody"):
            with pytest.raises(Problem) as problem:
                await office.sign_ins.sign_in(name, OTHER, "192.0.2.1")
            told.append((problem.value.status_code, problem.value.detail))
        assert told[0] == told[1] == (401, "账户名称或密码不对。")
        token = await office.sign_ins.sign_in("admin", PASSWORD, "192.0.2.1")
        _, secret = await office.keys.add("admin", ["ask"], 1, "", "admin")
        async with office.engine.connect() as connection:
            kept = [
                str(tuple(row))
                for table in ("accounts", "sessions", "sign_in_attempts", "api_keys", "account_acts")
                for row in await connection.execute(text(f"SELECT * FROM {table}"))
            ]
        assert any("$argon2id$" in row for row in kept)
        assert not any(hidden in row for row in kept for hidden in (PASSWORD, OTHER, token, secret, "nobody"))

    during(database, work)


def test_all_that_is_wrong_with_an_account_is_told_at_once(database: str) -> None:
    async def work(office: Office) -> None:
        with pytest.raises(AccountError) as told:
            await office.accounts.add("a b", "chief", "short", "admin")
        fault = told.value.fault
        assert all(part in fault for part in ("账户名称 `a b`", "角色 `chief`", "密码有 5 个字符，应为 10 到 200 个"))
        assert "short" not in str(told.value)
        for name, password, expected in [
            ("admin", OTHER, "已有账户 `admin`"),
            ("local", OTHER, "账户名称 `local` 留给了本机用户"),
            ("longenough.name", "LONGENOUGH.name", "密码不能与账户名称相同"),
        ]:
            with pytest.raises(AccountError, match=expected):
                await office.accounts.add(name, "clinician", password, "admin")
        for change in (office.accounts.disable("nobody", "admin"), office.accounts.set_role("nobody", "admin", "admin")):
            with pytest.raises(AccountError, match="没有账户 `nobody`"):
                await change

    during(database, work)


def test_an_admin_is_always_left(database: str) -> None:
    async def work(office: Office) -> None:
        for change in (office.accounts.disable("admin", "admin"), office.accounts.set_role("admin", "clinician", "admin")):
            with pytest.raises(AccountError, match="`admin` 是最后一个可用的管理员账户"):
                await change
        token = await office.sign_ins.sign_in("admin", PASSWORD, "192.0.2.1")
        assert await office.sign_ins.person(token) == Person("admin", "admin")
        await office.accounts.add("second", "admin", OTHER, "admin")
        await office.accounts.disable("admin", "second")
        assert [(account.name, account.disabled) for account in await office.accounts.all()] == [("admin", True), ("second", False)]

    during(database, work)


def test_two_who_disable_each_other_at_once_leave_one(database: str) -> None:
    async def work(office: Office) -> None:
        await office.accounts.add("second", "admin", OTHER, "admin")
        other = Office(database)
        try:
            for _ in range(8):
                acts = office.accounts.disable("admin", "second"), other.accounts.disable("second", "admin")
                told = await asyncio.gather(*acts, return_exceptions=True)
                left = [account.name for account in await office.accounts.all() if not account.disabled]
                assert len(left) == 1, told
                assert [type(one) for one in told if one is not None] == [AccountError]
                for name in ("admin", "second"):
                    await office.accounts.enable(name, left[0])
        finally:
            await other.engine.dispose()

    during(database, work)


def test_every_act_is_recorded(database: str) -> None:
    async def work(office: Office) -> None:
        await office.accounts.add("li", "clinician", OTHER, "admin")
        await office.accounts.set_role("li", "pharmacist", "admin")
        key, _ = await office.keys.add("li", ["drugs"], 30, "药房大屏", "admin")
        await office.keys.revoke(key.id, "li")
        told = [(act.by, act.act, act.subject, act.details) for act in await office.accounts.acts()]
        assert told == [
            ("li", "key-revoke", key.id, ""),
            ("admin", "key-add", "li", f"{key.id} drugs"),
            ("admin", "role", "li", "pharmacist"),
            ("admin", "add", "li", "clinician"),
            ("root", "add", "admin", "admin"),
        ]

    during(database, work)


def test_a_key_does_what_its_scopes_and_its_owners_role_allow(database: str) -> None:
    async def work(office: Office) -> None:
        await office.accounts.add("li", "pharmacist", OTHER, "admin")
        key, secret = await office.keys.add("li", ["releases", "drugs"], 30, "", "admin")
        person = await office.keys.person(secret)
        assert person == Person("li", "pharmacist", key.id, frozenset({"drugs", "releases"}))
        assert [scope for scope in ("ask", "drugs", "documents", "releases", "metrics", "admin") if person.may(scope)] == [
            "drugs",
            "releases",
        ]
        await office.accounts.set_role("li", "clinician", "admin")
        person = await office.keys.person(secret)
        assert person is not None
        assert (person.may("drugs"), person.may("releases")) == (True, False)
        assert (await office.keys.all())[0].used == "2026-11-23T08:00:00.000Z"

    during(database, work)


def test_a_key_ends(database: str) -> None:
    async def work(office: Office) -> None:
        await office.accounts.add("li", "clinician", OTHER, "admin")
        secrets = {}
        for name in ("expires", "revoked", "disabled"):
            key, secrets[name] = await office.keys.add("li", ["ask"], 1 if name == "expires" else 3, name, "admin")
            if name == "revoked":
                await office.keys.revoke(key.id, "admin")
                with pytest.raises(AccountError, match=f"没有可用的密钥 `{key.id}`"):
                    await office.keys.revoke(key.id, "admin")
        office.later(days=1)
        assert [bool(await office.keys.person(secrets[name])) for name in ("expires", "revoked", "disabled")] == [False, False, True]
        await office.accounts.disable("li", "admin")
        assert await office.keys.person(secrets["disabled"]) is None
        assert await office.keys.person("qz_unknown") is None

    during(database, work)


def test_all_that_is_wrong_with_a_key_is_told_at_once(database: str) -> None:
    async def work(office: Office) -> None:
        await office.accounts.add("li", "clinician", OTHER, "admin")
        with pytest.raises(AccountError) as told:
            await office.keys.add("li", ["admin", "everything"], 0, "", "admin")
        assert told.value.fault == (
            "账户 `li` 的角色没有权限 `admin`；没有权限 `everything`，可用：ask、drugs、documents、releases、metrics、admin；"
            "有效期 `0` 天应为 1 到 366 天"
        )
        with pytest.raises(AccountError, match="没有可用的账户 `nobody`；没有写明权限"):
            await office.keys.add("nobody", [], 1, "", "admin")

    during(database, work)
