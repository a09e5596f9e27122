"""For those who run the server: is it alive, can it answer, what has it done."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app import api_examples as examples
from app.access import require
from app.problems import Problem
from app.service import Service, Serving
from indexer.errors import IndexFolderError
from indexer.release import current_id, verify_release

router = APIRouter()


@router.get("/healthz", responses=examples.responses({"status": "ok"}), summary="活着")
async def healthz() -> JSONResponse:
    """进程活着。"""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses=examples.responses({"status": "ok", "release": examples.RELEASE}), summary="可以回答")
async def readyz(service: Serving) -> JSONResponse:
    """发布中的版本已打开，内容与清单相符；否则 503。每个版本只核对一次。"""
    return JSONResponse({"status": "ok", "release": await service.quick.do(lambda: _sound(service))})


def _sound(service: Service) -> str:
    release = service.shelf.current().id
    if release not in service.sound_releases:
        if wrong := verify_release(service.shelf.index, release):
            raise Problem(503, f"版本 `{release}` 有损坏：{'；'.join(wrong[:5])}。用 qizhen index rollback 退回，或重建。")
        service.sound_releases.add(release)
    return release


@router.get(
    "/metrics",
    dependencies=[require("metrics")],
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    response_class=Response,
    summary="运行数字",
)
async def metrics(service: Serving) -> Response:
    """Prometheus 文本格式；不含问题的内容。"""
    try:
        release = current_id(service.shelf.index)
    except IndexFolderError:
        release = ""
    return Response(service.figures.text(release, service.sessions()), media_type=CONTENT_TYPE_LATEST)
