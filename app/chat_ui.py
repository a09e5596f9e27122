"""The chat. Chainlit loads this file by path; everything that decides anything lives in other modules."""

import asyncio
import logging
import secrets
from collections.abc import Mapping

import chainlit as cl

from app import layout
from app.answering import Answer, ask
from app.history import SQLiteHistory
from app.question import Turn
from app.server import shelf
from app.settings import server_settings
from indexer.errors import QizhenError

_log = logging.getLogger("qizhen.chat")
LOCAL_USER = "local"


@cl.data_layer
def history() -> SQLiteHistory:
    """Where conversations are kept."""
    return SQLiteHistory(server_settings().state / "chat.sqlite")


@cl.header_auth_callback
async def sign_in(_headers: Mapping[str, str]) -> cl.User:
    """Everyone on this machine is one user: the server listens on loopback only (app/server.py holds that)."""
    return cl.User(identifier=LOCAL_USER, display_name="本机用户", metadata={})


@cl.set_starters
async def starters(_user: cl.User | None = None, _language: str | None = None) -> list[cl.Starter]:
    """Questions to begin with."""
    return [cl.Starter(label=label, message=message) for label, message in layout.STARTERS]


@cl.on_chat_resume
async def resume(_thread: Mapping[str, object]) -> None:
    """Resuming needs no more than Chainlit's own restoring; without this callback it is switched off."""


@cl.on_message
async def answer_message(message: cl.Message) -> None:
    """Answer a question; whatever goes wrong, the person is told."""
    turns = [_turn(earlier) for earlier in cl.chat_context.get() if earlier.id != message.id]
    try:
        answer = await asyncio.to_thread(_ask, message.content, turns)
    except QizhenError as error:
        await cl.Message(content=layout.escape(f"{error.fault}。{error.hint}。"), author=layout.ASSISTANT).send()
    except Exception:  # noqa: BLE001 - Chainlit shows nothing of an exception; the person must be told
        number = secrets.token_hex(4)
        _log.exception("answer failed, record %s", number)
        await cl.Message(content=layout.FAILED.format(number=number), author=layout.ASSISTANT).send()
    else:
        await _show(answer)


def _ask(question: str, turns: list[Turn]) -> Answer:
    return ask(shelf().current(), question, turns)


def _turn(message: cl.Message) -> Turn:
    return Turn("user" if message.type == "user_message" else "assistant", message.content)


async def _show(answer: Answer) -> None:
    shown = cl.Message(content="", author=layout.ASSISTANT)
    for piece in layout.message_pieces(answer):
        await shown.stream_token(piece)
    elements = []
    if answer.citations:
        elements.append(cl.CustomElement(name="Sources", display="inline", props={"rows": layout.source_rows(answer)}))
    if answer.candidates:
        offered = [{"title": c.title, "about": c.about, "question": c.question} for c in answer.candidates]
        label = "相近的内容" if answer.status == "refused" else "请选择"
        elements.append(cl.CustomElement(name="Candidates", display="inline", props={"label": label, "candidates": offered}))
    shown.elements = elements
    await shown.send()


@cl.action_callback("open_source")
async def open_source(action: cl.Action) -> dict[str, bool]:
    """Open a cited place beside the chat. Everything in the payload comes from the browser and is checked."""
    release_id, document_id, start, end = (action.payload.get(key) for key in ("release", "document", "start", "end"))
    well_formed = isinstance(release_id, str) and isinstance(document_id, str) and isinstance(start, int) and isinstance(end, int)
    shown = None
    if well_formed:
        try:
            release = await asyncio.to_thread(shelf().get, release_id)
            document = release.document(document_id)
            shown = layout.panel(release, document, start, end, bool(action.payload.get("whole"))) if document else None
        except QizhenError:
            _log.warning("citation of a release that cannot be opened: %s", release_id)
    if shown is None:
        await cl.context.emitter.send_toast(layout.SOURCE_GONE, "warning")
        return {"opened": False}
    # In Chainlit 2.12 elements must be set before the title, or the title is lost.
    key = f"{release_id}-{document_id}-{start}-{end}-{shown['whole']}"
    await cl.ElementSidebar.set_elements([cl.CustomElement(name="Source", props=shown)], key=key)
    await cl.ElementSidebar.set_title(f"{shown['title']} · {shown['section']}")
    return {"opened": True}
