"""Signing in and out on our page, and what a session or a key opens."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from site_client import quoting_service, site_client
from starlette.testclient import TestClient

from app.accounts import Accounts
from app.api_keys import ApiKeys
from app.database import open_database, prepare_database
from app.doorkeeper import COOKIE, Doorkeeper

PASSWORD = "阿莫西林每日三次0.5g"
ELSEWHERE = ("192.0.2.7", 50_000)
QUESTION = {"question": "头孢克洛的禁忌是什么？"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with an admin and a clinician."""
    url = f"sqlite:///{tmp_path / 'q.sqlite'}"

    async def fill() -> None:
        await prepare_database(url)
        engine = open_database(url)
        await Accounts(engine).add("admin", "admin", PASSWORD, "root")
        await Accounts(engine).add("li", "clinician", PASSWORD, "root")
        await engine.dispose()

    asyncio.run(fill())
    return url


@pytest.fixture
def client(sample_index: Path, url: str) -> Iterator[TestClient]:
    """Somebody at another machine, who is not followed where they are sent."""
    service = quoting_service(sample_index, doorkeeper=Doorkeeper(open_database(url)))
    with site_client(service, ELSEWHERE) as client:
        client.follow_redirects = False
        yield client


def sign_in(client: TestClient, name: str = "li", password: str = PASSWORD, wanted: str = "/drugs") -> str:
    answer = client.post("/login", data={"name": name, "password": password, "wanted": wanted})
    assert answer.status_code == 303
    return str(answer.headers["location"])


