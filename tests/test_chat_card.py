"""Drugs looked up in the chat, by hand on the sample."""

from app.chat_card import EMPTY, TOO_LONG, chat_card
from indexer.release import Release


def test_a_card_has_what_the_drug_is_for_first_then_its_ban(sample: Release) -> None:
    found = chat_card(sample, " Cefaclor ")
    assert found.message == "**头孢克洛胶囊** 的资料如下。"
    assert found.card
    assert [(s["title"], s["open"]) for s in found.card["sections"]] == [
        ("适应症", True),
        ("禁忌", True),
        ("用法用量", False),
        ("药物相互作用", False),
        ("贮藏", False),
    ]
    assert found.card["sections"][1]["text"] == "对头孢菌素过敏者禁用。孕妇禁用。"
    assert found.card["sources"] == [{"label": "头孢克洛胶囊 · 甲药厂 · 2025-01-02", "page": "/drugs/drug/a"}]
    assert [near["title"] for near in found.card["warned"]] == ["头孢克肟胶囊"]
    assert found.card["aliases"] == ["Cefaclor", "希刻劳"]


def test_several_sources_of_one_drug_are_told_apart(sample: Release) -> None:
    card = chat_card(sample, "逍遥丸").card
    assert card
    assert {section["origin"] for section in card["sections"]} == {"乙药厂 · 2024-05-01", "丙药厂 · 2025-05-01"}
    assert len(card["sources"]) == 2


def test_what_is_not_one_drug_is_offered_or_told(sample: Release) -> None:
    ambiguous = chat_card(sample, "环孢素")
    assert (ambiguous.card, ambiguous.label) == (None, "请选择")
    assert {candidate.title for candidate in ambiguous.candidates} == {"环孢素软胶囊", "环孢素口服溶液"}
    unknown = chat_card(sample, "头孢*克若")
    assert unknown.message == "知识库中没有收录“头孢\\*克若”。"
    assert chat_card(sample, "  ").message == EMPTY
    assert chat_card(sample, "药" * 61).message == TOO_LONG
    assert chat_card(sample, "痛风").card is None
