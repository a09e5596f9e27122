"""Pairs of drug names that people mix up, and what tells them apart: lookalikes.toml beside the documents.

[[pair]]
names = ["泼尼松", "泼尼松龙"]
difference = "…"
"""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexer.errors import Fault
from indexer.terms import fold

FILE = "lookalikes.toml"


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Two names and one sentence that tells the drugs apart. Either may be missing from the documents."""

    names: tuple[str, str]
    difference: str


def read_look_alikes(paths: Sequence[Path]) -> tuple[list[LookAlike], list[Fault]]:
    """The pairs of every lookalikes.toml in the given folders, and all faults of all of them."""
    pairs: dict[frozenset[str], LookAlike] = {}
    faults: list[Fault] = []
    for path in paths:
        file = path / FILE
        for number, entry in enumerate(_entries(file, faults) if path.is_dir() and file.is_file() else (), 1):
            found = _faults_of(entry)
            faults += [Fault(str(file), 0, f"pair {number}", message) for message in found]
            if not found:
                pair = LookAlike((entry["names"][0], entry["names"][1]), entry["difference"])
                key = frozenset(fold(name) for name in pair.names)
                if key in pairs:
                    faults.append(Fault(str(file), 0, f"pair {number}", f"`{'、'.join(pair.names)}` 重复"))
                pairs.setdefault(key, pair)
    return list(pairs.values()), faults


def _entries(file: Path, faults: list[Fault]) -> list[Any]:
    try:
        raw = tomllib.loads(file.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        faults.append(Fault(str(file), 0, "", f"读不出来：{error}"))
        return []
    unknown = sorted(set(raw) - {"pair"})
    faults += [Fault(str(file), 0, key, "不认识的项，应为 [[pair]]") for key in unknown]
    pairs = raw.get("pair", [])
    if not isinstance(pairs, list):
        faults.append(Fault(str(file), 0, "pair", "应写成 [[pair]]"))
        return []
    return pairs


def _faults_of(entry: object) -> list[str]:
    if not isinstance(entry, dict):
        return ["应写成 [[pair]]"]
    names: Any = entry.get("names")
    difference = entry.get("difference")
    found = [f"不认识的项 `{key}`" for key in sorted(set(entry) - {"names", "difference"})]
    well_named = isinstance(names, list) and len(names) == 2 and all(isinstance(name, str) and name.strip() for name in names)
    if not well_named or fold(names[0]) == fold(names[1]):
        found.append(f"names 应为两个不同的药名，现为 `{names}`")
    if not isinstance(difference, str) or not difference.strip():
        found.append("difference 缺少，应为一句区别")
    return found


def dump_look_alikes(pairs: Sequence[LookAlike]) -> str:
    """The pairs as a release keeps them."""
    return json.dumps([asdict(pair) for pair in pairs], ensure_ascii=False, indent=1) + "\n"


def load_look_alikes(text: str) -> tuple[LookAlike, ...]:
    """The pairs of a release. Raises ValueError, TypeError or KeyError for a text that holds none."""
    return tuple(LookAlike((row["names"][0], row["names"][1]), row["difference"]) for row in json.loads(text))
