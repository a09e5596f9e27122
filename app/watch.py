"""What is done with every request to the site: its body is held to a limit, it is counted, and it is logged."""

import json
import logging
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from app import knowledge_files
from app.problems import Problem
from app.service import MOST_BYTES, Service

_LARGER = {"/admin/knowledge/upload": knowledge_files.MOST_BYTES}
_log = logging.getLogger("qizhen.requests")


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
        taken, most = 0, _LARGER.get(scope["path"], MOST_BYTES)
        said_to_be = dict(scope["headers"]).get(b"content-length", b"0")

        async def receive_some() -> Any:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most or (said_to_be.isdigit() and int(said_to_be) > most):
                what = "请只写问题和最近的对话" if most == MOST_BYTES else "请分几次上传"
                raise Problem(413, f"请求体超过 `{most}` 字节，{what}。")
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
