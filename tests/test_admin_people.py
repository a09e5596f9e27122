"""The admin pages of accounts and keys over HTTP: what they do, what they refuse, and that no secret is shown twice."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from site_client import quoting_service, site_client
from test_drug_pages import words

from app.accounts import Accounts
from app.database import open_database, prepare_database
from app.doorkeeper import Doorkeeper
from app.rendering import POLICY

PASSWORD, OTHER = "阿莫西林每日三次0.5g", "another long password"
ELSEWHERE = ("192.0.2.7", 50_000)
WHY = "新同事入科"


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'q.sqlite'}"
    asyncio.run(prepare_database(url))
    return url


def add_accounts(url: str, **roles: str) -> None:
    async def fill() -> None:
        engine = open_database(url)
        for name, role in roles.items():
            await Accounts(engine).add(name, role, PASSWORD, "root")
        await engine.dispose()

    asyncio.run(fill())


def opened(index: Path, url: str, client: tuple[str, int] = ELSEWHERE) -> Iterator[TestClient]:
    engine = open_database(url)
    with site_client(quoting_service(index, doorkeeper=Doorkeeper(engine)), client) as opened:
        yield opened
        assert opened.portal is not None
        opened.portal.call(engine.dispose)


@pytest.fixture
def client(sample_index: Path, url: str) -> Iterator[TestClient]:
    """An admin who signed in at another machine."""
    add_accounts(url, chief="admin", li="clinician")
    for client in opened(sample_index, url):
        sign_in(client, "chief", PASSWORD)
        yield client


@pytest.fixture
def here(sample_index: Path, url: str) -> Iterator[TestClient]:
    """Whoever sits at the machine, before there are accounts."""
    yield from opened(sample_index, url, ("127.0.0.1", 50_000))


def sign_in(client: TestClient, name: str, password: str) -> int:
    return client.post("/login", data={"name": name, "password": password}, follow_redirects=False).status_code


def send(client: TestClient, path: str, **fields: str | list[str]) -> Any:
    return client.post(f"/admin/{path}", data={"why": WHY, **fields}, follow_redirects=False)


def acts(client: TestClient) -> list[str]:
    table = client.get("/admin/people").text.split('id="acts"')[1]
    rows = re.findall(r'<td data-label="做了什么">(.*?)</td>\s*<td data-label="对象">(.*?)</td>\s*<td data-label="详情">(.*?)</td>', table)
    return [unescape(" ".join(row)) for row in rows]


def test_accounts_and_what_was_done_are_listed(client: TestClient) -> None:
    page = client.get("/admin/people")
    assert page.headers["content-security-policy"] == POLICY
    assert re.findall(r'<th scope="row"><a href="/admin/people/([^"]+)">', page.text) == ["chief", "li"]
    assert "chief管理员" in words(page.text)
    assert "li临床人员" in words(page.text)
    assert acts(client) == ["新增账户 li clinician", "新增账户 chief admin"]
    assert "argon2" not in page.text


def test_an_account_is_added_and_may_sign_in(client: TestClient, sample_index: Path, url: str) -> None:
    answer = send(client, "people/add", name="王药师", role="pharmacist", password=f" {OTHER} ")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/people/{quote('王药师')}")
    assert acts(client)[0] == f"新增账户 王药师 pharmacist · 缘由：{WHY}"
    for other in opened(sample_index, url):
        assert sign_in(other, "王药师", OTHER) == 401
        assert sign_in(other, "王药师", f" {OTHER} ") == 303
        assert other.get("/admin/people").status_code == 403


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "li", "role": "admin", "password": OTHER}, "已有账户`li`。没有新增账户。"),
        ({"name": "a b<script>", "role": "admin", "password": OTHER}, "账户名称`ab<script>`应为"),
        ({"name": "x", "role": "root", "password": OTHER}, "角色`root`应为"),
        ({"name": "x", "role": "admin", "password": "short"}, "密码有5个字符，应为10到200个"),
        ({}, "账户名称``应为"),
    ],
)
def test_what_is_wrong_with_a_new_account_is_told_and_no_password_comes_back(client: TestClient, fields: dict[str, str], told: str) -> None:
    answer = send(client, "people/add", **fields)
    assert answer.status_code == 422
    assert told in words(answer.text)
    assert "<script>" not in answer.text.replace("<script src", "")
    assert OTHER not in answer.text
    assert len(acts(client)) == 2


def test_without_a_reason_nothing_is_done(client: TestClient) -> None:
    for path in ("people/add", "people/li/role", "people/li/disable", "people/li/password", "people/li/sign-out", "people/li/keys"):
        answer = send(client, path, why=" ", name="x", role="admin", seen="clinician", password=OTHER, scope="ask", days="9")
        assert answer.status_code == 422, path
        assert "没有写缘由" in answer.text
        assert "没有执行" in answer.text
    assert len(acts(client)) == 2


def test_the_first_account_is_an_admins(here: TestClient) -> None:
    assert "还没有账户" in here.get("/admin/people").text
    refused = send(here, "people/add", name="li", role="clinician", password=OTHER)
    assert refused.status_code == 422
    assert "第一个账户应是管理员" in refused.text
    assert send(here, "people/add", name="chief", role="admin", password=OTHER).status_code == 303


def test_a_role_changes_once_and_an_old_page_changes_nothing(client: TestClient) -> None:
    for _ in range(2):
        answer = send(client, "people/li/role", role="pharmacist", seen="clinician")
        assert (answer.status_code, answer.headers["location"]) == (303, "/admin/people/li#acts")
    assert acts(client)[:2] == [f"改变角色 li pharmacist · 缘由：{WHY}", "新增账户 li clinician"]
    stale = send(client, "people/li/role", role="admin", seen="clinician")
    assert stale.status_code == 409
    assert "`li`的角色已改为药师，所以没有执行" in words(stale.text)
    assert send(client, "people/li/role", role="root", seen="pharmacist").status_code == 422


def test_the_last_admin_stays_one(client: TestClient) -> None:
    for path, fields in (("role", {"role": "clinician", "seen": "admin"}), ("disable", {})):
        answer = send(client, f"people/chief/{path}", **fields)
        assert answer.status_code == 422
        assert "`chief`是最后一个可用的管理员账户" in words(answer.text)
    assert client.get("/admin/people").status_code == 200


def test_disabling_is_done_once_and_undone(client: TestClient, sample_index: Path, url: str) -> None:
    for _ in range(2):
        assert send(client, "people/li/disable").status_code == 303
    assert "已停用" in client.get("/admin/people/li").text
    for other in opened(sample_index, url):
        assert sign_in(other, "li", PASSWORD) == 401
    assert send(client, "people/li/enable").status_code == 303
    assert acts(client)[:3] == [f"启用账户 li 缘由：{WHY}", f"停用账户 li 缘由：{WHY}", "新增账户 li clinician"]


def test_a_password_is_reset_and_sessions_are_ended(client: TestClient, sample_index: Path, url: str) -> None:
    for other in opened(sample_index, url):
        assert sign_in(other, "li", PASSWORD) == 303
        assert send(client, "people/li/password", password="short").status_code == 422
        assert send(client, "people/li/password", password=OTHER).status_code == 303
        assert other.get("/drugs", follow_redirects=False).status_code == 303
        assert sign_in(other, "li", PASSWORD) == 401
        assert sign_in(other, "li", OTHER) == 303
        assert send(client, "people/li/sign-out").status_code == 303
    assert acts(client)[:2] == [f"结束登录 li 缘由：{WHY}", f"重设密码 li 缘由：{WHY}"]


def test_a_key_is_shown_once_works_and_is_ended(client: TestClient, sample_index: Path, url: str) -> None:
    made = send(client, "people/li/keys", newest="", scope=["ask", "drugs"], days="30", label="HIS 接口")
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    secret = re.search(r'class="secret">(qz_[\w-]+)<', made.text)
    assert secret
    again = send(client, "people/li/keys", newest="", scope=["ask", "drugs"], days="30", label="HIS 接口")
    assert again.status_code == 409
    assert "所以没有再建一把" in again.text
    page = client.get("/admin/people/li").text
    assert secret[1] not in page + client.get("/admin/people").text
    assert "HIS 接口" in page
    assert "提问、查药" in page
    key = re.search(r"/admin/keys/(\w+)/revoke", page)
    assert key
    for program in opened(sample_index, url):
        bearer = {"Authorization": f"Bearer {secret[1]}"}
        assert program.get("/api/v1/drugs", params={"name": "阿司匹林"}, headers=bearer).status_code == 200
        assert program.get("/admin/people", headers=bearer, follow_redirects=False).status_code == 303
    for _ in range(2):
        assert send(client, f"keys/{key[1]}/revoke").status_code == 303
    assert acts(client)[:2] == [f"停用密钥 {key[1]} 缘由：{WHY}", f"新建密钥 li {key[1]} ask drugs · 缘由：{WHY}"]
    for program in opened(sample_index, url):
        assert program.get("/api/v1/drugs", params={"name": "阿司匹林"}, headers=bearer).status_code == 401


def at_once(client: TestClient, path: str, **fields: str | list[str]) -> list[int]:
    """The answers to one form that six clicks send."""
    with ThreadPoolExecutor(6) as clicks:
        sent = [clicks.submit(send, client, path, **fields) for _ in range(6)]
        return sorted(click.result().status_code for click in sent)


def test_clicks_at_once_do_it_once(client: TestClient) -> None:
    assert at_once(client, "people/li/keys", newest="", scope=["ask"], days="30", label="HIS 接口") == [200, *[409] * 5]
    assert len(set(re.findall(r"/admin/keys/(\w+)/revoke", client.get("/admin/people/li").text))) == 1
    assert at_once(client, "people/li/role", seen="clinician", role="pharmacist") == [303] * 6
    assert at_once(client, "people/li/disable") == [303] * 6
    assert at_once(client, "people/li/enable") == [303] * 6
    done = [act.split()[0] for act in acts(client)]
    assert done[:4] == ["启用账户", "停用账户", "改变角色", "新建密钥"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"scope": ["ask", "admin"], "days": "30"}, "账户`li`的角色没有权限`admin`"),
        ({"days": "30"}, "没有写明权限"),
        ({"scope": "ask", "days": "367"}, "有效期`367`天应为1到366天"),
        ({"scope": "ask", "days": "1e3"}, "有效期`0`天"),
    ],
)
def test_a_key_beyond_its_owner_is_refused(client: TestClient, fields: dict[str, Any], told: str) -> None:
    answer = send(client, "people/li/keys", newest="", **fields)
    assert answer.status_code == 422
    assert told in words(answer.text)
    assert len(acts(client)) == 2


@pytest.mark.parametrize(("path", "told"), [("people/nobody", "没有账户`nobody`"), ("people/%3Cscript%3E", "没有账户`<script>`")])
def test_an_unknown_account_is_told(client: TestClient, path: str, told: str) -> None:
    answer = client.get(f"/admin/{path}")
    assert answer.status_code == 404
    assert told in words(answer.text)
    assert send(client, "keys/zzz/revoke").status_code == 404


@pytest.mark.parametrize("name", ["li", "pharma"])
def test_nobody_else_sees_or_does_any_of_it(sample_index: Path, url: str, name: str) -> None:
    add_accounts(url, chief="admin", li="clinician", pharma="pharmacist")
    for client in opened(sample_index, url):
        paths = ("people", "people/chief", "releases/x", "", "gaps", "answers", "figures", "log", "rollback", "collect")
        assert {client.get(f"/admin/{path}".rstrip("/"), follow_redirects=False).status_code for path in paths} == {303}  # to sign in
        sign_in(client, name, PASSWORD)
        assert {client.get(f"/admin/{path}".rstrip("/")).status_code for path in paths} == {403}
        posted = ("people/add", "people/li/role", "people/chief/password", f"people/{name}/keys", "rollback/confirmed")
        fields = {"name": "mine", "role": "admin", "seen": "clinician", "password": OTHER, "scope": "ask", "days": "9", "newest": ""}
        assert {send(client, path, **fields).status_code for path in posted} == {403}


def test_only_admins_are_shown_the_way_there(sample_index: Path, url: str) -> None:
    add_accounts(url, chief="admin", li="clinician")
    for name, shown in (("li", False), ("chief", True)):
        for client in opened(sample_index, url):
            sign_in(client, name, PASSWORD)
            assert ('<a href="/admin">管理</a>' in client.get("/drugs").text) is shown


def test_without_a_database_that_is_told(sample_index: Path) -> None:
    answer = site_client(sample_index).get("/admin/people")
    assert answer.status_code == 503
    assert "这个服务没有数据库，不能有账户。" in answer.text
