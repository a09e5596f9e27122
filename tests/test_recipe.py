"""Recipes: what they say, what they refuse, and that the shipped ones stand."""

from pathlib import Path

import pytest

from finetune.recipe import RECIPES, Recipe, RecipeError, as_settings, read_recipe

SHIPPED = sorted(path.stem for path in RECIPES.glob("*.yaml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "r.yaml"
    path.write_text(text, "utf-8")
    return path


def test_changes_win_and_are_read_as_yaml(tmp_path: Path) -> None:
    path = write(tmp_path, "stage: instruct\nbase: b\nout: o\ndata: {samples: s.jsonl}\nadapter: {rank: 8}\nlearning_rate: 1e-4\n")
    recipe = read_recipe(
        path, ["adapter.rank=16", "data.kinds=[closed, refusal]", "learning_rate=3e-4", "data.repeats.refusal=2", "epochs=3"]
    )
    assert recipe.adapter is not None
    assert (recipe.adapter.rank, recipe.adapter.alpha) == (16, 32)
    assert recipe.data.samples == ("s.jsonl",)
    assert recipe.data.kinds == ("closed", "refusal")
    assert recipe.data.repeats == {"refusal": 2}
    assert (recipe.learning_rate, recipe.epochs) == (3e-4, 3.0)
    assert read_recipe(path, ["adapter=null"]).adapter is None


def test_every_fault_is_told_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    path = write(tmp_path, "stage: instuct\nbase: b\nadaptor: {rank: 8}\nadapter: {rnak: 8, alpha: big}\nout: o\nseed: 1.5\n")
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, ["batch.token=5", "packing"])
    told = "\n".join(caught.value.faults)
    assert "adaptor: 没有这一项，最接近的是 `adapter`" in told
    assert "adapter.rnak: 没有这一项，最接近的是 `adapter.rank`" in told
    assert "batch.token: 没有这一项，最接近的是 `batch.tokens`" in told
    assert "最接近的是 `instruct`" in told
    assert "adapter.alpha: 应是数，不是 `big`" in told
    assert "seed: 应是整数，不是 `1.5`" in told
    assert "`packing`: 应写成 键=值" in told
    assert len(caught.value.faults) == 7


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["new={}"], "base 与 new"),
        (["base=", "new={}", "adapter=null"], "tokenizer: 从零训练"),
        (["base=", "new={width: 30, heads: 4}", "tokenizer=t", "adapter=null"], "new.heads: 应整除"),
        (["data.samples=[]"], "data.samples: stage 为 instruct"),
        (["data.texts=t.jsonl"], "data.texts: 只用于 stage: pretrain"),
        (["stage=pretrain", "data={texts: t.jsonl, kinds: [closed]}"], "data.kinds、fields、repeats: 没有 data.samples 可选"),
        (["template=alpca"], "没有 `alpca`"),
        (["batch.sequences=4"], "batch.sequences 与 batch.tokens"),
        (["batch.tokens=100"], "装不下一行"),
        (["evaluation.patience=3"], "evaluation.patience: 需要"),
        (["evaluation={every: 10, patience: 3}", "saving.every=15"], "saving.every: 有 evaluation.patience"),
        (["adapter.targets=[lm_head]"], "应写在 adapter.modules_to_save"),
        (["adapter.quantised=true"], "base_weights: adapter.quantised"),
        (["adapter=null", "base_weights=bf16"], "base_weights: 全参数训练"),
        (["learning_rate=0"], "learning_rate: `0` 应大于 0"),
        (["adapter.dropout=1"], "adapter.dropout"),
        (["most_tokens=1"], "most_tokens: `1` 小于 8"),
        (["out="], "out: 必须写明"),
    ],
)
def test_values_that_contradict_one_another_are_refused(tmp_path: Path, changes: list[str], told: str) -> None:
    path = write(tmp_path, "stage: instruct\nbase: b\nout: o\ndata: {samples: s.jsonl}\nadapter: {}\n")
    read_recipe(path)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, changes)
    assert any(told in fault for fault in caught.value.faults), caught.value.faults


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_stand_and_say_how_to_launch_them(name: str) -> None:
    recipe = read_recipe(Path(name))
    head = (RECIPES / f"{name}.yaml").read_text("utf-8").split("stage:")[0]
    assert f"qizhen-finetune train {name} " in head
    assert all(line.startswith("#") for line in head.strip().splitlines())
    assert isinstance(recipe, Recipe)


def test_the_original_chain_keeps_its_known_settings() -> None:
    recipe = read_recipe(Path("chinese-llama-plus-7b"))
    adapter = as_settings(recipe)["adapter"]
    assert (adapter["rank"], adapter["alpha"], adapter["dropout"]) == (8, 32, 0.05)
    assert sorted(adapter["targets"]) == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert (recipe.learning_rate, recipe.schedule, recipe.warm_up, recipe.most_tokens) == (1e-4, "cosine", 0.03, 512)
    assert recipe.template == "alpaca"
    assert adapter["modules_to_save"] == []


def test_a_recipe_survives_being_written_down(tmp_path: Path) -> None:
    import yaml

    recipe = read_recipe(Path("qizhen-mini-base"))
    assert read_recipe(write(tmp_path, yaml.safe_dump(as_settings(recipe)))) == recipe


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    for text in ("- a\n", "stage: [", ""):
        with pytest.raises(RecipeError):
            read_recipe(write(tmp_path, text))
    with pytest.raises(RecipeError, match="读不出来"):
        read_recipe(tmp_path / "none.yaml")
