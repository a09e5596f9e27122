"""Every route of the site asks who may use it."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from site_client import quoting_service, site_client

from app.access import Access, Scope, is_loopback
from app.site import create_site

# Health is told to whoever asks; style and script hold nothing of anybody.
OPEN = {"/healthz", "/readyz", "/site", "/login", "/logout"}
SCOPES = {
    "/drugs": "drugs",
    "/drugs/suggest": "drugs",
    "/drugs/interactions": "drugs",
    "/drugs/interactions/suggest": "drugs",
    "/drugs/{document_id:path}": "drugs",
    "/admin": "admin",
    "/admin/releases/{release_id}/discard": "admin",
    "/admin/knowledge": "admin",
    "/admin/knowledge/upload": "admin",
    "/admin/knowledge/remove": "admin",
    "/admin/knowledge/plan": "admin",
    "/admin/knowledge/build": "admin",
    "/admin/knowledge/stop": "admin",
    "/admin/documents": "admin",
    "/admin/documents/{document_id:path}": "admin",
    "/admin/releases/{release_id}": "admin",
    "/admin/releases/{release_id}/verify": "admin",
    "/admin/releases/{release_id}/publish": "admin",
    "/admin/rollback": "admin",
    "/admin/rollback/confirmed": "admin",
    "/admin/collect": "admin",
    "/admin/collect/confirmed": "admin",
    "/admin/log": "admin",
    "/admin/gaps": "admin",
    "/admin/people": "admin",
    "/admin/people/add": "admin",
    "/admin/people/{name}": "admin",
    "/admin/people/{name}/role": "admin",
    "/admin/people/{name}/disable": "admin",
    "/admin/people/{name}/enable": "admin",
    "/admin/people/{name}/password": "admin",
    "/admin/people/{name}/sign-out": "admin",
    "/admin/people/{name}/keys": "admin",
    "/admin/keys/{key_id}/revoke": "admin",
    "/admin/figures": "admin",
    "/admin/answers": "admin",
    "/admin/answers/{answer_id}": "admin",
    "/admin/answers/{answer_id}/replay": "admin",
    "/api/v1/ask": "ask",
    "/api/v1/search": "documents",
    "/api/v1/drugs": "drugs",
    "/api/v1/documents/{document_id:path}": "documents",
    "/api/v1/releases": "releases",
    "/api/v1/answers": "admin",
    "/api/v1/answers/{answer_id}": "ask",
    "/api/v1/answers/{answer_id}/rating": "ask",
    "/api/v1/answers/{answer_id}/replay": "admin",
    "/api/v1/openapi.json": "ask",
    "/v1/models": "ask",
    "/v1/chat/completions": "ask",
    "/metrics": "metrics",
    "/feedback": "ask",
    "/conversations/{thread_id}.docx": "ask",
    "/conversations/{thread_id}.pdf": "ask",
    "/conversations/{thread_id}": "ask",
    "/me": "ask",
}


def scopes(dependant: Dependant) -> Iterator[str]:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Access):
            yield inner.call.scope
        yield from scopes(inner)


def test_every_route_names_what_it_takes_to_use_it(sample_index: Path) -> None:
    asked: dict[str | None, list[list[str]]] = {}
    for route in iter_route_contexts(create_site(quoting_service(sample_index)).routes):
        dependant = getattr(route, "dependant", None)
        asked.setdefault(route.path, []).append(list(scopes(dependant)) if dependant else [])
    assert {path for path, named in asked.items() if not any(named)} == OPEN
    assert {path: named for path, named in asked.items() if any(named)} == {
        path: [[scope]] * len(asked[path]) for path, scope in SCOPES.items()
    }
    assert set(SCOPES.values()) <= set(get_args(Scope))


def test_from_elsewhere_nothing_is_answered_but_health(sample_index: Path) -> None:
    client = site_client(sample_index, client=("192.0.2.7", 50_000))
    posted = [
        path
        for path in SCOPES
        if not path.startswith("/admin") and path.endswith(("/ask", "/completions", "/rating", "/replay", "/feedback"))
    ]
    acts = [
        path
        for path in SCOPES
        if path.startswith("/admin")
        and path.endswith(
            (
                "/add",
                "/role",
                "able",
                "/password",
                "/sign-out",
                "/keys",
                "/revoke",
                "/replay",
                "/verify",
                "/publish",
                "/confirmed",
                "/upload",
                "/remove",
                "/stop",
                "/discard",
            )
        )
    ]
    paths = [path.replace("{document_id:path}", "drug/a") for path in SCOPES if path not in (*posted, *acts)]
    asked = {"question": "头孢克洛的禁忌是什么？"}
    told = [client.get(path, params={"question": "x", "name": "x"}) for path in paths]
    told += [
        client.post("/api/v1/ask", json=asked),
        client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "x"}]}),
        client.post("/api/v1/answers/7K3M-9QXT-2FHD/rating", json={"rating": 1}),
        client.post("/api/v1/answers/7K3M-9QXT-2FHD/replay"),
        *(client.post(path) for path in acts),
        client.put("/feedback", json={"feedback": {"forId": "x", "value": 1}}),
    ]
    assert [answer.status_code for answer in told] == [403] * len(SCOPES)
    assert all("还没有账户，只能在本机使用。" in answer.text for answer in told)
    kinds = {answer.headers["content-type"] for answer in told}
    assert kinds == {"text/html; charset=utf-8", "application/problem+json"}
    assert {client.get(path).status_code for path in ("/healthz", "/readyz", "/site/site.css")} == {200}


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "192.168.1.2", "127.0.0.1.evil.example", "testclient", "")],
)
def test_only_this_machine_is_here(host: str, here: bool) -> None:
    assert is_loopback(host) is here
