"""Where accounts and answers are kept: a SQLite file in the state folder, or a PostgreSQL database that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Engine, MetaData, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from indexer.errors import ServeError

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
_BUSY = 10_000  # milliseconds that a write waits for another
TABLES = MetaData()


def open_database(url: str) -> AsyncEngine:
    """The engine for `sqlite:///file` or `postgresql://user:password@host/database`. Raises ServeError for anything else.

    An engine belongs to the event loop that first uses it.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ServeError("QIZHEN_DATABASE 不是数据库地址", "写成 postgresql://用户:密码@主机/库名；不设则用本机的文件") from None
    driver = _DRIVERS.get(parsed.get_backend_name())
    if driver is None:
        raise ServeError(f"QIZHEN_DATABASE 的种类是 `{parsed.get_backend_name()}`", "只支持 postgresql:// 和 sqlite:///")
    if driver.endswith("asyncpg"):
        return create_async_engine(parsed.set(drivername=driver), pool_pre_ping=True, hide_parameters=True)
    engine = create_async_engine(parsed.set(drivername=driver), hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _settle)
    return engine


def in_thread(engine: AsyncEngine) -> Engine:
    """An engine on the same SQLite file for whoever works in a thread."""
    plain = create_engine(engine.url.set(drivername="sqlite"), hide_parameters=True)
    event.listen(plain, "connect", _settle)
    return plain


async def prepare_database(url: str) -> None:
    """Create what is missing of TABLES, before the server starts. Raises ServeError where the database cannot be used."""
    async with usable(url) as engine:
        await create_tables(engine)


@asynccontextmanager
async def usable(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine to prepare a database with. Raises ServeError where that cannot be used."""
    engine = open_database(url)
    try:
        yield engine
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        shown = make_url(url).render_as_string(hide_password=True)
        raise ServeError(
            f"数据库 `{shown}` 不能用：{cause_of(error)}", "检查 QIZHEN_DATABASE 的地址、账户和权限，数据库是否在运行"
        ) from None
    finally:
        await engine.dispose()


def cause_of(error: BaseException) -> str:
    """What a database said, in a line. What follows it may hold the row, and a row may hold what patients told."""
    said = str(getattr(error, "orig", None) or error).splitlines()
    return said[0] if said else type(error).__name__


async def create_tables(engine: AsyncEngine) -> None:
    """Create what is missing of TABLES; the modules that keep something there must be imported."""
    async with engine.begin() as connection:
        await connection.run_sync(TABLES.create_all)


def _settle(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", f"busy_timeout = {_BUSY}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
