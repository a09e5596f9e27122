"""A client on this machine, of the whole site, in front of an index or of a service made for a test."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.testclient import TestClient

from app.answer_settings import settings_of
from app.answer_store import AnswerStore
from app.database import open_database, prepare_database
from app.generators import QuotingGenerator
from app.service import Service
from app.settings import ModelSettings
from app.shelf import ReleaseShelf
from app.site import create_site

HERE = ("127.0.0.1", 50_000)


def quoting_service(index: Path, **more: Any) -> Service:
    """A service that offers quotes alone."""
    return Service(ReleaseShelf(index), lambda _: QuotingGenerator(), lambda: {"quoting": "原文摘录"}, **more)


def recording_service(index: Path, engine: AsyncEngine, **more: Any) -> Service:
    """A service that records its answers, as the server's does."""
    return quoting_service(index, records=AnswerStore(engine), settings=lambda name: settings_of(name, "", ModelSettings()), **more)


def site_client(served: Path | Service, client: tuple[str, int] = HERE) -> TestClient:
    """Asks from this machine, unless told otherwise; errors of the program are answered, not raised."""
    service = served if isinstance(served, Service) else quoting_service(served)
    return TestClient(create_site(service), client=client, raise_server_exceptions=False)


@contextmanager
def recording_client(index: Path, path: Path) -> Iterator[TestClient]:
    """A client of a site that records its answers in a SQLite file, which is let go of in the end."""
    url = f"sqlite:///{path}"
    asyncio.run(prepare_database(url))
    engine = open_database(url)
    with site_client(recording_service(index, engine)) as client:
        yield client
        assert client.portal is not None
        client.portal.call(engine.dispose)
