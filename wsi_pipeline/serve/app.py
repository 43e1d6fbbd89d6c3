"""What is the answer at each address?

=====================================  =========================================================
``/``                                  slides and cases
``/static/NAME``                       styles and scripts of these pages
``/view/SLIDE/``                       a slide to look into
``/view/SLIDE/slide/L/R_C.jpg``        one tile of the slide, at full resolution on the last level
``/view/SLIDE/NAME/L/R_C.png``         the same tile of an overlay
``/view/SLIDE/at.json?down_um&right_um``  what is stored at a place
``/results/…``                         files that may be read, in ranges too
=====================================  =========================================================

Answers are made in threads.  Errors are pages; none of them names a file.
"""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from wsi_pipeline.errors import WsiPipelineError
from wsi_pipeline.serve.contents import Library, Overlay, Specimen
from wsi_pipeline.serve.files import find_artefact, is_plain_name, kind_of, place_in
from wsi_pipeline.serve.guard import REPORT_POLICY, shared_with
from wsi_pipeline.serve.leases import Leases, Remembered
from wsi_pipeline.serve.pages import (
    STATIC,
    render_index,
    render_message,
    render_view,
    static_file,
)
from wsi_pipeline.serve.painting import (
    colour_table,
    encode_jpeg,
    paint_counts,
    read_count,
    said,
    sample_counts,
)
from wsi_pipeline.serve.pyramid import TilePyramid

_OPEN_SLIDES = 8
_KEPT_BYTES = 2**26  # 64 MiB: some hundred tiles, so that going back costs nothing
# A read may hold some 100 MiB of decoded pixels and sums while it averages.
_READS_AT_ONCE = 4
_LIBRARY = "openseadragon.js"


def make_app(library: Library, *, script: str, origins: Sequence[str] = ()) -> Starlette:
    """Make the application; it trusts that a `Guard` stands before it.

    Parameters
    ----------
    library
        What is shown.
    script
        OpenSeadragon, as text.
    origins
        Web pages elsewhere that may read the zarr stores.
    """
    viewer = _Viewer(library, script=script, origins=tuple(origins))

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        viewer.close()

    tile = "{level:int}/{row:int}_{column:int}"
    stored: list[tuple[str, Callable[[Request], Response], list[str]]] = [
        ("/", viewer.show_index, ["GET"]),
        ("/static/{name}", viewer.send_static, ["GET"]),
        ("/view/{slide}/", viewer.show_slide, ["GET"]),
        (f"/view/{{slide}}/slide/{tile}.jpg", viewer.send_tile, ["GET"]),
        (f"/view/{{slide}}/{{overlay}}/{tile}.png", viewer.send_overlay, ["GET"]),
        ("/view/{slide}/at.json", viewer.tell_place, ["GET"]),
        ("/results/{address:path}", viewer.send_file, ["GET", "OPTIONS"]),
    ]
    routes = [Route(path, answer, methods=methods) for path, answer, methods in stored]
    return Starlette(routes=routes, lifespan=life, exception_handlers=_error_pages(library))


