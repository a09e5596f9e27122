"""Finds a font of this machine that has Chinese characters, to be put into files."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from indexer.errors import ServeError

# As fontconfig calls them, the best first; upright and of one weight, since a variable font cannot be embedded as it is.
FAMILIES = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Noto Serif CJK SC",
    "SimHei",
    "SimSun",
)
_UPRIGHT = {"Regular", "Normal", "Book", "Medium"}
_LISTED = r"%{file}\t%{index}\t%{family}\t%{style}\t%{variable}\n"
# Where Windows and macOS keep theirs, which know no fontconfig.
_ELSEWHERE = (
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/simhei.ttf",
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/STHeiti Light.ttc",
)
_SECONDS = 10


@dataclass(frozen=True, slots=True)
class FontFile:
    """A font: its file, and which of the fonts in it."""

    path: Path
    index: int = 0


def chinese_font(named: str = "") -> FontFile | None:
    """The font that the settings name, else the best that this machine has; None where there is none. Raises ServeError for a named one
    that is not there.
    """
    if named:
        if not Path(named).is_file():
            raise ServeError(f"QIZHEN_FONT 是 `{named}`，没有这个文件", "写一个中文字体文件（.ttf、.otf、.ttc）的位置")
        return FontFile(Path(named))
    return _known()


@cache
def _known() -> FontFile | None:
    tool = shutil.which("fc-list")
    if tool:
        done = subprocess.run([tool, "--format", _LISTED, ":lang=zh-cn"], capture_output=True, text=True, timeout=_SECONDS, check=False)
        if found := best_of(done.stdout.splitlines()):
            return found
    return next((FontFile(Path(path)) for path in _ELSEWHERE if Path(path).is_file()), None)


def best_of(lines: Iterable[str]) -> FontFile | None:
    """The best of fontconfig's list: lines of file, index, families, styles and whether it is variable, parted by tabs."""
    found: dict[str, FontFile] = {}
    for line in lines:
        path, index, families, styles, variable = (*line.split("\t"), "", "", "", "", "")[:5]
        if variable == "False" and index.isdigit() and _UPRIGHT & set(styles.split(",")):
            for family in families.split(","):
                found.setdefault(family, FontFile(Path(path), int(index)))
    return next((found[family] for family in FAMILIES if family in found), None)
