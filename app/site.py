"""Where the site is put together: our pages and interfaces stand before the chat, which answers for every other address."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from app import drug_pages
from app.shelf import ReleaseShelf

_STATIC = Path(__file__).parent / "pages" / "static"


def create_site(shelf: ReleaseShelf) -> FastAPI:
    """Our own routes. A check of who may use them is a dependency of their router here: `include_router(..., dependencies=[...])`."""
    site = FastAPI(title="启真", docs_url=None, redoc_url=None, openapi_url=None)
    site.state.shelf = shelf
    site.include_router(drug_pages.router)
    site.mount("/site", StaticFiles(directory=_STATIC), name="site")
    return site


def add_chat(site: FastAPI) -> None:
    """Put Chainlit behind the routes there are. It reads its environment when it is imported, so that must be laid out before."""
    from chainlit.utils import mount_chainlit

    mount_chainlit(app=site, target=str(Path(__file__).parent / "chat_ui.py"), path="/")
