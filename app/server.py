"""One process that serves the chat, the pages and the HTTP interface."""

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import secrets
import shutil
import socket
import sys
import threading
import webbrowser
from functools import cache
from pathlib import Path
from typing import Any

from app.access import is_loopback
from app.accounts import Accounts
from app.answer_settings import settings_of
from app.answer_store import AnswerStore
from app.answerer import Answerer
from app.build_job import BuildJob
from app.database import open_database, prepare_database
from app.doorkeeper import Doorkeeper
from app.drug_names import prepare
from app.forgetting import Keeping
from app.generators import Generator
from app.group_commit import GroupCommit
from app.guard import Guard
from app.idempotency import Repeats
from app.open_generator import on_offer, open_generator
from app.service import Service
from app.settings import (
    ServerSettings,
    answers_apart,
    database_url,
    history_url,
    keep_days,
    log_questions,
    model_settings,
    reranker_name,
    server_settings,
)
from app.shelf import ReleaseShelf
from indexer.errors import ServeError

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - listened on only where there are accounts
# Seconds: how long a message that is on the screen may wait to be written with others, and how long their commit may take.
_GATHER, _UNHURRIED = 0.2, 60.0


@cache
def shelf() -> ReleaseShelf:
    """The opened releases of this process."""
    return ReleaseShelf(server_settings().index, reranker_name())


@cache
def generator(name: str = "") -> Generator:
    """What answers the questions of this process: the configured one, or another by name. Raises GeneratorError where it is not set up."""
    settings = model_settings()
    return open_generator(name or settings.generator, settings)


@cache
def offered() -> dict[str, str]:
    """What answers can be chosen in this process: name to label, the default first."""
    return on_offer(model_settings())


@cache
def conversations() -> GroupCommit:
    """What writes the chat's conversations."""
    return GroupCommit(open_database(history_url(server_settings().state)), patience=_UNHURRIED, gather=_GATHER)


@cache
def service() -> Service:
    """The answers of this process, for the chat and for programs."""
    settings = server_settings()
    state = settings.state
    engine = open_database(database_url(state))
    return Service(
        shelf(),
        generator,
        offered,
        log_questions(),
        records=AnswerStore(engine),
        repeats=Repeats(engine),
        keeping=Keeping(engine, conversations().engine),
        conversations=conversations(),
        keep_days=keep_days(),
        doorkeeper=Doorkeeper(engine),
        over_https=settings.https,
        answerer=Answerer(settings.index, reranker_name()) if answers_apart() else None,
        uploads=state / "knowledge",
        builds=BuildJob(state / "build.json"),
        settings=lambda name: settings_of(name, reranker_name(), model_settings()),
        sessions=_sessions,
    )


def _sessions() -> int:
    from chainlit.session import ws_sessions_sid

    return len(ws_sessions_sid)


def check_address(settings: ServerSettings) -> None:
    """Raise ServeError for an address that others could reach without accounts, or that nobody could name, or one that is taken."""
    host, port = settings.host, settings.port
    if not is_loopback(host):
        url = database_url(settings.state)
        nowhere = url.startswith("sqlite") and not settings.state.is_dir()
        if nowhere or not asyncio.run(_has_admin(url)):
            raise ServeError(
                f"不能监听 `{host}`：还没有可用的管理员账户，别的机器上的任何人都能提问和查看对话",
                f"先建立账户：qizhen users add 名称 --role admin --state {settings.state}；或只在本机使用：--host 127.0.0.1",
            )
        if host in _EVERYWHERE and not settings.hosts:
            raise ServeError(f"监听 `{host}` 时不知道浏览器用什么名称打开", "写明主机名或地址：QIZHEN_HOSTS=qizhen.example.org,192.0.2.7")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServeError(f"不能监听 `{host}:{port}`：{error.strerror}", "换一个端口：--port 8001") from error


async def _has_admin(url: str) -> bool:
    await prepare_database(url)
    engine = open_database(url)
    try:
        return any(account.role == "admin" and not account.disabled for account in await Accounts(engine).all())
    finally:
        await engine.dispose()


def serve(settings: ServerSettings, open_page: bool = False) -> None:
    """Serve until stopped; with `open_page`, show the page in a browser where this machine has a screen."""
    import uvicorn

    application = create_application(settings)
    prepare(shelf().current())  # a missing or damaged release is told here, not in the chat
    shelf().watch()
    # What is laid out by now stays: looking through all of it for garbage, again and again, took a third of the time of 200 answers.
    gc.collect()
    gc.freeze()
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{address}:{settings.port}/"
    sys.stderr.write(f"启真已启动：{url}  （按 Ctrl-C 停止）\n")
    _log_requests()
    has_screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if open_page and has_screen:
        threading.Timer(1.0, webbrowser.open, [url]).start()
    # Compressing every message of every browser costs more than a hospital's network does.
    uvicorn.run(
        application,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        server_header=False,
        ws_per_message_deflate=False,
    )


def _log_requests() -> None:
    """Requests and answers as lines of JSON on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter('{"time": "%(asctime)s", "log": %(message)s}', "%Y-%m-%dT%H:%M:%S%z"))
    requests = logging.getLogger("qizhen.requests")
    requests.addHandler(handler)
    requests.setLevel(logging.INFO)
    requests.propagate = False


def _remove_left_files(folder: Path) -> None:
    """Remove what people attached and Chainlit left behind when it was stopped, unless another process uses the folder now.

    The lock is shared for as long as this process lives.
    """
    lock = os.open(folder / "in-use", os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder / ".files", ignore_errors=True)
    fcntl.flock(lock, fcntl.LOCK_SH)


def create_application(settings: ServerSettings) -> Any:
    """The ASGI application. Chainlit reads its settings at import, so they are laid out first."""
    settings.export()
    folder = settings.state.resolve() / "chainlit"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        _remove_left_files(folder)
        os.umask(0o077)  # conversations are for their user alone
    except OSError as error:
        raise ServeError(f"不能写 `{settings.state}`：{error.strerror}", "换一个位置：--state 文件夹") from error
    os.environ["CHAINLIT_APP_ROOT"] = str(folder)
    os.environ["CHAINLIT_AUTH_SECRET"] = _secret(settings.state / "secret")
    os.environ.setdefault("TZ", "UTC")  # Chainlit writes local time and calls it UTC

    from app import web_page

    web_page.prepare(folder, settings.origins)

    from app.chat_door import ChatDoor
    from app.site import SiteFirst, chat_token, create_chat, create_site

    asyncio.run(_prepare_databases(settings.state))
    keeper = service().doorkeeper
    chat = create_chat()
    door = ChatDoor(chat, keeper, chat_token, settings.https) if keeper else chat
    return Guard(SiteFirst(create_site(service()), door), settings.names)


async def _prepare_databases(state: Path) -> None:
    from app.history import prepare_history

    await prepare_database(database_url(state))
    await prepare_history(history_url(state))


def _secret(path: Path) -> str:
    """The key that signs sessions: made once, readable by its owner only."""
    if not path.is_file() or not path.read_text("utf-8"):
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(48))
        temporary.replace(path)
    return path.read_text("utf-8")
