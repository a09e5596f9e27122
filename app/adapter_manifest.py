"""`qizhen.json` in the folder of an adapter or of a tuned model: what it was taught on, with what, and in which shape it is to be asked.

Asked in another shape, put on another base or fed by another tokenizer, an adapter answers worse, and nobody sees why: what does not
fit is refused.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from app.templates import CHAT_TEMPLATE, TEMPLATES, digest_of
from app.tokenizer import tokenizer_digest
from app.weights import weights_digest
from indexer.errors import GeneratorError

MANIFEST = "qizhen.json"


@dataclass(frozen=True, slots=True)
class AdapterManifest:
    """`template` names the shape it is asked in and `template_digest` that shape's text; `base` holds `name` and `digest` (weights_digest);
    `tokenizer_digest` is the SHA-256 of tokenizer.model, or of tokenizer.json where there is none. `refuses` holds `tokens` and `below`: a
    closed-book answer whose first `tokens` tokens have a log-likelihood under `below` is a guess (finetune/calibrate.py). Everything may
    be empty.
    """

    template: str = ""
    template_digest: str = ""
    base: Mapping[str, str] = field(default_factory=dict)
    tokenizer_digest: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)
    refuses: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reads_evidence(self) -> bool:
        """Whether it was taught to answer from evidence: unless its recipe names kinds of samples, and not that one."""
        kinds = self.recipe.get("data", {}).get("kinds", ())
        return not kinds or "cited" in kinds


def read_manifest(folder: Path) -> AdapterManifest | None:
    """The manifest in a folder, None where there is none; keys of later versions are left out. Raises GeneratorError."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        known = {entry.name: content[entry.name] for entry in fields(AdapterManifest) if entry.name in content}
    except (OSError, ValueError, TypeError) as error:
        raise GeneratorError(f"清单 `{path}` 读不出来：{error}", _hint()) from error
    empty = AdapterManifest()
    for name, value in known.items():
        if not isinstance(value, str if isinstance(getattr(empty, name), str) else dict):
            raise GeneratorError(f"清单 `{path}` 里的 {name} 是 `{value}`", _hint())
    return AdapterManifest(**known)


def write_manifest(folder: Path, manifest: AdapterManifest) -> Path:
    """Write `qizhen.json`, whole or not at all."""
    path = folder / MANIFEST
    beside = folder / f".{MANIFEST}.part"
    beside.write_text(json.dumps(asdict(manifest), ensure_ascii=False, indent=2) + "\n", "utf-8")
    return beside.replace(path)


def template_of(base: Path, adapter: Path | None) -> str:
    """The name of the template in which a model is asked: its adapter's, its own where it was tuned as a whole, else its chat template.

    Raises GeneratorError for an adapter that does not say, and for a name that is not known.
    """
    manifest = read_manifest(adapter or base)
    if manifest is None and adapter is None:
        return CHAT_TEMPLATE
    name = manifest.template if manifest else ""
    if name not in (CHAT_TEMPLATE, *TEMPLATES):
        raise GeneratorError(f"`{adapter or base}` 的清单 {MANIFEST} 里的提示模板是 `{name}`，没有这个模板", _hint())
    return name


def misfits(base: Path, adapter: Path, chat_template: str) -> list[str]:
    """What of an adapter's manifest does not fit the base it is put on and the shapes known here; what it does not say is not compared.

    `chat_template` is the base tokenizer's own, empty where it has none. The base's weights are read whole: a second for a gigabyte.
    """
    manifest = read_manifest(adapter)
    if manifest is None:
        return []
    faults = []
    if manifest.template_digest and manifest.template_digest != digest_of(manifest.template, chat_template):
        faults.append(f"提示模板“{manifest.template}”与训练时的不同（{manifest.template_digest[:12]}）")
    if manifest.tokenizer_digest and manifest.tokenizer_digest != tokenizer_digest(base):
        faults.append(f"分词器与训练时的不同（{manifest.tokenizer_digest[:12]}）")
    trained_on = manifest.base.get("digest", "")
    if trained_on and trained_on != weights_digest(base):
        faults.append(f"基座与训练时的不同（{manifest.base.get('name', '')} {trained_on[:12]}）")
    return faults


def _hint() -> str:
    known = "、".join((CHAT_TEMPLATE, *TEMPLATES))
    return f'在文件夹里放 {MANIFEST}，最少写 {{"template": "alpaca"}}；可用的提示模板：{known}'