def test_whoever_is_not_signed_in_is_led_to_the_page_and_back(client: TestClient) -> None:
    answer = client.get("/drugs", params={"q": "头孢"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/drugs%3Fq%3D%25E5%25A4%25B4%25E5%25AD%25A2")
    page = client.get(answer.headers["location"])
    assert 'name="wanted" value="/drugs?q=%E5%A4%B4%E5%AD%A2"' in page.text
    assert "退出" not in page.text
    assert sign_in(client, wanted="/drugs?q=%E5%A4%B4%E5%AD%A2") == "/drugs?q=%E5%A4%B4%E5%AD%A2"
    assert "头孢克洛" in client.get("/drugs?q=%E5%A4%B4%E5%AD%A2").text


def test_the_cookie_is_for_the_server_alone(client: TestClient) -> None:
    answer = client.post("/login", data={"name": "li", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"{COOKIE}=")
    assert all(part in cookie for part in ("httponly", "samesite=lax", "path=/"))
    assert "secure" not in cookie


def test_behind_https_the_cookie_is_sent_over_nothing_else(sample_index: Path, url: str) -> None:
    service = quoting_service(sample_index, doorkeeper=Doorkeeper(open_database(url)), over_https=True)
    with site_client(service, ELSEWHERE) as client:
        answer = client.post("/login", data={"name": "li", "password": PASSWORD}, follow_redirects=False)
        assert "secure" in answer.headers["set-cookie"].lower()


def test_signing_out_ends_the_session_on_the_server(client: TestClient) -> None:
    sign_in(client)
    token = client.cookies[COOKIE]
    assert client.get("/me").json() == {"name": "li", "role": "clinician"}
    assert client.post("/logout").headers["location"] == "/login"
    client.cookies.clear()
    client.cookies.set(COOKIE, token)
    assert client.get("/drugs").headers["location"].startswith("/login")
    assert client.post("/api/v1/ask", json=QUESTION).status_code == 401


def test_signing_in_again_ends_the_session_before(client: TestClient) -> None:
    sign_in(client)
    first = client.cookies[COOKIE]
    sign_in(client, "admin")
    assert client.cookies[COOKIE] != first
    client.cookies.clear()
    client.cookies.set(COOKIE, first)
    assert client.get("/me").status_code == 303


def test_a_session_that_was_planted_is_not_taken_over(client: TestClient) -> None:
    planted = {"cookie": f"{COOKIE}=planted-by-somebody-else"}
    answer = client.post("/login", data={"name": "li", "password": PASSWORD}, headers=planted)
    assert answer.status_code == 303
    assert "planted-by-somebody-else" not in answer.headers["set-cookie"]
    assert client.get("/me", headers=planted).status_code == 303


def test_a_wrong_password_is_told_and_not_repeated(client: TestClient) -> None:
    answer = client.post("/login", data={"name": '<b>"li', "password": "hunter2hunter2", "wanted": "/drugs"})
    assert answer.status_code == 401
    assert "账户名称或密码不对。" in answer.text
    assert "hunter2hunter2" not in answer.text
    assert "<b>" not in answer.text
    assert COOKIE not in answer.cookies


def test_too_many_wrong_passwords_are_told_with_the_wait(client: TestClient) -> None:
    codes = [client.post("/login", data={"name": "li", "password": "wrong password"}).status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    answer = client.post("/login", data={"name": "li", "password": PASSWORD})
    assert (answer.status_code, int(answer.headers["retry-after"]) <= 30) == (429, True)
    assert "密码错误次数太多" in answer.text


@pytest.mark.parametrize("wanted", ["//evil.example/x", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a\r\nb", ""])
def test_nobody_is_led_elsewhere(client: TestClient, wanted: str) -> None:
    assert sign_in(client, wanted=wanted) == "/"
    assert client.get("/login", params={"next": wanted}).headers["location"] == "/"


def test_roles_and_keys_open_what_they_may(client: TestClient, url: str) -> None:
    async def keys() -> list[str]:
        engine = open_database(url)
        made = [await ApiKeys(engine).add("admin", [scope], 1, "", "admin") for scope in ("ask", "metrics")]
        await engine.dispose()
        return [secret for _, secret in made]

    ask, metrics = asyncio.run(keys())
    for secret, path, expected in [
        (ask, "/metrics", 403),
        (metrics, "/metrics", 200),
        (metrics, "/api/v1/drugs?name=x", 403),
        ("qz_unknown", "/metrics", 401),
        (ask[:-1], "/v1/models", 401),
        (ask, "/v1/models", 200),
    ]:
        answer = client.get(path, headers={"authorization": f"Bearer {secret}"})
        assert (path, answer.status_code) == (path, expected)
    assert client.get("/drugs", headers={"authorization": f"Bearer {ask}"}).status_code == 303  # pages are for people
    refused = client.get("/api/v1/releases")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    sign_in(client)
    answer = client.get("/api/v1/releases")
    assert (answer.status_code, answer.json()["detail"]) == (403, "您的角色没有权限 `releases`，不能这样做。需要时请管理员授权。")
    assert client.get("/api/v1/releases", headers={"authorization": "Bearer qz_wrong"}).status_code == 401  # whatever the cookie says


def test_with_accounts_this_machine_signs_in_too(sample_index: Path, url: str) -> None:
    with site_client(quoting_service(sample_index, doorkeeper=Doorkeeper(open_database(url)))) as here:
        assert here.post("/api/v1/ask", json=QUESTION).status_code == 401


def test_without_accounts_this_machine_is_enough(sample_index: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.sqlite'}"
    asyncio.run(prepare_database(url))
    with site_client(quoting_service(sample_index, doorkeeper=Doorkeeper(open_database(url)))) as here:
        assert here.post("/api/v1/ask", json=QUESTION).status_code == 200
        assert here.get("/login", follow_redirects=False).headers["location"] == "/"
    with site_client(quoting_service(sample_index, doorkeeper=Doorkeeper(open_database(url))), ELSEWHERE) as there:
        answer = there.post("/api/v1/ask", json=QUESTION)
        assert (answer.status_code, "还没有账户" in answer.json()["detail"]) == (403, True)


def test_a_database_that_is_gone_lets_nobody_in(sample_index: Path, tmp_path: Path) -> None:
    service = quoting_service(sample_index, doorkeeper=Doorkeeper(open_database(f"sqlite:///{tmp_path / 'no' / 'q.sqlite'}")))
    with site_client(service) as here:
        answer = here.post("/api/v1/ask", json=QUESTION)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
