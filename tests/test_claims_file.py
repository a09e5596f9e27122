from pathlib import Path

import pytest

from app.claims_file import CitedClaim, read_claims
from indexer.errors import QuestionError


def test_claims_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"claim": "甲", "evidence": "乙"}\n\n{"claim": "", "evidence": "丙", "more": 1}\n', "utf-8")
    assert read_claims(path) == [CitedClaim("甲", "乙"), CitedClaim("", "丙")]


def test_all_faults_are_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"claim": "甲"}\n{\n{"claim": "甲", "evidence": "乙"}\n[]\n{"claim": 1, "evidence": null}\n', "utf-8")
    with pytest.raises(QuestionError) as caught:
        read_claims(path)
    told = str(caught.value)
    assert f"核对文件 `{path}` 有 `4` 处错误" in told
    for line, reason in ((1, "evidence: 缺少"), (2, "JSON 无法解析"), (4, "一行应为一个 JSON 对象"), (5, "claim、evidence: 缺少")):
        assert f"{path}:{line}: {reason}" in told


def test_a_file_without_claims_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("\n", "utf-8")
    with pytest.raises(QuestionError, match="没有要核对的话"):
        read_claims(path)
