"""The drug pages over HTTP: what they say, what they escape, where they refuse."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from site_client import site_client

from app import drug_pages
from app.drug_check import check, drug_of
from app.rendering import POLICY
from app.surfacing import together
from indexer.build import build_release
from indexer.release import Release, publish_release

WARFARIN, ASPIRIN = "drug/warfarin", "drug/aspirin"
HOSTILE = "<script>alert(1)</script>\"&'{{7*7}}"


@pytest.fixture(scope="module")
def client(shipped_index: Path) -> Iterator[TestClient]:
    with site_client(shipped_index) as client:
        yield client


@pytest.fixture(scope="module")
def small(sample_index: Path) -> Iterator[TestClient]:
    with site_client(sample_index) as client:
        yield client


def words(html: str) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", "", unescape(re.sub(r"<[^>]+>", "", html)))


def checked(client: TestClient, *ids: str, status: int = 200) -> str:
    answer = client.get("/drugs/interactions", params={"drug": list(ids)})
    assert answer.status_code == status
    return words(answer.text)


@pytest.mark.parametrize("path", ["/drugs", "/drugs?q=a", "/drugs/suggest?q=a", "/drugs/drug/warfarin", "/drugs/interactions", "/drugs/x"])
def test_every_page_has_the_strict_policy(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|https?://", answer.text)


def test_style_and_script_are_served(client: TestClient) -> None:
    page = client.get("/drugs").text
    served = re.findall(r'(?:src|href)="(/site/[^"]+)"', page)
    assert len(served) == 3
    types = {client.get(path).headers["content-type"].split(";")[0] for path in served}
    assert types == {"text/css", "text/javascript", "image/svg+xml"}


def test_looking_up_without_a_script(client: TestClient) -> None:
    page = client.get("/drugs", params={"q": "lbq"})
    assert '<a href="/drugs/drug/chlorpromazine">' in page.text
    assert "勿与“异丙嗪”“氯苯那敏”混淆" in words(page.text)
    assert "名称易混，并列显示" in words(page.text)
    assert "知识库收录240份药品资料" in words(client.get("/drugs").text)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("氯丙那林", "没有收录“氯丙那林”。名称相近的有3种，请看清是哪一种："),
        ("阿哌沙班", "没有收录“阿哌沙班”，也没有名称相近的药品。请检查写法，或换用通用名、英文名再查。没有收录不等于没有这种药。"),
        ("阿", "还有更多，请多输入几个字"),
    ],
)
def test_what_is_told_of_a_query(client: TestClient, query: str, told: str) -> None:
    assert told in words(client.get("/drugs", params={"q": query}).text)


def test_a_query_too_long_is_told(client: TestClient) -> None:
    for path, key in (("/drugs", "q"), ("/drugs/suggest", "q"), ("/drugs/interactions", "add")):
        answer = client.get(path, params={key: "药" * 61})
        assert answer.status_code == 422
        assert "药名有61个字，太长了。请只写药名，不超过60个字。" in words(answer.text)
    assert client.get("/drugs", params={"q": "药" * 60}).status_code == 200


def test_options_have_roles_and_lead_to_their_pages(client: TestClient) -> None:
    options = client.get("/drugs/suggest", params={"q": "华法林"}).text
    assert re.findall(r'role="option"[^>]*data-href="([^"]+)"', options) == ["/drugs/drug/warfarin"]
    assert 'role="listbox"' in options
    beside = client.get("/drugs/interactions/suggest", params={"q": "华法林", "drug": ASPIRIN}).text
    assert 'data-href="/drugs/interactions?drug=drug/aspirin&amp;drug=drug/warfarin"' in beside


def test_a_monograph_shows_every_section_whole_and_in_order(client: TestClient, shipped: Release) -> None:
    for position in range(0, shipped.store.documents, 9):
        document = shipped.store.document(position)
        if document.kind == "drug":
            page = client.get(f"/drugs/{document.id}").text
            assert [unescape(title) for title in re.findall(r'<h2 id="t\d+">(.*?)</h2>', page)] == [s.title for s in document.sections]
            for number, section in enumerate(document.sections, 1):
                shown = re.search(rf'<section id="s{number}".*?</section>', page, re.DOTALL)
                assert shown
                lines = [line.removeprefix("- ") for line in document.body(section).split("\n")]
                assert words("".join(lines)) in words(shown[0])
                assert "启真示例知识库·启真项目·2026-11-22·未经临床审核" in words(shown[0])


def test_a_monograph_leads_to_what_is_read_first(client: TestClient, small: TestClient) -> None:
    page = client.get("/drugs/drug/chlorpromazine").text
    assert re.findall(r'<li><a href="#s(\d+)">(禁忌|特殊人群|药物相互作用|注意事项)</a>', page)[:4]
    assert "勿与“异丙嗪”混淆：氯丙嗪是第一代抗精神病药" in words(page)
    assert '<a href="/drugs/interactions?drug=drug/chlorpromazine">' in page
    bare = words(small.get("/drugs/drug/b").text)
    assert "本资料没有“禁忌”一节" in bare
    assert "来源未注明·日期未注明·审核情况未注明" in bare


def test_other_sources_of_the_same_name_are_named(small: TestClient) -> None:
    page = small.get("/drugs/drug/d1")
    assert "同名药品另有1份资料，内容可能不同，请一并核对：逍遥丸·丙药厂·2025-05-01" in words(page.text)
    assert "一次6~9g" not in page.text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/drugs/drug/nope", "知识库的当前版本中，编号“drug/nope”没有收录。请按药名查找；旧链接所指的药品可能已在新版本中移除。"),
        ("/drugs/disease/gout", "编号“disease/gout”是疾病或其他资料，不是药品。"),
        ("/drugs/..%2F..%2Fetc%2Fpasswd", "编号“../../etc/passwd”没有收录。"),
        ("/drugs/%00", "没有收录"),
    ],
)
def test_an_unknown_address_is_told(client: TestClient, path: str, told: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert told in words(answer.text)


def test_a_slash_behind_leads_to_the_page(client: TestClient) -> None:
    assert client.get("/drugs/").url.path == "/drugs"


def test_two_drugs_are_shown_with_what_both_texts_say(client: TestClient, shipped: Release) -> None:
    page = client.get("/drugs/interactions", params={"drug": [WARFARIN, ASPIRIN]}).text
    drugs = [drug_of(shipped, document) for name in (WARFARIN, ASPIRIN) if (document := shipped.document(name))]
    units = together(shipped, [drug.subject for drug in drugs])
    assert {unit.document.id for unit in units} == {WARFARIN, ASPIRIN}
    assert all(words(unit.text) in words(page) for unit in units)
    assert "共1对：1对有说明，0对没有收录" in words(page)
    section = next(n for n, s in enumerate(units[0].document.sections, 1) if s == units[0].section)
    assert f'<a href="/drugs/drug/warfarin#s{section}">华法林 · 药物相互作用</a>' in page
    assert words(page).count("启真示例知识库·启真项目·2026-11-22·未经临床审核") == 2


def test_every_pair_is_checked_and_silence_is_told_as_what_it_is(client: TestClient) -> None:
    told = checked(client, WARFARIN, ASPIRIN, "drug/albendazole")
    assert "共3对：1对有说明，2对没有收录" in told
    assert "没有收录的2对知识库里没有收录以下两种药之间的说法。这不等于没有相互作用，请查阅药品说明书或其他资料。" in told
    assert "华法林与阿苯达唑阿司匹林与阿苯达唑" in told


def test_a_contraindication_stands_first_and_is_marked(client: TestClient) -> None:
    told = checked(client, "drug/banlangen-keli", WARFARIN, ASPIRIN, "drug/rivaroxaban")
    assert "见于禁忌" in told
    assert told.index("华法林与利伐沙班见于禁忌") < told.index("华法林与阿司匹林")


def test_what_an_allergic_patient_must_not_take_is_no_ban_of_the_pair(shipped: Release) -> None:
    both = ("drug/amoxicillin", "drug/amoxicillin-clavulanate-potassium")
    [pair] = check(shipped, [drug_of(shipped, document) for name in both if (document := shipped.document(name))])
    assert any("过敏者禁用" in unit.text for group in pair.statements for unit in group.units)
    assert not pair.forbids


def test_one_ingredient_in_two_drugs_is_told(client: TestClient, small: TestClient) -> None:
    told = checked(client, "drug/paracetamol", "drug/xiaoer-anfen-huangnamin-keli")
    assert "是否重复用药：对乙酰氨基酚与小儿氨酚黄那敏颗粒一方的类别、成分或规格提到另一方。可能含同一成分，请核对。" in told
    assert "每袋含对乙酰氨基酚125mg" in told
    assert "是否重复用药：环孢素软胶囊与环孢素口服溶液两份资料都有“环孢素”这个名称。可能含同一成分，请核对。" in checked(
        small, "drug/c1", "drug/c2"
    )
    assert "是否重复用药" not in checked(client, WARFARIN, ASPIRIN)


def test_chosen_look_alikes_are_told_apart(client: TestClient) -> None:
    assert "请注意区分“氯丙嗪”和“异丙嗪”：氯丙嗪是第一代抗精神病药" in checked(client, "drug/chlorpromazine", "drug/promethazine")


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ([], "添加两到十种药，逐对核对它们的药物相互作用、禁忌和注意事项。"),
        ([WARFARIN], "请再添加至少一种药，才能核对。"),
        ([WARFARIN, WARFARIN], "“华法林”选了不止一次，是同一种药，只算一次。"),
        ([WARFARIN, WARFARIN], "请再添加至少一种药，才能核对。"),
    ],
)
def test_fewer_than_two_are_told(client: TestClient, ids: list[str], told: str) -> None:
    page = checked(client, *ids)
    assert told in page
    assert "对有说明" not in page


def test_two_sources_of_one_drug_count_once(small: TestClient) -> None:
    assert "“逍遥丸”选了不止一次，是同一种药，只算一次。" in checked(small, "drug/d1", "drug/d2")


def test_ten_are_checked_and_eleven_are_not(client: TestClient, shipped: Release) -> None:
    ids = [document.id for document in shipped.store.all() if document.kind == "drug"][:11]
    ten = checked(client, *ids[:10])
    assert "共45对" in ten
    assert "已有10种，是一次核对的上限。" in ten
    eleven = checked(client, *ids, status=422)
    assert "选了11种药，一次最多核对10种，没有核对任何一对。请先移去几种。" in eleven
    assert "对有说明" not in eleven


def test_an_address_of_very_many_drugs_is_refused_unread(client: TestClient) -> None:
    told = checked(client, *[f"drug/{number}" for number in range(31)], status=422)
    assert "选了31种药，一次最多核对10种，没有核对任何一对。请重新添加要核对的药品。" in told


def test_all_unknown_ids_are_told_together(client: TestClient) -> None:
    told = checked(client, WARFARIN, "drug/x", "disease/gout", status=404)
    assert "没有收录这些编号的药品：“drug/x”、“disease/gout”。请按药名重新添加；没有核对任何一对。" in told


def test_adding_by_name_without_a_script(client: TestClient) -> None:
    added = client.get("/drugs/interactions", params={"drug": WARFARIN, "add": "拜阿司匹林"})
    assert str(added.url).endswith("/drugs/interactions?drug=drug/warfarin&drug=drug/aspirin")
    again = client.get("/drugs/interactions", params={"drug": WARFARIN, "add": "华法令"})
    assert "“华法林”选了不止一次" in words(again.text)
    near = client.get("/drugs/interactions", params={"drug": WARFARIN, "add": "氯丙那林"})
    assert near.url.query == b"drug=drug%2Fwarfarin&add=%E6%B0%AF%E4%B8%99%E9%82%A3%E6%9E%97"
    assert '<a href="/drugs/interactions?drug=drug/warfarin&amp;drug=drug/chlorpromazine">' in near.text
    part = client.get("/drugs/interactions", params={"drug": WARFARIN, "add": "asp"})
    assert 'drug=drug/aspirin">' in part.text  # a beginning is offered, not taken


def test_a_name_of_two_drugs_is_offered_not_taken(small: TestClient) -> None:
    page = small.get("/drugs/interactions", params={"add": "环孢素"})
    assert page.url.path == "/drugs/interactions"
    assert re.findall(r'<li><a href="/drugs/interactions\?drug=(drug/c\d)">', page.text) == ["drug/c1", "drug/c2"]


def test_hostile_names_and_texts_are_shown_as_they_are(write_lines: Callable[..., Path], tmp_path: Path) -> None:
    hostile = {
        "id": 'x"><img/src=x>?a#b',
        "kind": "drug",
        "title": f"某药{HOSTILE}",
        "aliases": [f"别名{HOSTILE}"],
        "sections": [{"title": f"禁忌{HOSTILE}", "text": f"- {HOSTILE}\n{HOSTILE}"}, {"title": "药物相互作用", "text": f"乙药：{HOSTILE}"}],
        "source": {"title": HOSTILE, "publisher": HOSTILE, "url": "javascript:alert(1)", "review": HOSTILE},
    }
    other = {"id": "y", "kind": "drug", "title": "乙药", "sections": [{"title": "禁忌", "text": "孕妇禁用。"}]}
    build_release(tmp_path / "index", [write_lines([hostile, other])])
    with site_client(tmp_path / "index") as client:
        pages = [
            client.get("/drugs", params={"q": HOSTILE}),
            client.get("/drugs", params={"q": "某药"}),
            client.get("/drugs/suggest", params={"q": "某药"}),
            client.get("/drugs/" + quote(str(hostile["id"]))),
            client.get("/drugs/interactions", params={"drug": [hostile["id"], "y"], "add": HOSTILE}),
        ]
        for page in pages:
            assert page.status_code == 200
            assert HOSTILE in unescape(page.text)
            assert not re.search(r"<script>|<img|javascript:[^<]*\"", page.text)
        assert "乙药：" + HOSTILE in unescape(pages[-1].text)
        link = re.search(r'<a href="(/drugs/x[^"]*)">', pages[1].text)
        assert link
        assert client.get(unescape(link[1])).text == pages[3].text
        unknown = client.get("/drugs/" + quote(HOSTILE))
        assert unknown.status_code == 404
        assert "<script>" not in unknown.text


def test_a_new_release_is_taken_over(write_lines: Callable[..., Path], tmp_path: Path) -> None:
    def row(title: str) -> dict[str, object]:
        return {"id": "a", "kind": "drug", "title": title, "sections": [{"title": "适应症", "text": "用于治疗。"}]}

    first = build_release(tmp_path / "index", [write_lines([row("甲药")])])
    with site_client(tmp_path / "index") as client:
        assert "甲药" in client.get("/drugs/a").text
        build_release(tmp_path / "index", [write_lines([row("乙药")])])
        assert "乙药" in client.get("/drugs", params={"q": "yy"}).text
        assert "甲药" not in client.get("/drugs/a").text
        publish_release(tmp_path / "index", first.release)
        assert "甲药" in client.get("/drugs", params={"q": "jy"}).text


def test_a_text_past_its_last_day_says_so_wherever_it_is_quoted(write_lines: Callable[..., Path], tmp_path: Path) -> None:
    def row(name: str, title: str, other: str, expires: str) -> dict[str, object]:
        sections = [{"title": "药物相互作用", "text": f"不可与{other}合用。"}]
        return {"id": name, "kind": "drug", "title": title, "sections": sections, "source": {"title": "说明书", "expires": expires}}

    rows = [row("a", "甲硝唑片", "氯丙嗪", "2026-01-31"), row("b", "氯丙嗪", "甲硝唑片", "2999-01-02")]
    build_release(tmp_path / "index", [write_lines(rows)], today=date(2026, 1, 1))
    with site_client(tmp_path / "index") as client:
        monograph, pair = words(client.get("/drugs/a").text), checked(client, "a", "b")
    assert monograph.count("有效期至2026-01-31，已经过期，请核对现行版本") == 2
    assert "有效期至2026-01-31，已经过期" in pair
    assert "有效期至2999-01-02" in pair
    assert "有效期至2999-01-02，已经过期" not in pair


def test_no_release_is_told(tmp_path: Path) -> None:
    with site_client(tmp_path) as client:
        answer = client.get("/drugs")
        assert answer.status_code == 503
        assert "还没有发布的知识库。运行qizhenindexbuild建立索引" in words(answer.text)


def test_a_fault_of_the_program_is_told_and_logged(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_values: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(drug_pages, "suggest", fail)
    answer = client.get("/drugs", params={"q": "x"})
    assert answer.status_code == 500
    number = re.search(r"没有完成：程序出错，可以再试一次；仍不行时把记录编号([0-9a-f]{8})告诉管理员。", words(answer.text))
    assert number
    assert number[1] in caplog.text
    assert "secret detail" not in answer.text


def test_pages_are_read_only(client: TestClient) -> None:
    assert [client.post(path).status_code for path in ("/drugs", "/drugs/interactions", "/drugs/drug/warfarin")] == [405] * 3


def test_the_site_has_no_page_about_itself(client: TestClient) -> None:
    assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json", "/site/nope")] == [404] * 4
