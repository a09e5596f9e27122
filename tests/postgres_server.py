"""A PostgreSQL of a test's own, from nothing, on this machine; gone with the test."""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

PATIENCE = 30.0  # seconds
MISSING = "没有 PostgreSQL 的程序：apt-get install postgresql"


class PostgresServer:
    """`with PostgresServer() as url:`; where the installed one is, `found()` says. PostgreSQL does not run as root, so root hands it on."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"postgresql://qizhen@127.0.0.1:{self.port}/postgres"
        self._user = "postgres" if os.geteuid() == 0 else None

    def __enter__(self) -> str:
        self.folder = Path(tempfile.mkdtemp(prefix="qizhen-postgres-"))
        if self._user:
            shutil.chown(self.folder, self._user)
        data = str(self.folder / "data")
        self._run(["initdb", "--no-sync", "--auth=trust", "--username=qizhen", "--encoding=UTF8", "--locale=C.UTF-8", data])
        options = [
            f"-cport={self.port}",
            "-clisten_addresses=127.0.0.1",
            f"-cunix_socket_directories={self.folder}",
            "-cmax_connections=100",
        ]
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [_program("postgres"), "-D", data, *options], cwd=self.folder, stdout=log, stderr=log, user=self._user
            )
        until = time.monotonic() + PATIENCE
        while not self._accepts():
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)
        return self.url

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accepts(self) -> bool:
        ready = subprocess.run([_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False)
        return ready.returncode == 0

    def _run(self, command: list[str]) -> None:
        subprocess.run([_program(command[0]), *command[1:]], cwd=self.folder, check=True, stdout=subprocess.DEVNULL, user=self._user)


def new_database(server: str) -> str:
    """The address of a new, empty database of a server."""
    name = f"test_{secrets.token_hex(6)}"

    async def create() -> None:
        connection = await asyncpg.connect(server)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    with ThreadPoolExecutor(1) as apart:  # a test may run a loop of its own, or a browser's
        apart.submit(lambda: asyncio.run(create())).result()
    return server.removesuffix("/postgres") + f"/{name}"


def found() -> bool:
    """Whether PostgreSQL is installed here."""
    return bool(_program("initdb"))


def _program(name: str) -> str:
    """Debian keeps them out of the way."""
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(beside[-1]) if beside else "")
