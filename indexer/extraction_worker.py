"""Extraction in a process of its own, under limits: a file made to harm can neither hang nor kill a build, nor fill the machine."""

import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from indexer.extraction import Extract, ExtractionError, Line, extract


@dataclass(frozen=True, slots=True)
class ExtractionLimits:
    """What one file may use. Beyond it the file is refused by name, and the others go on.

    `file_bytes`: of the file. `seconds`: of wall time. `memory_bytes`: of address space. `output_bytes`: of extracted text.
    `archive_bytes`: of everything unpacked from one archive, `members` its files, `depth` how deep archives may stand in archives.
    """

    file_bytes: int = 200_000_000
    seconds: float = 120.0
    memory_bytes: int = 2_000_000_000
    output_bytes: int = 200_000_000
    archive_bytes: int = 2_000_000_000
    members: int = 20_000
    depth: int = 3


def extract_apart(kind: str, data: bytes, limits: ExtractionLimits) -> Extract:
    """`extraction.extract` in another process. Raises ExtractionError, for what goes beyond the limits too."""
    with tempfile.TemporaryDirectory(prefix="qizhen-") as folder:
        source, target = Path(folder) / "in", Path(folder) / "out"
        source.write_bytes(data)
        command = [sys.executable, "-m", "indexer.extraction_worker", kind, str(source), str(target)]
        given = [str(limits.memory_bytes), str(limits.output_bytes)]
        root = str(Path(__file__).parent.parent)
        try:
            done = subprocess.run([*command, *given], cwd=root, capture_output=True, timeout=limits.seconds, check=False)
        except subprocess.TimeoutExpired as error:
            raise ExtractionError(f"{limits.seconds:g} 秒内没有读完，已停止：请拆成几个文件，或另存后再试") from error
        if done.returncode != 0 or not target.is_file():
            raise ExtractionError("读取时超出内存上限或文件有害，读取进程已停止：请核对文件来源，或另存后再试")
        told = json.loads(target.read_text("utf-8"))
    if "fault" in told:
        raise ExtractionError(told["fault"])
    warnings = tuple((page, message) for page, message in told["warnings"])
    return Extract(tuple(Line(**line) for line in told["lines"]), told["title"], warnings, told["pages"])


def _work(kind: str, source: str, target: str, memory: str, output: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(output), int(output)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        told = asdict(extract(kind, Path(source).read_bytes()))
    except ExtractionError as error:
        told = {"fault": str(error)}
    except RecursionError:
        told = {"fault": "嵌套过深，没有读：请另存后再试"}
    # A lone surrogate is no character of any text; the file said nonsense there.
    text = json.dumps(told, ensure_ascii=True)
    Path(target).write_text(text, "utf-8")


if __name__ == "__main__":
    _work(*sys.argv[1:6])
