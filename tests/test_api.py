"""The HTTP interface: its answers are those of `ask`, its errors are problems in Chinese, and nobody waits for nothing."""

import asyncio
import json
import logging
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from site_client import site_client
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from app import api_examples
from app.answering import ask
from app.citations import Unit
from app.contract import card_json, citation_json, recorded_json
from app.desk import Desk
from app.drug_card import look_up
from app.figures import refusal_kind
from app.generators import Draft, QuotingGenerator
from app.message_text import without_sources
from app.problems import Problem
from app.questions_file import read_questions
from app.safety import DISCLAIMER
from app.service import MOST_BYTES, Service, preferred
from app.shelf import ReleaseShelf
from app.site import SiteFirst
from indexer.build import build_release
from indexer.errors import ModelDownError, QizhenError
from indexer.release import Release

ROOT = Path(__file__).parent.parent
DEV = ROOT / "kb_data" / "questions" / "dev.jsonl"
QUESTION = "头孢克洛的禁忌是什么？"
EVENTS = {"accept": "text/event-stream"}


class Liar:
    """Says one thing that the evidence holds and one that it does not, then fails."""

    name = "liar"

    def draft(self, question: str, evidence: Sequence[Unit]) -> Iterator[Draft]:
        yield Draft(evidence[0].text, (0,))
        yield Draft("孕妇可以放心使用。", (0,))
        raise ModelDownError("模型没有答成", "检查模型服务")


def _service(index: Path, **more: Any) -> Service:
    made = {"quoting": QuotingGenerator, "liar": Liar}
    labels = {"quoting": "原文摘录", "liar": "说谎者"}
    return Service(ReleaseShelf(index), lambda name: made[name or "quoting"](), lambda: labels, **more)


@pytest.fixture(scope="module")
def service(sample_index: Path) -> Service:
    return _service(sample_index)


@pytest.fixture(scope="module")
def client(service: Service) -> TestClient:
    return site_client(service)


def _untimed(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "milliseconds"}


def _events(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(first.removeprefix("event: "), json.loads(second.removeprefix("data: "))) for first, second in blocks]


