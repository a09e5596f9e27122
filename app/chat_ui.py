"""The chat. Chainlit loads this file by path; everything that decides anything lives in other modules."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import chainlit as cl
from chainlit.input_widget import Select

from app import chat_card, layout
from app.access import LOCAL
from app.answer_record import Asking
from app.answer_sheet import html_text, plain_text, sheet_json, sheet_of
from app.answering import Answer, Found, Said
from app.chat_door import handed_over
from app.generators import QuotingGenerator
from app.history import ChatHistory
from app.next_questions import next_questions
from app.problems import Problem
from app.question import Turn
from app.server import conversations, service, shelf
from app.service import Told
from app.shown_element import ShownElement
from app.superseded import mark_rows, superseded
from app.uploaded import ONE_FILE, REMOVED, Uploaded, Uploads
from indexer.documents import Document
from indexer.errors import QizhenError

_GENERATOR = "generator"
_log = logging.getLogger("qizhen.chat")
_uploads = Uploads()


@cl.data_layer
def history() -> ChatHistory:
    """Where conversations are kept."""
    return ChatHistory(conversations(), _mark_superseded)


def _mark_superseded(elements: list[dict[str, Any]]) -> None:
    """Mark what is no longer the published text; where no release can be opened, the next question will say so."""
    with contextlib.suppress(QizhenError):
        mark_rows(shelf().current(), elements)


@cl.header_auth_callback
async def sign_in(headers: Mapping[str, str]) -> cl.User | None:
    """Whoever the door lets in (app/chat_door.py): the name is its word, and what they may do is asked there again and again."""
    name = handed_over(headers)
    return cl.User(identifier=name, display_name="本机用户" if name == LOCAL.name else name, metadata={}) if name else None


@cl.set_starters
async def starters(_user: cl.User | None = None, _language: str | None = None) -> list[cl.Starter]:
    """Questions to begin with."""
    return [cl.Starter(label=label, message=message) for label, message in layout.STARTERS]


@cl.on_chat_start
async def start() -> None:
    """Offer what can be chosen."""
    await _offer()


@cl.on_chat_resume
async def resume(_thread: Mapping[str, object]) -> None:
    """Chainlit restores the thread, but not what there was to choose from. Without this callback resuming is switched off."""
    await _offer()


async def _offer() -> None:
    """The command, and the choice of what answers where there is one."""
    command = cl.types.CommandDict(
        id=chat_card.COMMAND, description=chat_card.ABOUT, icon="pill", button=True, persistent=False, selected=False
    )
    await cl.context.emitter.set_commands([command])
    labels = service().offered()
    if len(labels) > 1:
        items = {label: name for name, label in labels.items()}
        await cl.ChatSettings([Select(id=_GENERATOR, label=layout.ANSWERED_BY, items=items, initial_value=_chosen(labels))]).send()


def _chosen(labels: Mapping[str, str]) -> str:
    """The generator this conversation is answered by, of those on offer. The browser says which, so only one of them counts."""
    chosen: str = (cl.user_session.get("chat_settings") or {}).get(_GENERATOR, "")
    return chosen if chosen in labels else next(iter(labels))


@cl.on_message
async def answer_message(message: cl.Message) -> None:
    """Answer a question; whatever goes wrong, the person is told."""
    turns = tuple(_turn(earlier) for earlier in cl.chat_context.get() if earlier.id != message.id)
    shown = cl.Message(content="", author=layout.ASSISTANT)

    async def work() -> None:
        if message.elements and not await _take_document(message):
            return
        if message.command == chat_card.COMMAND:
            await _show_card(shown, message.content)
        else:
            await _follow(shown, message.content, turns, _chosen(service().offered()))

    await _told_of_faults(shown, work())


async def _told_of_faults(shown: cl.Message, work: Awaitable[None]) -> None:
    try:
        await work
    except asyncio.CancelledError:
        await _instead(shown, layout.STOPPED)  # half of an answer may be the half without the ban
        raise
    except QizhenError as error:
        await _instead(shown, layout.escape(f"{error.fault}。{error.hint}。"))
    except Problem as problem:
        await _instead(shown, layout.escape(problem.detail))
    except Exception:  # noqa: BLE001 - Chainlit shows nothing of an exception; the person must be told
        number = secrets.token_hex(4)
        _log.exception("answer failed, record %s", number)
        await _instead(shown, layout.FAILED.format(number=number))


async def _show_card(shown: cl.Message, name: str) -> None:
    """Show a drug's card, or what else could be meant."""
    found = await service().quick.do(lambda: chat_card.chat_card(shelf().current(), name))
    shown.content = found.message
    elements = [ShownElement(name="DrugCard", display="inline", props=found.card)] if found.card else []
    if found.candidates:
        offered = [{"title": c.title, "about": c.about, "look_up": c.title} for c in found.candidates]
        elements.append(ShownElement(name="Candidates", display="inline", props={"label": found.label, "candidates": offered}))
    shown.elements = elements
    await shown.send()