class _Viewer:
    """Open slides and painted tiles, and an answer for each address."""

    def __init__(self, library: Library, *, script: str, origins: tuple[str, ...]) -> None:
        self._library, self._script, self._origins = library, script, origins
        self._leases, self._tiles = Leases(_OPEN_SLIDES), Remembered(_KEPT_BYTES)
        self._reading = threading.BoundedSemaphore(_READS_AT_ONCE)

    def close(self) -> None:
        """Let go of all slides."""
        self._leases.close()

    def show_index(self, _: Request) -> Response:
        """List slides and cases."""
        return HTMLResponse(render_index(self._library.list_contents()))

    def send_static(self, request: Request) -> Response:
        """Send a style or a script."""
        name = request.path_params["name"]
        if name == _LIBRARY:
            return Response(self._script, media_type="text/javascript")
        if name not in STATIC:
            raise HTTPException(404)
        return Response(static_file(name), media_type=STATIC[name])

    def show_slide(self, request: Request) -> Response:
        """Show the page of a slide."""
        with self._lent(request) as specimen:
            return HTMLResponse(
                render_view(
                    specimen,
                    stores=self._stores(specimen.slide_id),
                    case_id=self._case_of(specimen.slide_id),
                )
            )

    def send_tile(self, request: Request) -> Response:
        """Send pixels of the slide."""

        def make(specimen: Specimen) -> bytes:
            pyramid, (level, row, column) = TilePyramid(specimen.plane), _place(request)
            box = pyramid.tile_box(level, row=row, column=column)
            if box is None:
                raise HTTPException(404)
            with self._reading:
                return encode_jpeg(specimen.read(box, pyramid.level_plane(level).mpp))

        return Response(self._painted(request, make), media_type="image/jpeg")

    def send_overlay(self, request: Request) -> Response:
        """Send colours that lie over one tile of the slide."""

        def make(specimen: Specimen) -> bytes:
            pyramid, (level, row, column) = TilePyramid(specimen.plane), _place(request)
            overlay = _overlay(specimen, request.path_params["overlay"])
            box = pyramid.tile_box(level, row=row, column=column)
            if overlay is None or box is None:
                raise HTTPException(404)
            counts = sample_counts(overlay, pyramid.level_plane(level).cropped(box))
            return paint_counts(counts, colour_table(overlay))

        return Response(self._painted(request, make), media_type="image/png")

    def tell_place(self, request: Request) -> Response:
        """Tell what is stored at a place."""
        down_um, right_um = (_number(request, name) for name in ("down_um", "right_um"))
        with self._lent(request) as specimen:
            values = [_told(overlay, down_um, right_um) for overlay in specimen.overlays]
        return JSONResponse({"down_um": down_um, "right_um": right_um, "values": values})

    def send_file(self, request: Request) -> Response:
        """Send a file that may be read, or a part of it."""
        address = request.path_params["address"]
        shared = {}
        if kind_of(address) == "store":
            shared = shared_with(request.headers.get("origin"), self._origins)
        if request.method == "OPTIONS":
            return _preflight(request, shared)
        artefact = find_artefact(self._library.root, address)
        if artefact is None:
            raise HTTPException(404, headers=shared)
        policy = {"content-security-policy": REPORT_POLICY} if artefact.kind == "page" else {}
        return FileResponse(
            artefact.path, media_type=artefact.media_type, headers={**shared, **policy}
        )

    def _lent(self, request: Request) -> AbstractContextManager[Specimen]:
        """Open the slide that was asked for, or take it as it is open."""
        slide_id = request.path_params["slide"]
        stamp = self._library.stamp(slide_id) if is_plain_name(slide_id) else None
        if stamp is None:
            raise HTTPException(404)
        return self._leases.lent((slide_id, stamp), lambda: self._library.open_specimen(slide_id))

    def _painted(self, request: Request, make: Callable[[Specimen], bytes]) -> bytes:
        """Paint a tile, unless it was painted before from the same files."""
        with self._lent(request) as specimen:
            stamp = self._library.stamp(specimen.slide_id)
            return self._tiles.recall((stamp, request.url.path), lambda: make(specimen))

    def _stores(self, slide_id: str) -> tuple[str, ...]:
        """Names of the stores that other programs can read."""
        folder = place_in(self._library.root, f"slides/{slide_id}")
        found = sorted(folder.glob("*.zarr")) if folder else []
        address = f"slides/{slide_id}/{{}}/zarr.json"
        return tuple(p.name for p in found if kind_of(address.format(p.name)) == "store")

    def _case_of(self, slide_id: str) -> str:
        """Case of a slide, if it has a report."""
        contents = self._library.list_contents()
        case = next((s.case_id for s in contents.slides if s.slide_id == slide_id), "")
        return case if case in {entry.case_id for entry in contents.cases} else ""


def _overlay(specimen: Specimen, name: str) -> Overlay | None:
    return next((o for o in specimen.overlays if o.name == name and o.is_shown), None)


def _place(request: Request) -> tuple[int, int, int]:
    """Level, row and column of a tile."""
    level, row, column = (request.path_params[name] for name in ("level", "row", "column"))
    return level, row, column


def _number(request: Request, name: str) -> float:
    """A finite number of the query."""
    try:
        value = float(request.query_params[name])
    except (KeyError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise HTTPException(400, f"'{name}' must be a number of micrometres")
    return value


def _told(overlay: Overlay, down_um: float, right_um: float) -> dict[str, Any]:
    """One line of what is stored at a place."""
    count = read_count(overlay, down_um, right_um)
    has_value = count is not None and (count != overlay.none or not overlay.none)
    return {
        "name": overlay.name,
        "title": overlay.title,
        "count": count,
        "value": count * overlay.step if count is not None and has_value else None,
        "unit": overlay.unit,
        "text": said(overlay, count),
    }


def _preflight(request: Request, shared: dict[str, str]) -> Response:
    """Answer a browser that asks whether a page elsewhere may read a store."""
    if not shared:
        raise HTTPException(403)
    allowed = {
        "access-control-allow-methods": "GET, HEAD",
        "access-control-allow-headers": "Range, If-Range",
    }
    if request.headers.get("access-control-request-private-network") == "true":
        allowed["access-control-allow-private-network"] = "true"
    return Response(status_code=204, headers={**shared, **allowed})


def _error_pages(library: Library) -> dict[Any, Callable[[Request, Any], Response]]:
    """Pages of what is not there and of what cannot be shown."""

    def refuse(request: Request, fault: HTTPException) -> Response:
        if fault.status_code == 404:
            title, text = "Nothing here", "There is no such slide, tile or file to be read."
        else:
            title, text = "This cannot be answered", fault.detail
        return _message(request, title, text, status=fault.status_code, headers=fault.headers)

    def explain(request: Request, fault: WsiPipelineError) -> Response:
        library.tell(str(fault))
        return _message(request, "This slide cannot be shown", str(fault), status=409)

    return {HTTPException: refuse, WsiPipelineError: explain}


def _message(
    request: Request,
    title: str,
    text: str,
    *,
    status: int,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A page that says what is wrong."""
    depth = request.url.path.count("/") - 1
    return HTMLResponse(render_message(title, text, depth=depth), status, headers)