def _chunks(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.strip().split("\n\n")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_an_answer_is_that_of_ask(client: TestClient, sample: Release) -> None:
    told = client.post("/api/v1/ask", json={"question": QUESTION, "id": "七"})
    assert told.status_code == 200
    assert _untimed(told.json()) == _untimed(recorded_json(ask(sample, QUESTION), "", "七"))
    assert [s["text"] for s in told.json()["sentences"]] == ["对头孢菌素过敏者禁用。", "孕妇禁用。"]


@pytest.mark.slow
def test_answers_to_golden_questions_are_those_of_ask(shipped_index: Path, shipped: Release) -> None:
    client = site_client(_service(shipped_index))
    for asked in read_questions(DEV)[::12]:
        history = [{"role": turn.role, "content": turn.content} for turn in asked.history]
        told = client.post("/api/v1/ask", json={"question": asked.question, "history": history, "id": asked.id})
        assert _untimed(told.json()) == _untimed(recorded_json(ask(shipped, asked.question, asked.history), "", asked.id))


def test_history_is_followed(client: TestClient) -> None:
    history = [{"role": "user", "content": "头孢克洛能治什么病？"}]
    told = client.post("/api/v1/ask", json={"question": "它的禁忌呢？", "history": history}).json()
    assert {citation["document"] for citation in told["citations"]} == {"drug/a"}


def test_events_are_checked_sentences_and_the_same_answer_at_the_end(client: TestClient, sample: Release) -> None:
    told = client.post("/api/v1/ask", json={"question": QUESTION}, headers=EVENTS)
    assert told.headers["content-type"].startswith("text/event-stream")
    events = _events(told.text)
    assert [name for name, _ in events] == ["found", "sentence", "sentence", "answer"]
    answer = recorded_json(ask(sample, QUESTION), "")
    assert _untimed(events[-1][1]) == _untimed(answer)
    assert [event["sentences"][0] for _, event in events[1:3]] == answer["sentences"]
    assert [citation for _, event in events[1:3] for citation in event["citations"]] == answer["citations"]


def test_what_is_not_supported_is_never_sent(client: TestClient) -> None:
    told = client.post("/api/v1/ask", json={"question": QUESTION, "generator": "liar"}, headers=EVENTS).text
    assert "放心" not in told
    assert [event["sentences"][0]["text"] for name, event in _events(told) if name == "sentence"] == [
        "对头孢菌素过敏者禁用。",
        "孕妇禁用。",
    ]
    text = client.post("/v1/chat/completions", json={"model": "qizhen-liar", "messages": [{"role": "user", "content": QUESTION}]}).text
    assert "放心" not in text


def test_a_fault_in_the_middle_of_a_stream_is_told(sample_index: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        name = "liar"

        def draft(self, question: str, evidence: Sequence[Unit]) -> Iterator[Draft]:
            yield Draft(evidence[0].text, (0,))
            raise RuntimeError("秘密")

    service = Service(ReleaseShelf(sample_index), lambda _: Broken(), lambda: {"liar": "坏的"})
    client = site_client(service)
    name, problem = _events(client.post("/api/v1/ask", json={"question": QUESTION}, headers=EVENTS).text)[-1]
    assert (name, problem["status"]) == ("error", 500)
    assert "秘密" not in problem["detail"]
    assert "记录编号" in problem["detail"]
    assert "秘密" in caplog.text
    asked = {"stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    assert "记录编号" in _chunks(client.post("/v1/chat/completions", json=asked).text)[-1]["error"]["message"]
    assert (service.quick.taken, service.models.taken) == (0, 0)


WRONG: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/api/nope", {}, 404, "没有接口 `/api/nope`。"),
    ("GET", "/v1/nope", {}, 404, "没有接口 `/v1/nope`。"),
    ("GET", "/api/v1/ask", {}, 405, "`/api/v1/ask` 不接受 `GET`。"),
    ("POST", "/api/v1/ask", {"content": "{", "headers": {"content-type": "application/json"}}, 400, "请求体不是 JSON，解析不了。"),
    ("POST", "/api/v1/ask", {"content": "问", "headers": {"content-type": "text/plain"}}, 415, "请求体的格式是 `text/plain`"),
    ("POST", "/api/v1/ask", {"json": {"question": QUESTION}, "headers": {"accept": "image/png"}}, 406, "给不出 `image/png`"),
    ("POST", "/api/v1/ask", {"json": {"question": "？"}}, 422, "问题是空的：`？`"),
    ("POST", "/api/v1/ask", {"json": {"question": "问" * 10_000}}, 422, "/question：最长"),
    ("POST", "/api/v1/ask", {"json": {"question": QUESTION, "generator": "谁"}}, 422, "没有回答方式 `谁`，可用：quoting、liar。"),
    ("POST", "/api/v1/ask", {"json": {"history": [{"role": "x", "content": 1}], "a": 1}}, 422, "/question：缺少这一项；/history/0/role"),
    ("POST", "/api/v1/ask", {"json": {"question": QUESTION, "a": 1}}, 422, "/a：没有这一项，请删去。"),
    ("POST", "/api/v1/ask", {"json": {"question": "问" * MOST_BYTES}}, 413, f"请求体超过 `{MOST_BYTES}` 字节"),
    ("GET", "/api/v1/search", {}, 422, "question：缺少这一项。"),
    ("GET", "/api/v1/search?question=痛风&limit=0", {}, 422, "limit：不能小于 1。"),
    ("GET", "/api/v1/search?question=痛风&cursor=abc", {}, 422, "cursor `abc` 不属于这个列表，请从头翻起。"),
    ("GET", "/api/v1/drugs?name=，", {}, 422, "问题是空的：`，`"),
    ("GET", "/api/v1/drugs?name=阿司匹林", {"headers": {"accept": "text/html"}}, 406, "给不出 `text/html`，可以给：application/json。"),
    ("GET", "/api/v1/documents/drug/zz", {}, 404, "里没有文档 `drug/zz`。"),
    ("GET", "/api/v1/documents/drug/a?release=../x", {}, 404, "没有版本 `../x`。"),
    ("POST", "/v1/chat/completions", {"json": {"messages": []}}, 422, "/messages：至少 1 项。"),
    (
        "POST",
        "/v1/chat/completions",
        {"json": {"messages": [{"role": "assistant", "content": "好"}]}},
        422,
        "messages 的最后一条应是用户的问题。",
    ),
    (
        "POST",
        "/v1/chat/completions",
        {"json": {"model": "gpt", "messages": [{"role": "user", "content": "痛风"}]}},
        422,
        "没有回答方式 `gpt`",
    ),
]


@pytest.mark.parametrize(("method", "path", "sent", "status", "detail"), WRONG)
def test_errors_are_problems(client: TestClient, method: str, path: str, sent: dict[str, Any], status: int, detail: str) -> None:
    told = client.request(method, path, **sent)
    assert (told.status_code, told.headers["content-type"]) == (status, "application/problem+json")
    problem = told.json()
    assert problem["status"] == status
    assert detail in problem["detail"]
    assert "\u4e00" <= problem["title"][0] <= "\u9fff"


def test_a_body_without_a_length_is_held_to_the_limit(client: TestClient) -> None:
    pieces = (b" " * 300_000 for _ in range(10))
    told = client.post("/api/v1/ask", content=pieces, headers={"content-type": "application/json"})
    assert told.status_code == 413


def test_pages_of_passages_are_the_whole_list_once(client: TestClient) -> None:
    whole = client.get("/api/v1/search", params={"question": "头孢 口服", "limit": 7}).json()["hits"]
    found, cursor = [], ""
    while len(found) < 7:
        told = client.get("/api/v1/search", params={"question": "头孢 口服", "limit": 2, "cursor": cursor}).json()
        found, cursor = found + told["hits"], told["next"]
        if not cursor:
            break
    assert found[:7] == whole
    assert client.get("/api/v1/search", params={"question": "痛风", "cursor": told["next"] or "x"}).status_code == 422


def test_a_drug_is_the_card_of_the_command(client: TestClient, sample: Release) -> None:
    told = client.get("/api/v1/drugs", params={"name": "拜阿司匹林", "section": "禁忌"}).json()
    assert told == card_json(look_up(sample, "拜阿司匹林", "禁忌"))
    assert told["sections"][0]["text"] == "- 痛风患者禁用。"


def test_a_citation_opens_in_its_document(client: TestClient, sample: Release) -> None:
    citation = citation_json(ask(sample, QUESTION).citations[0])
    document = client.get(f"/api/v1/documents/{citation['document']}", params={"release": sample.id}).json()
    assert document["text"][citation["start"] : citation["end"]] == citation["quote"]
    assert document["release"] == sample.id


def test_releases_are_listed_a_page_at_a_time(write_lines: Any, tmp_path: Path) -> None:
    index = tmp_path / "index"
    rows = [{"id": f"d{n}", "kind": "drug", "title": f"某药{n}", "sections": [{"title": "禁忌", "text": "孕妇禁用。"}]} for n in range(2)]
    built = [build_release(index, [write_lines(rows[:number])]).release for number in (1, 2)]
    client = site_client(_service(index))
    first = client.get("/api/v1/releases", params={"limit": 1}).json()
    second = client.get("/api/v1/releases", params={"limit": 1, "cursor": first["next"]}).json()
    assert [first["releases"][0]["id"], second["releases"][0]["id"]] == built
    assert second["next"] == ""
    assert [first["releases"][0]["current"], second["releases"][0]["current"]] == [False, True]


def test_completions_carry_marks_sources_and_the_answer(client: TestClient, sample: Release) -> None:
    asked = {"model": "qizhen", "temperature": 0.7, "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": QUESTION}]}
    told = client.post("/v1/chat/completions", json=asked).json()
    text = told["choices"][0]["message"]["content"]
    assert text.startswith("**头孢克洛胶囊 · 禁忌**\n\n- 对头孢菌素过敏者禁用。[1]\n- 孕妇禁用。[2]\n")
    assert "\n[1] 头孢克洛胶囊 · 禁忌 · 甲药厂 · 2025-01-02\n" in text
    assert DISCLAIMER in text
    assert _untimed(told["qizhen"]) == _untimed(recorded_json(ask(sample, QUESTION), ""))
    chunks = _chunks(client.post("/v1/chat/completions", json={**asked, "stream": True}).text)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == text
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert _untimed(chunks[-1]["qizhen"]) == _untimed(told["qizhen"])