async def _take_document(message: cl.Message) -> bool:
    """Read the document of a message and say what was read of it; whether there is a question beside it."""
    if len(message.elements) > 1:
        raise Problem(422, ONE_FILE.format(count=len(message.elements)))
    [element] = message.elements
    session = cl.context.session
    data = await asyncio.to_thread(Path(str(element.path)).read_bytes)
    found = await _uploads.read(session.id, session.thread_id, session.files_dir, element.name, data)
    remove = ShownElement(name="Uploaded", display="inline", props={"name": found.name})
    await cl.Message(content=found.message(), author=layout.ASSISTANT, elements=[remove]).send()
    return bool(message.content.strip())


def _uploaded() -> Uploaded | None:
    session = cl.context.session
    return _uploads.of(session.id, session.thread_id)


@cl.action_callback("remove_document")
async def remove_document(_action: cl.Action) -> dict[str, bool]:
    """Answer from the knowledge base again."""
    removed = _uploads.drop(cl.context.session.id)
    if removed:
        await cl.Message(content=REMOVED, author=layout.ASSISTANT).send()
    return {"removed": removed}


@cl.on_chat_end
async def end() -> None:
    """Another conversation is begun: the document goes. After a broken connection it stays until the session does."""
    if cl.context.session.to_clear:
        _uploads.drop(cl.context.session.id)


@cl.action_callback("look_up")
async def look_up(action: cl.Action) -> dict[str, bool]:
    """Show the card of a drug that was chosen; the name comes from the browser, and is looked up as if it had been typed."""
    name = action.payload.get("name")
    if not isinstance(name, str):
        return {"shown": False}
    await _show_card(cl.Message(content="", author=layout.ASSISTANT), name)
    return {"shown": True}


async def _follow(shown: cl.Message, question: str, turns: tuple[Turn, ...], chosen: str, label: str = "") -> None:
    """Show what a language model says as it is checked, then the whole answer. Quoting is done before anything could be shown."""
    uploaded = _uploaded()
    heard = uploaded.history(turns) if uploaded else turns
    asking = Asking(question, heard, chosen, _person(), "chat", thread=cl.context.session.thread_id, step=shown.id)
    said: list[Said] = []
    found = Found(0, 0, ())
    # Whoever stops waiting lets go of the steps, which stops the model.
    async with aclosing(service().steps(asking, uploaded.release if uploaded else None)) as steps:
        async for step in steps:
            if isinstance(step, Told):
                told = replace(step, answer=uploaded.marked(step.answer)) if uploaded else step
                await _show(shown, told, asking, uploaded, label)
                return
            if isinstance(step, Found):
                found = replace(step, notices=(uploaded.mark, *step.notices)) if uploaded else step
            else:
                said.append(step)
            if found.units and chosen != QuotingGenerator.name:
                await shown.stream_token(label + layout.unfinished_message(found, said), is_sequence=True)


def _person() -> str:
    """The name of whoever this conversation is with."""
    user = cl.user_session.get("user")
    return str(user.identifier) if user else ""


async def _instead(shown: cl.Message, text: str) -> None:
    """Say something else than what was begun."""
    shown.content = text
    await shown.send()


