"""The chat. Chainlit loads this file by path; everything that decides anything lives in other modules."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import chainlit as cl
from chainlit.input_widget import Select

from app import layout
from app.answering import Answer, Found, Said, ask_by_sentence
from app.generators import QuotingGenerator
from app.history import SQLiteHistory
from app.open_generator import on_offer
from app.question import Turn
from app.server import generator, shelf
from app.settings import model_settings, server_settings
from app.superseded import mark_rows, superseded
from indexer.documents import Document
from indexer.errors import QizhenError

_GENERATOR = "generator"
_log = logging.getLogger("qizhen.chat")
LOCAL_USER = "local"
# Of its own, so that questions waiting for a slow model keep nobody from opening a source.
_ANSWERING = ThreadPoolExecutor(max_workers=32, thread_name_prefix="answer")


@cl.data_layer
def history() -> SQLiteHistory:
    """Where conversations are kept."""
    return SQLiteHistory(server_settings().state / "chat.sqlite", _mark_superseded)


def _mark_superseded(elements: list[dict[str, Any]]) -> None:
    """Mark what is no longer the published text; where no release can be opened, the next question will say so."""
    with contextlib.suppress(QizhenError):
        mark_rows(shelf().current(), elements)


@cl.header_auth_callback
async def sign_in(_headers: Mapping[str, str]) -> cl.User:
    """Everyone on this machine is one user: the server listens on loopback only (app/server.py holds that)."""
    return cl.User(identifier=LOCAL_USER, display_name="本机用户", metadata={})


@cl.set_starters
async def starters(_user: cl.User | None = None, _language: str | None = None) -> list[cl.Starter]:
    """Questions to begin with."""
    return [cl.Starter(label=label, message=message) for label, message in layout.STARTERS]


@cl.on_chat_start
async def start() -> None:
    """Offer the choice of what answers, where there is one."""
    await _offer_generators()


@cl.on_chat_resume
async def resume(_thread: Mapping[str, object]) -> None:
    """Chainlit restores the thread, but not what there was to choose from. Without this callback resuming is switched off."""
    await _offer_generators()


async def _offer_generators() -> None:
    labels = on_offer(model_settings())
    if len(labels) > 1:
        items = {label: name for name, label in labels.items()}
        await cl.ChatSettings([Select(id=_GENERATOR, label=layout.ANSWERED_BY, items=items, initial_value=_chosen(labels))]).send()


def _chosen(labels: dict[str, str]) -> str:
    """The generator this conversation is answered by, of those on offer. The browser says which, so only one of them counts."""
    chosen = (cl.user_session.get("chat_settings") or {}).get(_GENERATOR)
    return chosen if chosen in labels else next(iter(labels))


@cl.on_message
async def answer_message(message: cl.Message) -> None:
    """Answer a question; whatever goes wrong, the person is told."""
    turns = [_turn(earlier) for earlier in cl.chat_context.get() if earlier.id != message.id]
    shown = cl.Message(content="", author=layout.ASSISTANT)
    try:
        await _show(shown, await _follow(shown, message.content, turns))
    except asyncio.CancelledError:
        await _instead(shown, layout.STOPPED)  # half of an answer may be the half without the ban
        raise
    except QizhenError as error:
        await _instead(shown, layout.escape(f"{error.fault}。{error.hint}。"))
    except Exception:  # noqa: BLE001 - Chainlit shows nothing of an exception; the person must be told
        number = secrets.token_hex(4)
        _log.exception("answer failed, record %s", number)
        await _instead(shown, layout.FAILED.format(number=number))


async def _follow(shown: cl.Message, question: str, turns: list[Turn]) -> Answer:
    """Show what a language model says as it is checked; return the whole answer. Quoting is done before anything could be shown."""
    loop = asyncio.get_running_loop()
    chosen = _chosen(on_offer(model_settings()))
    steps = _ask(question, turns, chosen)
    said: list[Said] = []
    found = Found(0, 0, ())
    # Whoever stops waiting lets go of the steps, which stops the model.
    while not isinstance(step := await loop.run_in_executor(_ANSWERING, next, steps), Answer):
        if isinstance(step, Found):
            found = step
        else:
            said.append(step)
        if found.units and chosen != QuotingGenerator.name:
            await shown.stream_token(layout.unfinished_message(found, said), is_sequence=True)
    return step


def _ask(question: str, turns: list[Turn], chosen: str) -> Iterator[Found | Said | Answer]:
    yield from ask_by_sentence(shelf().current(), question, turns, generator(chosen))  # loads a model when it is first chosen


async def _instead(shown: cl.Message, text: str) -> None:
    """Say something else than what was begun."""
    shown.content = text
    await shown.send()


def _turn(message: cl.Message) -> Turn:
    return Turn("user" if message.type == "user_message" else "assistant", message.content)


async def _show(shown: cl.Message, answer: Answer) -> None:
    if shown.content:
        await shown.stream_token("".join(layout.message_pieces(answer)), is_sequence=True)
    else:
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


def _superseded(document: Document) -> str:
    """What is told of a cited document that is no longer the published one."""
    with contextlib.suppress(QizhenError):
        return superseded(shelf().current(), document.id, layout.digest_of(document))
    return ""


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
            if document:
                told = await asyncio.to_thread(_superseded, document)
                shown = layout.panel(release, document, start, end, bool(action.payload.get("whole")), told)
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
