"""Prepares Chainlit's folder: configuration, translation, our elements, and its page without any outside address."""

import importlib.metadata
import importlib.util
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

_FILES = Path(__file__).parent / "chat_files"
_OUTSIDE = re.compile(r"\s*<link\s[^>]*https?://[^>]*>", re.DOTALL)
_WORDING = {
    "chat.input.placeholder": "输入关于药品或疾病的问题，例如：非布司他的禁忌是什么？",
    "chat.watermark": "仅供专业人员参考，不能替代诊疗决策。",
    "threadHistory.thread.untitled": "未命名对话",
}


def prepare(folder: Path, origins: Sequence[str]) -> None:
    """Write everything Chainlit reads from its folder; what a person or an earlier version left there is replaced."""
    # Chainlit reads its configuration when it is imported, so it is only looked at here.
    package = Path(str(importlib.util.find_spec("chainlit").origin)).parent  # type: ignore[union-attr]
    version = importlib.metadata.version("chainlit")
    translations = folder / ".chainlit" / "translations"
    translations.mkdir(parents=True, exist_ok=True)
    config = (_FILES / "config.toml").read_text("utf-8").replace("@ORIGINS@", json.dumps(list(origins))).replace("@VERSION@", version)
    (folder / ".chainlit" / "config.toml").write_text(config, "utf-8")
    words = json.loads((package / "translations" / "zh-CN.json").read_text("utf-8"))
    for path, text in _WORDING.items():
        *parents, last = path.split(".")
        place = words
        for parent in parents:
            place = place[parent]
        place[last] = text
    (translations / "zh-CN.json").write_text(json.dumps(words, ensure_ascii=False, indent=1), "utf-8")
    for name in ("chainlit.md", "chainlit_zh-CN.md"):
        shutil.copyfile(_FILES / "about.md", folder / name)
    shutil.copytree(_FILES / "public", folder / "public", dirs_exist_ok=True)
    _prepare_page(package / "frontend" / "dist", folder / "webui", version)


def _prepare_page(built: Path, page: Path, version: str) -> None:
    stamp = page / "version"
    if stamp.is_file() and stamp.read_text("utf-8") == version:
        return
    shutil.rmtree(page, ignore_errors=True)
    shutil.copytree(built, page, ignore=shutil.ignore_patterns("*.map"))
    index = page / "index.html"
    html = _OUTSIDE.sub("", index.read_text("utf-8")).replace('<html lang="en">', '<html lang="zh-CN">')
    index.write_text(html, "utf-8")
    stamp.write_text(version, "utf-8")
