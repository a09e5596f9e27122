"""The interface's description held against the interface: whatever fits it is answered as it says, and nothing ends in a 500."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from site_client import HERE, recording_service
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.database import prepare_database
from app.idempotency import Repeats
from app.site import create_site

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.slow
def test_whatever_fits_the_description_is_answered_as_it_says(sample_index: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'q.sqlite'}"
    asyncio.run(prepare_database(url))
    engine = create_async_engine(url.replace("sqlite", "sqlite+aiosqlite", 1), poolclass=NullPool)  # every request has a loop of its own
    site = create_site(replace(recording_service(sample_index, engine), repeats=Repeats(engine)))

    async def asked_here(scope: Any, receive: Any, send: Any) -> None:
        await site({**scope, "client": HERE}, receive, send)

    described = schemathesis.openapi.from_asgi("/api/v1/openapi.json", asked_here)
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) >= 10

    # The plugin of schemathesis for pytest is not used: it does not run under pytest 9.2.
    for operation in operations:

        @settings(
            max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=HealthCheck
        )
        @given(case=operation.as_strategy())
        def answered(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=_CHECKS)

        answered()
