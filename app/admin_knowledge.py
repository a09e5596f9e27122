"""The admin pages of what a release is made of: upload, plan, build with progress."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect

from app.access import Who
from app.admin_form import Form, Sent
from app.admin_page import PageNumber, admin_page, admin_router, part_of
from app.build_job import BuildJob
from app.knowledge_files import ENDINGS, MOST_BYTES, MOST_FILE_BYTES, MOST_FILES, KnowledgeFiles
from app.problems import Problem
from app.release_words import counted
from app.service import Service, Serving
from app.settings import questions_file
from indexer.changes import Change
from indexer.collecting import shown_size
from indexer.comparing import plan_build
from indexer.release import published_id

_ON_A_PAGE = 30
_FAULTS = 200
_PART = 1_000_000  # bytes
_HERE = "/admin/knowledge"
_ORDER: tuple[Change, ...] = ("changed", "removed", "added", "dated")
_STATES = {"running": "正在建立", "built": "已建好", "failed": "没有建成", "stopped": "已停止", "cut off": "中断了"}
Kind = Annotated[Literal["", "changed", "removed", "added", "dated"], Query()]

router = admin_router()


@router.get("/knowledge", response_class=HTMLResponse)
def knowledge(request: Request, service: Serving) -> HTMLResponse:
    """What the next release is made of, and how the last build went."""
    files, job = _files(service), _job(service)
    limits = {"file": MOST_FILE_BYTES // 1_000_000, "all": MOST_BYTES // 1_000_000, "files": MOST_FILES}
    return admin_page(
        request,
        "admin_knowledge.html",
        _HERE,
        origins=files.origins(),
        files=[(file, _size(file.bytes)) for file in files.all()],
        limits=limits,
        endings=ENDINGS,
        build=job.last,
        states=_STATES,
        published=published_id(service.shelf.index),
    )


@router.post("/knowledge/upload")
async def upload(request: Request, service: Serving, who: Who) -> Response:
    """Keep files; each whole or not at all, and of several those that are sound."""
    files = _files(service)
    try:
        async with request.form(max_files=MOST_FILES, max_fields=10, max_part_size=_PART) as sent:
            why = Form({"why": [str(sent.get("why", ""))]}).why
            given = _given(sent)
            faults = []
            for part in given:
                try:
                    await files.put(part.filename or "", _parts(part), who.name, why)
                except Problem as problem:
                    faults.append(problem.detail)
    except Problem:
        raise
    except (MultiPartException, HTTPException, KeyError) as error:  # a form without a boundary among them
        raise Problem(422, f"上传的内容读不懂：一次最多 {MOST_FILES} 个文件。什么都没有收下。") from error
    except ClientDisconnect as error:
        raise Problem(422, "上传中断了，没有收下。") from error
    if faults:
        kept = len(given) - len(faults)
        raise Problem(422, f"{''.join(faults)}{f'其余 {kept} 个已收下。' if kept else ''}")
    return RedirectResponse(f"{_HERE}#files", 303)


@router.post("/knowledge/remove")
def remove(service: Serving, who: Who, sent: Sent) -> Response:
    """Take an uploaded file away."""
    _files(service).remove(sent.one("name"), who.name, sent.why)
    return RedirectResponse(f"{_HERE}#files", 303)


@router.get("/knowledge/plan", response_class=HTMLResponse)
def plan(request: Request, service: Serving, kind: Kind = "", number: PageNumber = 1) -> HTMLResponse:
    """What a build would change; nothing is written."""
    planned = plan_build(service.shelf.index, _files(service).knowledge())
    compared = planned.comparison
    changes = [change for wanted in _ORDER if kind in ("", wanted) for change in compared.of(wanted)]
    return admin_page(
        request,
        "admin_plan.html",
        _HERE,
        compared=compared,
        line=counted(compared.counts),
        kinds=[(each, len(compared.of(each))) for each in _ORDER],
        kind=kind,
        part=part_of(changes, number, _ON_A_PAGE),
        rejected=planned.rejected[:_FAULTS],
        rejections=len(planned.rejected),
        warnings=planned.warnings[:_FAULTS],
        warned=len(planned.warnings),
        expired=planned.expired,
        build=_job(service).last,
    )


@router.post("/knowledge/build")
def build(service: Serving, who: Who, sent: Sent) -> Response:
    """Start a build beside the server; a second time while it runs, nothing more."""
    knowledge = _files(service).knowledge()
    _job(service).start(service.shelf.index, knowledge, who.name, sent.why, skip_faulty=bool(sent.one("skip")), questions=questions_file())
    return RedirectResponse(f"{_HERE}/build", 303)


@router.get("/knowledge/build", response_class=HTMLResponse)
def progress(request: Request, service: Serving) -> HTMLResponse:
    """How the build goes; the page looks again by itself while it runs."""
    last = _job(service).last
    if last is None:
        raise Problem(404, "还没有建立过。请先在“资料”页预览，再建立。")
    published = published_id(service.shelf.index)
    return admin_page(request, "admin_build.html", _HERE, build=last, states=_STATES, published=published)


@router.post("/knowledge/stop")
def stop(service: Serving) -> Response:
    """Stop the build that runs."""
    _job(service).stop()
    return RedirectResponse(f"{_HERE}/build", 303)


def _given(sent: FormData) -> list[UploadFile]:
    given = [part for part in sent.getlist("file") if isinstance(part, UploadFile) and part.filename]
    if not given:
        raise Problem(422, "没有选文件，什么都没有收下。请返回上一页选择文件。")
    return given


async def _parts(file: UploadFile) -> AsyncIterator[bytes]:
    while part := await file.read(_PART):
        yield part


def _size(count: int) -> str:
    return shown_size(count) if count >= 1_000_000 else f"{max(1, round(count / 1000))} kB"


def _files(service: Service) -> KnowledgeFiles:
    if service.uploads is None:
        raise Problem(404, "这里没有上传资料的地方。")
    return KnowledgeFiles(service.uploads, service.shelf.index)


def _job(service: Service) -> BuildJob:
    if service.builds is None:
        raise Problem(404, "这里不能建立版本。")
    return service.builds
