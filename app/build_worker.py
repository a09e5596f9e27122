"""A build in a process of its own, told by a line of JSON and telling of itself in lines of JSON; it ends with the server.

{"step", "done", "total"} again and again, then {"built": {...}} or {"failed": "…", "faults": [...]}.
"""

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from app.questions_file import read_questions
from app.settings import encoder_settings
from app.trial import GoldenTrial
from indexer.build import build_release
from indexer.embedder import embedder_for
from indexer.errors import KnowledgeBaseError, QizhenError

_FAULTS = 200


def main() -> None:
    """Build what stdin asks for; SIGTERM stops it in order."""
    signal.signal(signal.SIGTERM, _stop)
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    try:
        _tell({"built": _built(asked)})
    except KnowledgeBaseError as error:
        _tell({"failed": error.fault, "faults": [str(fault) for fault in error.faults[:_FAULTS]]})
    except QizhenError as error:
        _tell({"failed": f"{error.fault}。{error.hint}。", "faults": []})
    except KeyboardInterrupt:
        _tell({"stopped": True})


def _built(asked: dict[str, Any]) -> dict[str, Any]:
    knowledge, encoder = [Path(path) for path in asked["knowledge"]], encoder_settings()
    questions = read_questions(Path(asked["questions"])) if asked["questions"] else []
    trial = GoldenTrial(questions, progress=lambda done, total: _progress("标准问题", done, total)) if questions else None
    built = build_release(
        Path(asked["index"]),
        knowledge,
        publish=False,
        skip_faulty=asked["skip_faulty"],
        user=asked["user"],
        why=asked["why"],
        trial=trial,
        embedder=embedder_for(knowledge, encoder.name, encoder.prompts, may_download=True),
        progress=_progress,
    )
    told = {
        name: getattr(built, name) for name in ("release", "parent", "documents", "added", "changed", "removed", "seconds", "published")
    }
    left_out = {"rejected": [str(fault) for fault in built.rejected[:_FAULTS]], "remarks": list(built.remarks)}
    return {**told, **left_out, "expired": [asdict(gone) for gone in built.expired]}


def _progress(step: str, done: int, total: int) -> None:
    _tell({"step": step, "done": done, "total": total})


def _tell(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def _stop(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _end_with_the_server() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
