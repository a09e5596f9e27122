"""The shape of the project: what imports what, what files are called, what the README promises."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from openai_server import OpenAIServer

from app import console

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for package in ("app", "indexer", "finetune") for path in (ROOT / package).rglob("*.py"))
READMES = ("README.md", "README.zh-CN.md")


def test_imports_go_one_way() -> None:
    done = subprocess.run([str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [p.name for p in SOURCES if re.fullmatch(r"_?(utils?|helpers?|common|types|base|core|misc|constants)\.py", p.name)] == []


def test_the_top_level_is_as_fixed() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    files = "pyproject.toml README.md README.zh-CN.md LICENSE CHANGELOG.md Makefile constraints.txt .gitignore"
    folders = ".ci app indexer finetune kb_data tests"
    assert {name.split("/")[0] for name in tracked} <= {*files.split(), *folders.split()}
    assert not [name for name in tracked if name.startswith("kb_data/") and name.endswith(".py")]


def test_one_file_reads_the_environment() -> None:
    readers = [
        p.relative_to(ROOT).as_posix() for p in SOURCES if re.search(r"os\.environ\.get|os\.environ\[\"QIZHEN|getenv", p.read_text("utf-8"))
    ]
    assert set(readers) <= {"app/settings.py", "app/server.py"}


@pytest.mark.parametrize("module", ["indexer.search", "app.answering", "app.console", "finetune.console"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'transformers', 'chainlit', 'langchain') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_functions_are_documented() -> None:
    bare = []
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        methods = [node for parent in tree.body if isinstance(parent, ast.ClassDef) for node in parent.body]
        for node in [*tree.body, *methods]:
            named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if named and not ast.get_docstring(node):
                bare.append(f"{path.name}:{node.lineno} {node.name}")
    assert bare == []


@pytest.mark.parametrize("readme", READMES)
def test_the_commands_of_the_readme_work(
    readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / readme).read_text("utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    commands = [line for line in lines if line.startswith(("qizhen ", "export "))]
    assert len(commands) >= 5
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "x.jsonl").write_text(
        '{"id": "a", "kind": "drug", "title": "某药", "sections": [{"title": "禁忌", "text": "孕妇禁用。"}]}\n', "utf-8"
    )
    (tmp_path / "questions.jsonl").write_text('{"id": "1", "question": "非布司他的禁忌？"}\n', "utf-8")
    (tmp_path / "claims.jsonl").write_text('{"claim": "孕妇慎用。", "evidence": "孕妇禁用。"}\n', "utf-8")
    with OpenAIServer(["痛风患者高尿酸血症的长期治疗。[1]"]) as model:
        for command in commands:
            words = shlex.split(command, comments=True)
            if words[0] == "export":
                for name, _, value in (word.partition("=") for word in words[1:]):
                    monkeypatch.setenv(name, model.url if name == "QIZHEN_CHAT_URL" else value)
                continue
            monkeypatch.setattr(sys, "argv", words)
            with pytest.raises(SystemExit) as stop:
                console.main()
            assert not stop.value.code, command
            assert capsys.readouterr().out, command
        assert model.requests


@pytest.mark.parametrize("readme", READMES)
def test_what_the_readme_points_to_is_there(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    targets = re.findall(r"\]\((?!https?:|#)([^)]+)\)|src=\"(?!https?:)([^\"]+)\"", text)
    assert [t for pair in targets for t in pair if t and not (ROOT / t.split("#")[0]).exists()] == []
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert [t for t in re.findall(r"make (\w+)", text) if f"\n{t}:" not in makefile] == []