def test_what_markdown_would_swallow_is_shown_and_sources_are_no_history(client: TestClient) -> None:
    asked = {"messages": [{"role": "user", "content": [{"type": "text", "text": "头孢克肟成人怎么用？"}]}]}
    text = client.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]["content"]
    assert "一次50\\~100mg" in text
    assert "来源" not in without_sources(text)
    asked["messages"] += [{"role": "assistant", "content": text}, {"role": "user", "content": [{"type": "text", "text": "能治什么？"}]}]
    told = client.post("/v1/chat/completions", json=asked).json()["qizhen"]
    assert {citation["document"] for citation in told["citations"]} == {"drug/b"}


def test_models_are_the_generators(client: TestClient) -> None:
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["qizhen-quoting", "qizhen-liar"]


def test_figures_and_log_hold_no_word_of_a_question(sample_index: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = site_client(_service(sample_index))
    caplog.set_level(logging.INFO, "qizhen.requests")
    client.post("/api/v1/ask", json={"question": QUESTION})
    client.post("/api/v1/ask", json={"question": "奥司他韦的禁忌？"})
    client.post("/api/v1/ask", json={"question": QUESTION, "generator": "liar"})
    figures = client.get("/metrics").text
    assert 'qizhen_answers_total{generator="quoting",status="answered"} 1.0' in figures
    assert 'qizhen_refusals_total{kind="not_held"} 1.0' in figures
    assert 'qizhen_verdicts_total{verdict="unsupported"} 1.0' in figures or 'verdict="contradicted"} 1.0' in figures
    assert 'qizhen_requests_total{code="200",route="/api/v1/ask"} 3.0' in figures
    assert 'qizhen_answer_seconds_count{generator="quoting"} ' in figures
    assert "qizhen_answers_not_recorded_total 0.0" in figures
    assert "qizhen_sessions 0.0" in figures
    assert f'qizhen_release_info{{release="{ReleaseShelf(sample_index).current().id}"}} 1.0' in figures
    assert "头孢" not in figures + caplog.text
    assert "奥司" not in figures + caplog.text
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "qizhen.requests"]
    assert [line["event"] for line in lines[:2]] == ["answer", "request"]
    site_client(_service(sample_index, log_questions=True)).post("/api/v1/ask", json={"question": QUESTION})
    assert QUESTION in caplog.text


