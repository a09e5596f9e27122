"""Databases to test on: a SQLite file, and a real PostgreSQL that is started where its programs are installed."""

import asyncio
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import asyncpg

MISSING = "没有 PostgreSQL 的程序（initdb、pg_ctl）：apt-get install postgresql"
_FOLDERS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"), Path("/usr/bin")]


@cache
def programs() -> Path | None:
    """The folder of PostgreSQL's programs."""
    found = shutil.which("initdb")
    folders = [*_FOLDERS, *([Path(found).resolve().parent] if found else [])]
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of a server of its own, on a socket in a folder of its own, gone in the end. It does not run as root."""
    bin_folder = programs()
    if bin_folder is None:
        raise RuntimeError(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="qizhen-pg-"))
    owner = pwd.getpwnam("postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
    os.chown(folder, owner.pw_uid, owner.pw_gid)

    def run(*words: str) -> None:
        done = subprocess.run(
            [str(bin_folder / words[0]), *words[1:]],
            cwd=folder,
            user=owner.pw_uid if os.geteuid() == 0 else None,
            group=owner.pw_gid if os.geteuid() == 0 else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        assert done.returncode == 0, done.stderr

    data = str(folder / "data")
    try:
        run("initdb", "-D", data, "-A", "trust", "-U", "qizhen", "--no-sync", "-E", "UTF8")
        run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", f"-F -k {folder} -c listen_addresses=", "start")
        try:
            yield f"postgresql://qizhen@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: str) -> str:
    """The address of a new, empty database of a server."""
    name = f"test_{secrets.token_hex(6)}"

    async def create() -> None:
        connection = await asyncpg.connect(server)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    with ThreadPoolExecutor(1) as apart:  # a test may run a loop of its own, or a browser's
        apart.submit(lambda: asyncio.run(create())).result()
    return server.replace("/postgres?", f"/{name}?")
