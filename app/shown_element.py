"""Our own elements of the chat: values that our scripts in app/chat_files/public/elements show."""

import asyncio
from typing import Any

from chainlit.data import get_data_layer
from chainlit.element import CustomElement


class ShownElement(CustomElement):  # type: ignore[misc]
    """As Chainlit's, which also writes the values of every element into a file that nothing reads: 8 % of the work of 200 answers."""

    async def _create(self, persist: bool = True) -> bool:
        self.chainlit_key = self.id
        self.persisted = True
        if persist and (kept := get_data_layer()):
            _keeping.add(task := asyncio.create_task(kept.create_element(self)))
            task.add_done_callback(_keeping.discard)
        return True


_keeping: set[asyncio.Task[Any]] = set()  # the loop itself holds a task only weakly