def test_refusals_are_counted_by_kind() -> None:
    assert refusal_kind(["知识库无法回答这个问题：没有收录“头孢曲松”。"]) == "not_held"
    assert refusal_kind(["知识库无法回答这个问题：没有找到足以回答的内容。"]) == "not_found"
    assert refusal_kind(["别的"]) == "other"


def test_ready_only_with_a_sound_release(write_lines: Any, tmp_path: Path) -> None:
    index = tmp_path / "index"
    client = site_client(_service(index))
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 503
    row = {"id": "d", "kind": "drug", "title": "某药", "sections": [{"title": "禁忌", "text": "孕妇禁用。"}]}
    release = build_release(index, [write_lines([row])]).release
    stray = index / "releases" / release / "stray"
    stray.touch()
    assert "`stray` 不在清单中" in client.get("/readyz").json()["detail"]
    stray.unlink()
    assert client.get("/readyz").json() == {"status": "ok", "release": release}


def test_the_description_has_examples_and_a_schema_for_every_route(client: TestClient) -> None:
    described = client.get("/api/v1/openapi.json").json()
    assert {"/api/v1/ask", "/api/v1/search", "/v1/chat/completions", "/metrics"} <= set(described["paths"])
    answer = described["paths"]["/api/v1/ask"]["post"]["responses"]["200"]["content"]["application/json"]
    assert answer["example"]["question"] == "非布司他的禁忌是什么？"
    assert "/docs" not in described["paths"]


def test_examples_have_the_keys_of_what_is_sent(client: TestClient, sample: Release) -> None:
    answer = recorded_json(ask(sample, QUESTION), "7K3M-9QXT-2FHD")
    assert list(api_examples.ANSWER) == list(answer)
    assert set(api_examples.ANSWER["citations"][0]) == set(answer["citations"][0])
    document = client.get("/api/v1/documents/drug/a").json()
    assert set(api_examples.DOCUMENT) == set(document)
    assert set(api_examples.DOCUMENT["source"]) == set(document["source"])
    assert set(api_examples.CARD) == set(card_json(look_up(sample, "阿司匹林")))


