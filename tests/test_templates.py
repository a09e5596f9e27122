"""The shapes of prompts are promises to adapters that were tuned on them: written out here by hand."""

from app.templates import TEMPLATES, digest_of


def test_alpaca_is_the_training_shape_of_the_original_models() -> None:
    assert TEMPLATES["alpaca"].render([("user", "氨氯地平的适应病症")]) == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n氨氯地平的适应病症\n\n### Response: "
    )


def test_earlier_turns_come_first() -> None:
    turns = [("user", "布洛芬治什么"), ("assistant", "解热镇痛。"), ("user", "那禁忌呢{}")]
    assert TEMPLATES["qizhen"].render(turns) == "问：布洛芬治什么\n答：解热镇痛。\n问：那禁忌呢{}\n答："


def test_a_shape_that_changes_gets_another_digest() -> None:
    """An adapter names its digest: whoever changes a shape here breaks every adapter tuned on it, and must give it another name."""
    assert {name: template.digest[:16] for name, template in TEMPLATES.items()} == {
        "alpaca": "da645561e5556796",
        "qizhen": "02f95daef12fa29a",
    }


def test_a_chat_templates_digest_is_that_of_its_text() -> None:
    # sha256 of "abc", FIPS 180-2 appendix B.1
    assert digest_of("chat", "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_of("qizhen", "abc") == TEMPLATES["qizhen"].digest


def test_a_template_that_is_not_there_has_no_digest() -> None:
    assert (digest_of("chat", ""), digest_of("vicuna", "abc")) == ("", "")
