"""A conversation taken away by its owner: as Word, as PDF, or on a page to be printed."""

import asyncio
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response

from app import pdf_file, word_file
from app.access import Who, require
from app.chinese_font import chinese_font
from app.conversation_file import NO_SOURCES, ConversationFile, read_conversation
from app.problems import Problem
from app.rendering import PageRoute, page
from app.service import Serving
from app.settings import export_font

router = APIRouter(prefix="/conversations", route_class=PageRoute, dependencies=[require("ask")], include_in_schema=False)


async def own_conversation(thread_id: str, service: Serving, who: Who) -> ConversationFile:
    """The conversation of an address. Raises Problem 404 for others' as for none."""
    found = await read_conversation(service.keeping.threads, who.name, thread_id) if service.keeping else None
    if found is None:
        raise Problem(404, f"没有编号是“{thread_id[:40]}”的对话，或者它不是您的。请从自己的对话里导出。")
    return found


Own = Annotated[ConversationFile, Depends(own_conversation)]


@router.get("/{thread_id}.docx")
async def as_word(conversation: Own) -> Response:
    """As a Word file."""
    content = await asyncio.to_thread(word_file.word_file, conversation)
    return _file(content, word_file.MEDIA, conversation, "docx")


@router.get("/{thread_id}.pdf")
async def as_pdf(thread_id: str, conversation: Own) -> Response:
    """As a PDF file; where no font can be put into it, the page that a browser prints."""
    font = await asyncio.to_thread(chinese_font, export_font())
    if font is None:
        return RedirectResponse(f"/conversations/{quote(thread_id, safe='')}?font=none", 303)
    content = await asyncio.to_thread(pdf_file.pdf_file, conversation, font)
    return _file(content, pdf_file.MEDIA, conversation, "pdf")


@router.get("/{thread_id}")
async def to_print(conversation: Own, font: str = "") -> Response:
    """As a page to be printed."""
    return page("conversation.html", conversation=conversation, without_font=font == "none", no_sources=NO_SOURCES)


def _file(content: bytes, media: str, conversation: ConversationFile, ending: str) -> Response:
    named = f"attachment; filename=\"conversation.{ending}\"; filename*=UTF-8''{quote(f'{conversation.file_name}.{ending}')}"
    return Response(content, media_type=media, headers={"content-disposition": named, "cache-control": "private, no-store"})
