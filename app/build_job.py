"""The one build that an admin's page may run at a time, in a process beside the server, so that the chat answers on."""

import contextlib
import datetime
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from app.problems import Problem

Status = Literal["running", "built", "failed", "stopped", "cut off"]
_ROOT = str(Path(__file__).parent.parent)
_FAULTS = 200


@dataclass(frozen=True, slots=True)
class Build:
    """How a build stands. Times are UTC, ISO 8601. `done` of `total` are what a step counts.

    `release` is what was built, equal to `parent` where nothing had changed; `line` says in a line what came of it; `faults` are why
    documents were left out, or the build failed; `remarks` what the golden questions said.
    """

    status: Status
    user: str
    why: str
    started: str
    step: str = ""
    done: int = 0
    total: int = 0
    release: str = ""
    parent: str = ""
    line: str = ""
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self.status == "running"


class BuildJob:
    """Starts builds, follows them, and remembers the last one over a restart of the server."""

    def __init__(self, state: Path) -> None:
        """`state` is the file in which the last build is kept."""
        self._state = state
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._build = _remembered(state)

    @property
    def last(self) -> Build | None:
        """The build that runs, or ran last."""
        return self._build

    def start(
        self, index: Path, knowledge: Sequence[Path], user: str, why: str, *, skip_faulty: bool = False, questions: str = ""
    ) -> Build:
        """Start a build; where one runs, that one. Raises Problem 503 where no process can be started."""
        with self._lock:
            if self._build and self._build.is_running:
                return self._build
            pipe = subprocess.PIPE
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "app.build_worker"], cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
                )
            except OSError as error:
                raise Problem(503, f"建立版本的进程没有启动：{error.strerror}。") from error
            paths = [str(path.resolve()) for path in knowledge]
            asked = {"index": str(index.resolve()), "knowledge": paths, "skip_faulty": skip_faulty, "questions": questions}
            moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            self._process = process
            self._keep(Build("running", user, why, moment, "准备"))
            threading.Thread(target=self._follow, args=(process, {**asked, "user": user, "why": why}), daemon=True).start()
            return self._build  # type: ignore[return-value]

    def stop(self) -> None:
        """Stop the build that runs; what is embedded is kept for the next."""
        with self._lock:
            if self._process and self._process.poll() is None:
                self._process.terminate()

    def _follow(self, process: "subprocess.Popen[str]", asked: dict[str, Any]) -> None:
        told: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            if process.stdin and process.stdout:
                process.stdin.write(json.dumps(asked) + "\n")
                process.stdin.flush()
                for line in process.stdout:
                    told = json.loads(line)
                    if "step" in told and self._build:
                        self._build = replace(self._build, step=told["step"], done=told["done"], total=told["total"])
        process.kill()
        process.wait()
        if self._build:
            self._keep(_ended(self._build, told))

    def _keep(self, build: Build) -> None:
        self._build = build
        beside = self._state.with_suffix(".new")
        with contextlib.suppress(OSError):  # it is only not remembered over a restart
            beside.write_text(json.dumps(asdict(build), ensure_ascii=False), "utf-8")
            beside.replace(self._state)


def _ended(build: Build, told: dict[str, Any]) -> Build:
    if "built" in told:
        made = told["built"]
        counts = f"新增 {made['added']} · 修改 {made['changed']} · 删除 {made['removed']}"
        unchanged = made["release"] == made["parent"] or made["published"]
        line = "没有变化，没有建立新版本" if unchanged else f"{made['documents']} 篇文档，{counts}，用时 {made['seconds']:.0f} 秒"
        line += f"；拒收 {len(made['rejected'])} 处" if made["rejected"] else ""
        line += f"；过期 {len(made['expired'])} 篇" if made["expired"] else ""
        faults, remarks = tuple(made["rejected"]), tuple(made["remarks"])
        return replace(build, status="built", release=made["release"], parent=made["parent"], line=line, faults=faults, remarks=remarks)
    if "failed" in told:
        return replace(build, status="failed", line=told["failed"], faults=tuple(told["faults"]))
    if "stopped" in told:
        return replace(build, status="stopped", line="已停止。没有发布任何内容；已完成的编码保留着，再建立时接着做。")
    return replace(build, status="failed", line="建立版本的进程中断了。没有发布任何内容，发布中的版本照常使用；可以再建立一次。")


def _remembered(state: Path) -> Build | None:
    try:
        kept = json.loads(state.read_text("utf-8"))
        build = Build(**{**kept, "faults": tuple(kept["faults"]), "remarks": tuple(kept["remarks"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if build.is_running:
        line = "服务器重新启动时，这次建立中断了。没有发布任何内容，发布中的版本没有受影响；可以再建立一次。"
        return replace(build, status="cut off", line=line)
    return build