def _turn(message: cl.Message) -> Turn:
    return Turn("user" if message.type == "user_message" else "assistant", layout.without_record(message.content))


async def _show(shown: cl.Message, told: Told, asking: Asking, uploaded: Uploaded | None, label: str) -> None:
    answer = told.answer
    shown.content = label + "".join(layout.message_pieces(answer)) + layout.recorded_as(told.record)
    elements = []
    rows = layout.source_rows(answer)
    if uploaded:
        rows = uploaded.rows(rows)
    if answer.citations:
        elements.append(ShownElement(name="Sources", display="inline", props={"rows": rows}))
    if answer.candidates:
        offered = [{"title": c.title, "about": c.about, "question": c.question} for c in answer.candidates]
        label = "相近的内容" if answer.status == "refused" else "请选择"
        elements.append(ShownElement(name="Candidates", display="inline", props={"label": label, "candidates": offered}))
    shown.elements = [*elements, _tools(told, asking), *await _next(told.answer, asking, uploaded)]
    await shown.send()


async def _next(answer: Answer, asking: Asking, uploaded: Uploaded | None) -> list[ShownElement]:
    """What else can be asked of the same drug or disease."""
    release = uploaded.release if uploaded else shelf().at_hand(answer.release)
    if release is None:
        release = await asyncio.to_thread(shelf().get, answer.release)
    offered = [{"title": n.section, "question": n.question} for n in next_questions(release, answer, asking.history)]
    props = {"label": layout.ASK_NEXT, "candidates": offered}
    return [ShownElement(name="Candidates", display="inline", props=props)] if offered else []


@cl.action_callback("retry")
async def retry(action: cl.Action) -> dict[str, bool]:
    """Ask a question of this conversation again of another generator. What comes from the browser is checked."""
    labels = service().offered()
    question, chosen = action.payload.get("question"), action.payload.get("generator")
    messages = cl.chat_context.get()
    asked = [at for at, message in enumerate(messages) if message.type == "user_message" and message.content == question]
    if chosen not in labels or not asked:
        return {"asked": False}
    shown = cl.Message(content="", author=layout.ASSISTANT)
    label = layout.ANSWERED_AGAIN.format(label=layout.escape(labels[chosen]), question=layout.escape(messages[asked[-1]].content))
    turns = tuple(_turn(earlier) for earlier in messages[: asked[-1]])
    await _told_of_faults(shown, _follow(shown, messages[asked[-1]].content, turns, chosen, label))
    return {"asked": True}


def _tools(told: Told, asking: Asking) -> ShownElement:
    sheet = sheet_of(told.answer, told.record)
    others = [{"name": name, "label": label} for name, label in service().offered().items() if name != asking.generator]
    props = {
        "text": plain_text(sheet),
        "html": html_text(sheet),
        "sheet": sheet_json(sheet),
        "thread": asking.thread,
        "question": asking.question,
        "others": others,
    }
    return ShownElement(name="AnswerTools", display="inline", props=props)


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
            uploaded = _uploaded()
            own = uploaded.release if uploaded and uploaded.release.id == release_id else None
            release = own if own is not None else await asyncio.to_thread(shelf().get, release_id)
            document = release.document(document_id)
            if document:
                told = "" if own else await asyncio.to_thread(_superseded, document)
                shown = layout.panel(release, document, start, end, bool(action.payload.get("whole")), told)
                if shown and own:
                    shown["page"] = ""  # it has none
        except QizhenError:
            _log.warning("citation of a release that cannot be opened: %s", release_id)
    if shown is None:
        await cl.context.emitter.send_toast(layout.SOURCE_GONE, "warning")
        return {"opened": False}
    # In Chainlit 2.12 elements must be set before the title, or the title is lost.
    key = f"{release_id}-{document_id}-{start}-{end}-{shown['whole']}"
    await cl.ElementSidebar.set_elements([ShownElement(name="Source", props=shown)], key=key)
    await cl.ElementSidebar.set_title(f"{shown['title']} · {shown['section']}")
    return {"opened": True}