@pytest.mark.slow
@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_requests_of_the_readme_are_answered(readme: str, shipped_index: Path) -> None:
    client = site_client(_service(shipped_index))
    lines = [line for line in (ROOT / readme).read_text("utf-8").splitlines() if line.startswith("curl ")]
    assert len(lines) >= 7
    for line in lines:
        words = shlex.split(line, comments=True)
        path = next(word for word in words if word.startswith("http://")).removeprefix("http://127.0.0.1:8000")
        given = dict(pairwise(words))
        headers = dict([given["-H"].split(": ")]) if "-H" in given else {}
        query = dict(value.split("=", 1) for option, value in pairwise(words) if option in ("--data-urlencode", "-d"))
        body = {"json": json.loads(given["--json"])} if "--json" in given else {}
        told = client.request("POST" if body else "GET", path, params=query, headers=headers, **body)
        assert told.status_code == 200, line
        assert len(told.text) > 100, line


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/event-stream", "text/event-stream"),
        ("application/json;q=0.5, text/event-stream", "text/event-stream"),
        ("text/*, application/json;q=0", "text/event-stream"),
    ],
)
def test_the_format_that_is_liked_best_is_given(accept: str, media: str) -> None:
    assert preferred(accept, ("application/json", "text/event-stream")) == media


async def test_whoever_stops_listening_stops_the_work() -> None:
    desk, closed = Desk(most=1, threads=1), threading.Event()

    def steps() -> Iterator[int]:
        try:
            for number in range(1000):
                time.sleep(0.001)
                yield number
        finally:
            closed.set()

    following = desk.follow(steps())
    assert await anext(following) == 0
    with pytest.raises(Problem) as busy:
        await desk.do(lambda: 1)
    assert busy.value.status_code == 503
    assert busy.value.headers == {"Retry-After": "2"}
    waiting = asyncio.ensure_future(anext(following))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(closed.wait, 5)
    await asyncio.sleep(0.05)  # the thread that closed it leaves the desk
    assert await desk.do(lambda: 1) == 1


async def test_a_desk_is_free_again_after_a_fault() -> None:
    desk = Desk(most=1, threads=1)

    def wrong() -> int:
        raise QizhenError("坏了", "修")

    for _ in range(3):
        with pytest.raises(QizhenError):
            await desk.do(wrong)
    assert desk.taken == 0


def test_a_slow_model_keeps_nobody_from_quotes(sample_index: Path) -> None:
    gone_on = threading.Event()

    class Slow:
        name = "liar"

        def draft(self, question: str, evidence: Sequence[Unit]) -> Iterator[Draft]:
            gone_on.wait(10)
            yield Draft(evidence[0].text, (0,))

    made = {"quoting": QuotingGenerator, "liar": Slow}
    models = Desk(most=1, threads=1)
    service = Service(ReleaseShelf(sample_index), lambda name: made[name](), lambda: {"quoting": "原文", "liar": "慢"}, models=models)
    with site_client(service) as client:
        slow = threading.Thread(target=client.post, args=("/api/v1/ask",), kwargs={"json": {"question": QUESTION, "generator": "liar"}})
        slow.start()
        while not models.taken:
            time.sleep(0.001)
        assert client.post("/api/v1/ask", json={"question": QUESTION}).status_code == 200
        busy = client.post("/api/v1/ask", json={"question": QUESTION, "generator": "liar"})
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
        gone_on.set()
        slow.join()


@pytest.mark.parametrize(
    ("path", "ours"),
    [("/api/nope", True), ("/v1", True), ("/metrics", True), ("/", False), ("/apis", False), ("/v1x", False), ("/project/settings", False)],
)
def test_only_what_is_addressed_to_the_interface_goes_there(path: str, ours: bool) -> None:
    def saying(text: str) -> Any:
        return PlainTextResponse(text)

    client = TestClient(SiteFirst(saying("interface"), saying("chat")))
    assert client.get(path).text == ("interface" if ours else "chat")
