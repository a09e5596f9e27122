"""A client on this machine, of the whole site, in front of an index or of a service made for a test."""

from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from app.generators import QuotingGenerator
from app.service import Service
from app.shelf import ReleaseShelf
from app.site import create_site

HERE = ("127.0.0.1", 50_000)


def quoting_service(index: Path, **more: Any) -> Service:
    """A service that offers quotes alone."""
    return Service(ReleaseShelf(index), lambda _: QuotingGenerator(), lambda: {"quoting": "原文摘录"}, **more)


def site_client(served: Path | Service, client: tuple[str, int] = HERE) -> TestClient:
    """Asks from this machine, unless told otherwise; errors of the program are answered, not raised."""
    service = served if isinstance(served, Service) else quoting_service(served)
    return TestClient(create_site(service), client=client, raise_server_exceptions=False)
