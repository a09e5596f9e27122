"""`qizhen users …` and `qizhen keys …`: who may use the server, for an admin at its machine."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from app.access import ROLES, Scope
from app.accounts import Accounts
from app.api_keys import ApiKeys
from app.database import open_database, prepare_database
from app.index_console import AsJson, print_json
from app.settings import database_url
from indexer.errors import AccountError
from indexer.record import local_user

Result = TypeVar("Result")
users_app = typer.Typer(help="账户：谁可以登录，是什么角色。", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
keys_app = typer.Typer(help="给程序用的密钥。", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

State = Annotated[Path, typer.Option("--state", help="账户所在的文件夹。", metavar="DIR")]
Name = Annotated[str, typer.Argument(help="账户名称。")]
AsRole = Annotated[str, typer.Option("--role", help="、".join(f"{role}（{label}）" for role, label in ROLES.items()) + "。")]
FromInput = Annotated[bool, typer.Option("--password-stdin", help="从标准输入读密码，而不是在终端询问。")]
_VAR = Path("var")


@users_app.command("add")
def add_user(name: Name, role: AsRole = "clinician", password_stdin: FromInput = False, state: State = _VAR) -> None:
    """新增账户。"""
    password = _password(from_input=password_stdin)
    account = _done(state, lambda engine: Accounts(engine).add(name, role, password, local_user()))
    sys.stdout.write(f"已新增账户 {account.name}（{ROLES[account.role]}）\n")


@users_app.command("list")
def list_users(state: State = _VAR, as_json: AsJson = False) -> None:
    """全部账户。"""
    accounts = _done(state, lambda engine: Accounts(engine).all())
    if as_json:
        print_json([asdict(account) for account in accounts])
        return
    sys.stdout.writelines(f"{a.name}  {ROLES[a.role]}  {a.created[:10]}{'  已停用' if a.disabled else ''}\n" for a in accounts)


@users_app.command("disable")
def disable_user(name: Name, state: State = _VAR) -> None:
    """停用账户，并立刻结束它的登录。"""
    _done(state, lambda engine: Accounts(engine).disable(name, local_user()))
    sys.stdout.write(f"已停用 {name}\n")


@users_app.command("enable")
def enable_user(name: Name, state: State = _VAR) -> None:
    """重新启用账户。"""
    _done(state, lambda engine: Accounts(engine).enable(name, local_user()))
    sys.stdout.write(f"已启用 {name}\n")


@users_app.command("role")
def change_role(name: Name, role: Annotated[str, typer.Argument(help="、".join(ROLES))], state: State = _VAR) -> None:
    """改变角色，并立刻结束它的登录。"""
    _done(state, lambda engine: Accounts(engine).set_role(name, role, local_user()))
    sys.stdout.write(f"{name} 现在是 {role}\n")


@users_app.command("password")
def change_password(name: Name, password_stdin: FromInput = False, state: State = _VAR) -> None:
    """重设密码，并立刻结束它的登录。"""
    password = _password(from_input=password_stdin)
    _done(state, lambda engine: Accounts(engine).set_password(name, password, local_user()))
    sys.stdout.write(f"已重设 {name} 的密码\n")


@users_app.command("sign-out")
def sign_out(name: Name, state: State = _VAR) -> None:
    """结束账户的全部登录。"""
    ended = _done(state, lambda engine: Accounts(engine).sign_out(name, local_user()))
    sys.stdout.write(f"已结束 {name} 的 {ended} 个登录\n")


@users_app.command("log")
def log_of_users(state: State = _VAR, as_json: AsJson = False) -> None:
    """谁在何时对账户和密钥做了什么，最近的在前。"""
    acts = _done(state, lambda engine: Accounts(engine).acts())
    if as_json:
        print_json([asdict(act) for act in acts])
        return
    sys.stdout.writelines(f"{act.at}  {act.by}  {act.act}  {act.subject}  {act.details}\n" for act in acts)


@keys_app.command("add")
def add_key(
    owner: Annotated[str, typer.Argument(help="密钥属于哪个账户。")],
    scope: Annotated[list[str], typer.Option("--scope", help=f"权限，可多次给出：{'、'.join(get_args(Scope))}。")],
    days: Annotated[int, typer.Option(help="有效几天，最多 366。")] = 90,
    label: Annotated[str, typer.Option(help="做什么用。")] = "",
    state: State = _VAR,
    as_json: AsJson = False,
) -> None:
    """新建密钥；密钥只显示这一次。"""
    key, secret = _done(state, lambda engine: ApiKeys(engine).add(owner, scope, days, label, local_user()))
    if as_json:
        print_json({**asdict(key), "secret": secret})
        return
    sys.stdout.write(f"{secret}\n")
    sys.stderr.write(f"密钥 {key.id} 属于 {key.owner}，有效至 {key.expires[:10]}。请现在保存：以后不再显示。\n")


@keys_app.command("list")
def list_keys(state: State = _VAR, as_json: AsJson = False) -> None:
    """全部密钥，不含密钥本身。"""
    keys = _done(state, lambda engine: ApiKeys(engine).all())
    if as_json:
        print_json([asdict(key) for key in keys])
        return
    for key in keys:
        ended = "  已停用" if key.revoked else ""
        used = f"用于 {key.used[:10]}" if key.used else "没有用过"
        sys.stdout.write(f"{key.id}  {key.owner}  {' '.join(key.scopes)}  有效至 {key.expires[:10]}  {used}{ended}  {key.label}\n")


@keys_app.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="密钥的编号。")], state: State = _VAR) -> None:
    """停用密钥。"""
    _done(state, lambda engine: ApiKeys(engine).revoke(key, local_user()))
    sys.stdout.write(f"已停用密钥 {key}\n")


def _done(state: Path, work: Callable[[AsyncEngine], Awaitable[Result]]) -> Result:
    """Work on the database of a state folder. Raises AccountError, or ServeError where the database cannot be used."""
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AccountError(f"不能写 `{state}`：{error.strerror}", "换一个位置：--state 文件夹") from error

    async def do() -> Result:
        url = database_url(state)
        await prepare_database(url)
        engine = open_database(url)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    return asyncio.run(do())


def _password(*, from_input: bool) -> str:
    """Asked for twice on a terminal, or a line of stdin. Raises AccountError."""
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise AccountError("没有终端，不能询问密码：``", "用 --password-stdin 从标准输入给出")
    first, second = getpass.getpass("密码："), getpass.getpass("再输入一次：")
    if first != second:
        raise AccountError("两次输入的密码不同：`（不显示）`", "再试一次")
    return first
