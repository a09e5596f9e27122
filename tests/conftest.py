"""Knowledge bases small enough to check answers by hand, built once."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_server import MISSING, PostgresServer, found, new_database

from indexer.build import build_release
from indexer.release import Release, open_release

SAMPLE: list[dict[str, Any]] = [
    {
        "id": "drug/a",
        "kind": "drug",
        "title": "头孢克洛胶囊",
        "aliases": ["Cefaclor", "希刻劳"],
        "sections": [
            {"title": "适应症", "text": "1、中耳炎。2、下呼吸道感染，包括肺炎。3、尿路感染。"},
            {"title": "用法用量", "text": "口服。成人一次0.25g，一日3次。\n儿童按体重一日20mg/kg，分3次服用。"},
            {"title": "禁忌", "text": "对头孢菌素过敏者禁用。孕妇禁用。"},
            {"title": "药物相互作用", "text": "与华法林合用可增强抗凝作用。"},
            {"title": "贮藏", "text": "密封，在阴凉干燥处保存。"},
        ],
        "source": {"publisher": "甲药厂", "revised": "2025-01-02"},
    },
    {
        "id": "drug/b",
        "kind": "drug",
        "title": "头孢克肟胶囊",
        "aliases": ["Cefixime"],
        "sections": [
            {"title": "功能主治", "text": "用于支气管炎、肾盂肾炎和胆囊炎。"},
            {"title": "用法用量", "text": "口服。成人一次50~100mg，一日2次。"},
        ],
    },
    {
        "id": "drug/c1",
        "kind": "drug",
        "title": "环孢素软胶囊",
        "sections": [
            {"title": "适应症", "text": "用于预防器官移植排斥反应。"},
            {"title": "用法用量", "text": "口服，一日2次，整粒吞服。"},
        ],
    },
    {
        "id": "drug/c2",
        "kind": "drug",
        "title": "环孢素口服溶液",
        "sections": [
            {"title": "适应症", "text": "用于预防器官移植排斥反应。"},
            {"title": "用法用量", "text": "口服，一日2次，用牛奶稀释后服。"},
        ],
    },
    {
        "id": "drug/d1",
        "kind": "drug",
        "title": "逍遥丸",
        "sections": [{"title": "用法用量", "text": "口服。一次8丸，一日3次。"}],
        "source": {"publisher": "乙药厂", "revised": "2024-05-01"},
    },
    {
        "id": "drug/d2",
        "kind": "drug",
        "title": "逍遥丸",
        "sections": [{"title": "用法用量", "text": "口服。一次6~9g，一日2次。"}],
        "source": {"publisher": "丙药厂", "revised": "2025-05-01"},
    },
    {
        "id": "drug/e",
        "kind": "drug",
        "title": "阿司匹林",
        "aliases": ["Aspirin", "拜阿司匹林"],
        "sections": [
            {"title": "药物类别", "text": "非甾体抗炎药。"},
            {"title": "适应症", "text": "- 解热镇痛。\n- 预防心肌梗死。"},
            {"title": "用法用量", "text": "- 成人：口服，一次100mg，一日1次。"},
            {"title": "禁忌", "text": "- 痛风患者禁用。"},
            {"title": "药物相互作用", "text": "- 华法林：合用增加出血风险，应避免。"},
        ],
    },
    {
        "id": "drug/f",
        "kind": "drug",
        "title": "华法林钠片",
        "sections": [
            {"title": "适应症", "text": "预防和治疗血栓。"},
            {"title": "药物相互作用", "text": "非甾体抗炎药可增加出血风险。阿司匹林合用应避免。"},
        ],
    },
    {
        "id": "disease/g",
        "kind": "disease",
        "title": "痛风",
        "aliases": ["痛风性关节炎"],
        "sections": [
            {"title": "临床表现", "text": "关节红肿热痛、夜间发作、高尿酸血症"},
            {"title": "检查检验", "text": "血尿酸测定、关节超声"},
            {"title": "治疗药物", "text": "秋水仙碱、别嘌醇"},
            {"title": "就诊科室", "text": "风湿免疫科"},
        ],
    },
    {
        "id": "text/h",
        "kind": "text",
        "title": "输液反应处理流程",
        "sections": [{"title": "处理", "text": "出现寒战发热时立即停止输液，更换输液器，报告医生。"}],
    },
]


@pytest.fixture(scope="session")
def write_lines(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def write(rows: list[dict[str, Any]], name: str = "kb.jsonl") -> Path:
        path = tmp_path_factory.mktemp("lines") / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def sample_file(write_lines: Callable[..., Path]) -> Path:
    return write_lines(SAMPLE)


@pytest.fixture(scope="session")
def sample_index(sample_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("sample") / "index"
    build_release(index, [sample_file])
    return index


@pytest.fixture(scope="session")
def sample(sample_index: Path) -> Iterator[Release]:
    release = open_release(sample_index)
    yield release
    release.close()


@pytest.fixture(scope="session")
def shipped_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("shipped") / "index"
    build_release(index, [Path(__file__).parent.parent / "kb_data"])
    return index


@pytest.fixture(scope="session")
def shipped(shipped_index: Path) -> Iterator[Release]:
    release = open_release(shipped_index)
    yield release
    release.close()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL for all tests of a session; each makes a database of its own in it."""
    if not found():
        pytest.skip(MISSING)
    with PostgresServer() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'qizhen.sqlite'}"
    return new_database(request.getfixturevalue("postgresql_url"))
