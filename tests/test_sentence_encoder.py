"""Another encoder chosen for a release: built with it, read with it, and named where it is gone or altered."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE
from tiny_models import sentence_model

from app.answering import ask
from app.console import main
from app.settings import encoder_settings
from indexer.build import build_release
from indexer.embedder import Prompts, open_embedder
from indexer.errors import EncoderError, IndexMismatchError
from indexer.release import open_release, verify_release
from indexer.search import search

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PROMPTS = Prompts("孕妇", "儿童")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentence_model(tmp_path_factory.mktemp("encoder"))


def test_questions_and_passages_stand_behind_their_prompts(model: Path) -> None:
    plain, prompted = open_embedder(str(model)), open_embedder(str(model), PROMPTS)
    text = "头孢克洛胶囊"
    assert np.linalg.norm(prompted.embed_question(text)) == pytest.approx(1)
    assert np.allclose(prompted.embed_question(text), plain.embed([f"孕妇{text}"])[0], atol=1e-6)
    assert np.allclose(prompted.embed([text]), plain.embed([f"儿童{text}"]), atol=1e-6)
    assert not np.allclose(prompted.embed([text])[0], prompted.embed_question(text), atol=1e-3)
    assert prompted.digest != plain.digest
    assert 0 <= plain.floor < 1


def test_a_release_is_read_with_the_encoder_it_was_built_with(model: Path, tmp_path: Path, write_lines: Callable[..., Path]) -> None:
    kb, index = write_lines(SAMPLE), tmp_path / "index"
    shipped = build_release(index, [kb])
    built = build_release(index, [kb], embedder=open_embedder(str(model), PROMPTS))
    assert built.release != shipped.release
    release = open_release(index)
    assert (release.embedder.name, release.embedder.prompts) == (str(model), PROMPTS)
    assert release.vectors.dimensions == 16
    assert verify_release(index) == []
    assert {hit.document.id for hit in search(release, "头孢克洛胶囊的禁忌")} == {"drug/a"}
    old = open_release(index, shipped.release)
    told = [[sentence.text for sentence in ask(r, "头孢克洛胶囊的禁忌").sentences] for r in (release, old)]
    assert told[0] == told[1] != []
    assert old.embedder.name == "accurate"


def test_an_encoder_that_is_gone_or_altered_is_named(tmp_path: Path, write_lines: Callable[..., Path]) -> None:
    one, other = sentence_model(tmp_path / "one", seed=1), sentence_model(tmp_path / "other", seed=2)
    index = tmp_path / "index"
    build_release(index, [write_lines(SAMPLE)], embedder=open_embedder(str(one)))
    open_embedder.cache_clear()
    (one / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(IndexMismatchError, match="编码器"):
        open_release(index)
    open_embedder.cache_clear()
    with pytest.raises(EncoderError, match="编码器 `nobody/nothing` 装不起来"):  # at once: nothing is asked of a hub
        open_embedder("nobody/nothing")
    (one / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(EncoderError, match="装不起来"):
        open_release(index)


def test_the_encoder_of_the_next_release_is_a_setting(
    model: Path, tmp_path: Path, write_lines: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QIZHEN_EMBEDDER", str(model))
    monkeypatch.setenv("QIZHEN_EMBEDDER_QUESTION_PROMPT", "query: ")
    assert encoder_settings().prompts == Prompts("query: ", "")
    words = ["index", "build", "--kb", str(write_lines(SAMPLE)), "--index", str(tmp_path / "index")]
    for folder, code in ((model, 0), (tmp_path / "nowhere", 2)):
        monkeypatch.setenv("QIZHEN_EMBEDDER", str(folder))
        monkeypatch.setattr("sys.argv", ["qizhen", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        assert (stop.value.code or 0) == code
    assert open_release(tmp_path / "index").embedder.name == str(model)
    assert f"编码器 `{tmp_path / 'nowhere'}` 装不起来" in capsys.readouterr().err
