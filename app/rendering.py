"""How pages of ours are rendered, and how their faults are told. Wording is in app/pages/templates."""

import hashlib
from collections.abc import Callable, Coroutine
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.access import LOCAL, WHO
from app.addresses import check_of, page_of
from app.drug_names import LONGEST_QUERY
from app.line_marks import marked
from app.problems import problem_of
from app.safety import is_expired

PAGES = Path(__file__).parent / "pages"
# Nothing inline, nothing from outside.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {"content-security-policy": POLICY, "cache-control": "private, no-cache"}


class PageRoute(APIRoute):
    """A route whose faults are pages in Chinese, whatever goes wrong."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler with the faults worded."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:  # noqa: BLE001 - whatever it is, the person gets a page
                problem = problem_of(error)
                if problem.status_code == 401 and request.method == "GET":
                    return RedirectResponse(sign_in_page(request), 303)
                return page("fault.html", problem.status_code, told=problem.detail, read=request.method == "GET", admin=_is_admins(request))

        return handled


def _is_admins(request: Request) -> bool:
    return request.url.path.startswith("/admin")


def sign_in_page(request: Request) -> str:
    """Where to sign in, and come back."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/login?next={quote(wanted)}"


@cache
def _templates() -> Environment:
    templates = Environment(loader=FileSystemLoader(PAGES / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    templates.globals.update(
        page_of=page_of, check_of=check_of, is_expired=is_expired, stamp=_stamp(), longest=LONGEST_QUERY, marked=marked, local=LOCAL
    )
    return templates


def _stamp() -> str:
    """Changes when the style or the script does, so that no browser shows an old one."""
    content = b"".join(path.read_bytes() for path in sorted((PAGES / "static").iterdir()))
    return hashlib.sha256(content).hexdigest()[:12]


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of app/pages/templates, with the values it asks for."""
    return HTMLResponse(_templates().get_template(template).render({"who": WHO.get(), **values}), status, headers=_HEADERS)
