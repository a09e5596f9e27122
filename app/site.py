"""Where the site is put together: our pages and interfaces stand before the chat, which answers for every other address."""

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from app import (
    admin_answers,
    admin_documents,
    admin_figures,
    admin_knowledge,
    admin_log,
    admin_people,
    admin_release,
    admin_releases,
    answers_api,
    api,
    conversation_pages,
    drug_pages,
    feedback,
    login_pages,
    openai_api,
    probes,
)
from app.access import LOCAL
from app.chat_waits import take_out_waits
from app.problems import word_problems
from app.service import Service
from app.watch import Watch

OURS = (
    "/drugs",
    "/admin",
    "/feedback",
    "/conversations",
    "/site",
    "/api",
    "/v1",
    "/healthz",
    "/readyz",
    "/metrics",
    "/login",
    "/logout",
    "/me",
)
_PARTS = (
    drug_pages,
    admin_answers,
    admin_documents,
    admin_figures,
    admin_knowledge,
    admin_log,
    admin_people,
    admin_release,
    admin_releases,
    answers_api,
    api,
    openai_api,
    feedback,
    conversation_pages,
    login_pages,
    probes,
)
_ABOUT = "启真：每一句都标明出处的中文医学问答。错误是 application/problem+json（RFC 9457）。"
_STATIC = Path(__file__).parent / "pages" / "static"


def create_site(service: Service) -> FastAPI:
    """The application that answers for OURS. Every route names what it takes to use it (`app/access.py`)."""

    @asynccontextmanager
    async def running(_site: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    site = FastAPI(title="启真", version="1", description=_ABOUT, openapi_url=None, docs_url=None, redoc_url=None, lifespan=running)
    site.state.service = service
    for part in _PARTS:
        site.include_router(part.router)
    site.mount("/site", StaticFiles(directory=_STATIC), name="site")
    word_problems(site)
    site.add_middleware(Watch, service=service)
    return site


def create_chat() -> FastAPI:
    """Chainlit. It reads its environment when it is imported, so that must be laid out before."""
    from chainlit.utils import mount_chainlit

    take_out_waits()
    chat = FastAPI(title="启真", openapi_url=None, docs_url=None, redoc_url=None)
    mount_chainlit(app=chat, target=str(Path(__file__).parent / "chat_ui.py"), path="/")
    return chat


def chat_token(name: str) -> str:
    """Chainlit's token for a person, whom it knows by name alone."""
    from chainlit.auth import create_jwt
    from chainlit.user import User

    return str(create_jwt(User(identifier=name, display_name="本机用户" if name == LOCAL.name else name, metadata={})))


class SiteFirst:
    """Sends what is addressed to the site there, everything else to the chat, which would take any address. The site is told of
    the beginning and the end of the server; mounted, Chainlit does nothing then.
    """

    def __init__(self, site: Any, chat: Any) -> None:
        self._site = site
        self._chat = chat

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Handle one connection."""
        path = scope.get("path", "")
        addressed = any(path == own or path.startswith(own + "/") for own in OURS)
        ours = scope["type"] == "lifespan" or (scope["type"] == "http" and addressed)
        await (self._site if ours else self._chat)(scope, receive, send)
