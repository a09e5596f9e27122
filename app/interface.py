"""The HTTP interface put together: its routes, their limits, their log. An application of its own, in front of the chat."""

import json
import logging
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from fastapi import FastAPI

from app import api, openai_api, probes
from app.problems import Problem, word_problems
from app.service import MOST_BYTES, Service

PATHS = ("/healthz", "/readyz", "/metrics", "/api", "/v1")
_log = logging.getLogger("qizhen.requests")
_ABOUT = "启真：每一句都标明出处的中文医学问答。错误是 application/problem+json（RFC 9457）。"


def create_interface(service: Service) -> FastAPI:
    """The application that answers for PATHS. Every error it gives, 404 and 405 included, is a problem+json."""
    interface = FastAPI(title="启真", version="1", description=_ABOUT, openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None)
    interface.state.service = service
    for router in (api.router, openai_api.router, probes.router):
        interface.include_router(router)
    word_problems(interface)
    interface.add_middleware(Watch, service=service)
    return interface


class InterfaceFirst:
    """Sends what is addressed to the interface there, everything else to the chat and its pages."""

    def __init__(self, interface: Any, rest: Any) -> None:
        self._interface = interface
        self._rest = rest

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Handle one connection."""
        path = scope.get("path", "")
        ours = scope["type"] == "http" and any(path == own or path.startswith(own + "/") for own in PATHS)
        await (self._interface if ours else self._rest)(scope, receive, send)


class Watch:
    """Holds bodies to MOST_BYTES, counts and logs requests as lines of JSON; plain ASGI, so streams pass unbuffered."""

    def __init__(self, application: Any, service: Service) -> None:
        self._application = application
        self._service = service

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        started, status = time.perf_counter(), 499  # nobody waited for the answer
        taken = 0
        said_to_be = dict(scope["headers"]).get(b"content-length", b"0")

        async def receive_some() -> Any:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BYTES or (said_to_be.isdigit() and int(said_to_be) > MOST_BYTES):
                raise Problem(413, f"请求体超过 `{MOST_BYTES}` 字节，请只写问题和最近的对话。")
            return message

        async def send_watched(message: Mapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._application(scope, receive_some, send_watched)
        finally:
            self._note(scope, status, started)

    def _note(self, scope: Mapping[str, Any], status: int, started: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        self._service.figures.requested(route, status)
        spent = round((time.perf_counter() - started) * 1000, 2)
        line = {"event": "request", "method": scope["method"], "route": route, "status": status, "milliseconds": spent}
        _log.info("%s", json.dumps(line, ensure_ascii=False))
