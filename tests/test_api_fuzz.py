"""The interface's description held against the interface: whatever fits it is answered as it says, and nothing ends in a 500."""

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from app.generators import QuotingGenerator
from app.interface import create_interface
from app.service import Service
from app.shelf import ReleaseShelf

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.slow
def test_whatever_fits_the_description_is_answered_as_it_says(sample_index: Path) -> None:
    service = Service(ReleaseShelf(sample_index), lambda _: QuotingGenerator(), lambda: {"quoting": "原文摘录"})
    described = schemathesis.openapi.from_asgi("/api/v1/openapi.json", create_interface(service))
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
