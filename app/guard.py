"""What is let in at all, and the headers that every answer bears. Plain ASGI, so that streams pass unbuffered."""

from collections.abc import Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from app.problems import Problem, problem_response

_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Chainlit compiles our elements in the browser
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "frame-ancestors 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # with none at all a form of our own names no origin
    (b"x-frame-options", b"DENY"),
)
# Chainlit's descriptions of itself.
_CLOSED = ("/docs", "/redoc", "/openapi.json")
_READING = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Turns away what names another host or comes from a page of another origin, and adds headers to every response."""

    def __init__(self, application: Any, hosts: Collection[str]) -> None:
        self._application = application
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Handle one connection."""
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if scope["type"] != "http":
            await (send({"type": "websocket.close", "code": 1008}) if refusal else self._application(scope, receive, send))
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", [])  # our own pages have a stricter policy
                set_already = {name.lower() for name, _ in own}
                message["headers"] = [*own, *(header for header in _HEADERS if header[0] not in set_already)]
            await send(message)

        await (problem_response(refusal) if refusal else self._application)(scope, receive, send_with_headers)

    def _refusal(self, scope: MutableMapping[str, Any]) -> Problem | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin", "")
        if _name(host) not in self._hosts:  # a page elsewhere cannot reach us through a name it controls (DNS rebinding)
            return Problem(403, f"不接受主机名 `{host[:80]}`，请用启动时显示的地址打开。")
        reads = scope["type"] == "http" and scope["method"] in _READING
        if origin and not reads and urlsplit(origin).netloc != host:  # another page must not speak with the user's cookie
            return Problem(403, f"不接受来自 `{origin[:80]}` 的请求，请在启真自己的页面上操作。")
        return Problem(404, f"没有 `{scope['path']}`。") if scope["path"] in _CLOSED else None


def _name(host: str) -> str:
    """The name in a Host header, without port and the brackets of IPv6; "" for what is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
