"""Samples as ids and labels, and rows of them. The tokenizer here gives every character its own id: values are worked out by hand."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.templates import TEMPLATES
from finetune.encoding import LEFT_OUT, encode_samples, encode_texts, encoder, files_digest, read_lines, samples_of, texts_of
from finetune.recipe import Batch, Data, Recipe
from finetune.rows import batching, lay_out, pack
from indexer.errors import QizhenError

BEGIN, END = 1, 2


class Characters:
    """A character is its code point; the marks are 1 and 2, and text never gives them."""

    bos_token_id: int | None = BEGIN
    eos_token_id: int | None = END
    chat_template: str | None = None

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(character) for character in text]

    def apply_chat_template(self, turns: list[dict[str, str]], **settings: Any) -> list[int]:
        assert settings == {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
        return [ord(character) for turn in turns for character in f"<{turn['role'][0]}>{turn['content']}"] + [ord(">")]


def ids(text: str) -> list[int]:
    return [ord(character) for character in text]


def sample(question: str, answer: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": f"s-{question}", "kind": "closed", "split": "train", "messages": messages, **more}


def test_the_answer_and_its_end_are_learnt_and_nothing_before() -> None:
    encoded = encoder(Characters(), "qizhen")([("user", "甲？")], "乙。")
    assert encoded.ids.tolist() == [BEGIN, *ids("问：甲？\n答："), *ids("乙。"), END]
    assert encoded.labels.tolist() == [LEFT_OUT] * 8 + [*ids("乙。"), END]
    assert encoded.learnt == 3


def test_only_the_last_answer_of_a_dialogue_is_learnt() -> None:
    turns = [("user", "甲"), ("assistant", "乙"), ("user", "丙")]
    encoded = encoder(Characters(), "qizhen")(turns, "丁")
    assert encoded.ids.tolist() == [BEGIN, *ids("问：甲\n答：乙\n问：丙\n答："), *ids("丁"), END]
    assert encoded.learnt == 2


def test_text_that_looks_like_an_end_mark_is_not_one() -> None:
    encoded = encoder(Characters(), "alpaca")([("user", "</s>")], "</s>")
    assert (encoded.ids == END).sum() == 1
    assert encoded.ids.tolist() == [BEGIN, *ids(TEMPLATES["alpaca"].render([("user", "</s>")])), *ids("</s>"), END]


def test_a_tokenizer_without_a_beginning_mark_gets_none_and_one_without_an_end_is_refused() -> None:
    tokenizer = Characters()
    tokenizer.bos_token_id = None
    assert encoder(tokenizer, "qizhen")([("user", "甲")], "乙").ids[0] == ord("问")
    tokenizer.eos_token_id = None
    with pytest.raises(QizhenError, match="没有结束符"):
        encoder(tokenizer, "qizhen")


def test_the_models_own_template_is_asked_for_its_prompt() -> None:
    tokenizer = Characters()
    with pytest.raises(QizhenError, match="没有"):
        encoder(tokenizer, "chat")
    tokenizer.chat_template = "{{ it }}"
    encoded = encoder(tokenizer, "chat")([("user", "甲")], "乙")
    assert encoded.ids.tolist() == [*ids("<u>甲>"), *ids("乙"), END]


def test_what_is_too_long_is_left_out_or_cut_before_its_end_mark_or_refused() -> None:
    samples = [sample("甲", "乙"), sample("甲", "乙丙丁戊己庚辛")]  # 9 and 15 tokens
    encode = encoder(Characters(), "qizhen")
    left = encode_samples(samples, encode, 12, Data())
    assert ([len(held.ids) for held in left.kept], left.lengths.tolist(), left.too_long) == ([9], [9, 15], 1)
    cut = encode_samples(samples, encode, 12, Data(too_long="cut")).kept[1]
    assert cut.ids.tolist() == [BEGIN, *ids("问：甲\n答："), *ids("乙丙丁戊"), END]
    assert cut.labels[-1] == END
    with pytest.raises(QizhenError, match="`1` 个样本超过 most_tokens `12`"):
        encode_samples(samples, encode, 12, Data(too_long="refuse"))


def test_a_kind_is_taken_as_often_as_is_said() -> None:
    samples = [sample("甲", "乙"), sample("丙", "丁", kind="refusal"), sample("戊", "己", kind="contrast")]
    found = encode_samples(samples, encoder(Characters(), "qizhen"), 99, Data(repeats={"refusal": 3, "contrast": 0}))
    assert [chr(held.ids[3]) for held in found.kept] == ["甲", "丙", "丙", "丙"]


@given(
    st.lists(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x4EFF), min_size=1, max_size=60), max_size=5), st.integers(4, 20)
)
def test_every_token_of_a_text_is_learnt_once(texts: list[str], most: int) -> None:
    found = encode_texts(texts, Characters(), most)
    assert all(len(held.ids) <= most for held in found.kept)
    learnt = [token for held in found.kept for token in held.ids[held.told :].tolist()]
    assert learnt == [token for text in texts for token in [*ids(text), END]]


@given(st.lists(st.integers(1, 30), max_size=80), st.integers(30, 60))
def test_packed_rows_hold_every_sequence_once_and_nothing_too_many(lengths: list[int], room: int) -> None:
    rows = pack(lengths, room)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= room for row in rows)
    # Best fit leaves no two rows that would fit into one.
    fills = sorted(sum(lengths[index] for index in row) for row in rows)
    assert len(fills) < 2 or fills[0] + fills[1] > room


def test_rows_are_told_apart_by_their_positions() -> None:
    pytest.importorskip("torch")
    data = encode_samples([sample("甲", "乙"), sample("丙", "丁戊")], encoder(Characters(), "qizhen"), 24, Data())
    recipe = Recipe(stage="instruct", most_tokens=24)
    rows = lay_out(data, recipe)
    assert rows.places == [[1, 0]]
    batch = rows.batch([0], padding=0)
    assert batch["position_ids"].tolist() == [[*range(10), *range(9)]]
    assert batch["labels"][0].tolist() == [LEFT_OUT] * 7 + [*ids("丁戊"), END] + [LEFT_OUT] * 7 + [*ids("乙"), END]
    assert int(batch["tokens"]) == 19


def test_padding_behind_packed_sequences_is_a_sequence_of_its_own() -> None:
    pytest.importorskip("torch")
    data = encode_samples([sample(q, "乙" * n) for q, n in (("甲", 1), ("丙", 2), ("丁", 9))], encoder(Characters(), "qizhen"), 24, Data())
    rows = lay_out(data, Recipe(stage="instruct", most_tokens=24))
    batch = rows.batch([0, 1], padding=0)
    shape = batch["input_ids"].shape
    assert batch["position_ids"].shape == shape
    for row in range(2):
        filled = sum(len(data.kept[place].ids) for place in rows.places[row])
        assert batch["position_ids"][row, filled:].tolist() == list(range(shape[1] - filled))
        assert set(batch["labels"][row, filled:].tolist()) <= {LEFT_OUT}


def test_steps_are_counted_in_tokens_or_in_sequences() -> None:
    data = encode_samples([sample(f"{n:02}", "乙" * 8) for n in range(60)], encoder(Characters(), "qizhen"), 64, Data())  # 17 tokens each
    packed = lay_out(data, Recipe(stage="instruct", most_tokens=64))
    assert len(packed.places) == 20  # three a row
    by_tokens = batching(packed, Recipe(stage="instruct", most_tokens=64, batch=Batch(tokens=512, at_once=2), epochs=2), 2)
    assert (by_tokens.at_once, by_tokens.accumulated, by_tokens.rows, by_tokens.steps) == (2, 2, 8, 6)
    by_sequences = batching(packed, Recipe(stage="instruct", most_tokens=64, batch=Batch(sequences=12, tokens=0)), 1)
    assert by_sequences.rows == 4
    single = Recipe(stage="instruct", most_tokens=64, packing=False, batch=Batch(tokens=170))
    assert batching(lay_out(data, single), single, 1).rows == 10


def test_samples_are_chosen_by_split_kind_and_field(tmp_path: Path) -> None:
    rows = [
        sample("a", "b", field="禁忌"),
        sample("c", "d", field="适应症"),
        sample("e", "f", kind="refusal"),
        sample("g", "h", split="dev"),
    ]
    path = tmp_path / "s.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    asked = [row["messages"][0]["content"] for row in samples_of(Data(samples=(str(path),), kinds=("closed",), fields=("适应症",)))]
    assert asked == ["c"]
    assert [row["messages"][0]["content"] for row in samples_of(Data(samples=(str(path),)), "dev")] == ["g"]


def test_lines_that_are_no_samples_are_refused_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"text": "甲"}\n{"text": \n', "utf-8")
    with pytest.raises(QizhenError, match=r"s\.jsonl:2"):
        list(read_lines([str(path)]))
    path.write_text('{"id": "s-1", "messages": [{"role": "user", "content": "甲"}]}\n', "utf-8")
    with pytest.raises(QizhenError, match="`s-1` 的 messages"):
        list(samples_of(Data(samples=(str(path),))))
    with pytest.raises(QizhenError, match="没有 text"):
        list(texts_of([str(path)]))


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('\ufeff{"text": "甲"}\n', "utf-8")
    assert list(read_lines([str(tmp_path / "s.jsonl")])) == [{"text": "甲"}]


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(QizhenError, match="没有可学的样本"):
        lay_out(encode_samples([], encoder(Characters(), "qizhen"), 9, Data()), Recipe(stage="instruct"))


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ab")
    (tmp_path / "b").write_bytes(b"c")
    # sha256 of "abc", FIPS 180-2 appendix B.1
    assert files_digest([str(tmp_path / "a"), str(tmp_path / "b")]) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
