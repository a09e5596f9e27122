"""The admin page of figures: answers, refusals, times and ratings by day, as plots and as a table."""

import datetime

from fastapi import Request
from fastapi.responses import HTMLResponse

from app import day_plots
from app.admin_answers import Days
from app.admin_page import admin_page, admin_router
from app.answer_words import RATING, STATUS
from app.answers_api import records_of
from app.day_figures import days_of
from app.problems import Problem
from app.service import Serving

_SPANS = (7, 30, 90)  # days on offer
_MOST = 366

router = admin_router()


@router.get("/figures", response_class=HTMLResponse)
async def figures(request: Request, service: Serving, days: Days = 30) -> HTMLResponse:
    """The last days, the present one included."""
    if days > _MOST:
        raise Problem(422, f"`{days}` 天太长，最多看 {_MOST} 天。")
    found = await days_of(records_of(service), days, datetime.datetime.now(datetime.UTC))
    names = [day.day for day in found]
    statuses = {"answered": STATUS["answered"], "clarify": STATUS["clarify"], "refused": STATUS["refused"]}
    ratings = {"up": RATING[1], "down": RATING[-1]}
    times = {"p50": "p50", "p95": "p95"}
    plots = (
        day_plots.bars("每天的回答", names, statuses, {kind: [getattr(day, kind) for day in found] for kind in statuses}),
        day_plots.lines("答完用时（毫秒）", names, times, {kind: [getattr(day, kind) for day in found] for kind in times}),
        day_plots.bars("每天的评价", names, ratings, {kind: [getattr(day, kind) for day in found] for kind in ratings}),
    )
    box = (day_plots.WIDTH, day_plots.HEIGHT)
    return admin_page(request, "admin_figures.html", "/admin/figures", found=found, plots=plots, box=box, days=days, spans=_SPANS)
