"""What is taken out of Chainlit is still what it was when it was taken out, and nothing else."""

import importlib
import inspect
import re
import time

from app.chat_waits import take_out_waits


def test_messages_and_steps_make_nobody_wait() -> None:
    take_out_waits()
    for name in ("chainlit.message", "chainlit.step"):
        module = importlib.import_module(name)
        assert re.findall(r"\btime\.(\w+)\(([^)]*)\)", inspect.getsource(module)) == [("sleep", "0.001")]
        started = time.perf_counter()
        module.time.sleep(5)
        assert time.perf_counter() - started < 5
        assert module.time.monotonic is time.monotonic
    assert time.sleep is not importlib.import_module("chainlit.step").time.sleep
