"""As much of a proxy as several servers need: whoever has come from an address once is always sent to the same server."""

import asyncio
import contextlib
from collections.abc import Sequence
from itertools import cycle


class StickyProxy:
    """`async with StickyProxy(ports) as port:`; `sent` says which address went to which port."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._next = cycle(ports)
        self.sent: dict[str, int] = {}

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")[0]
        if address not in self.sent:
            self.sent[address] = next(self._next)
        port = self.sent[address]
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, to_writer), _pass_on(to_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
