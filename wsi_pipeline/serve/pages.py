"""How is an answer written?

1. `render_index`, `render_view` and `render_message` fill templates that escape everything.
2. `view_data` is what the viewer's script reads: where tiles lie and how wide they are.
3. `static_file` gives the styles and scripts; nothing comes from elsewhere.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wsi_pipeline.serve.contents import Colour, Contents, Overlay, Specimen
from wsi_pipeline.serve.painting import said
from wsi_pipeline.serve.pyramid import TILE_PX, TilePyramid

STATIC = {
    "view.css": "text/css",
    "index.js": "text/javascript",
    "view.js": "text/javascript",
}
"""Files of this room that pages take in, and what they are."""


def render_index(contents: Contents) -> str:
    """Write the list of slides and cases."""
    return _template("index.html", contents=contents)


def render_view(specimen: Specimen, *, stores: tuple[str, ...], case_id: str) -> str:
    """Write the page of one slide.

    Parameters
    ----------
    specimen
        What is shown.
    stores
        Names of the zarr stores in its folder.
    case_id
        Case with a report it belongs to; "" for none.
    """
    shown = [overlay for overlay in specimen.overlays if overlay.is_shown]
    return _template(
        "view.html",
        specimen=specimen,
        overlays=shown,
        keys={overlay.name: _key_of(overlay) for overlay in shown},
        data=_as_script_data(view_data(specimen)),
        stores=stores,
        case_id=case_id,
    )


def render_message(title: str, text: str, *, depth: int) -> str:
    """Write a page that says what is wrong and what to do.

    Parameters
    ----------
    title, text
        What is wrong, in short and in full.
    depth
        Number of folders between the list of slides and the address that was asked for.
    """
    return _template("message.html", title=title, text=text, up_to_top="../" * depth or "./")


def view_data(specimen: Specimen) -> dict[str, Any]:
    """What the script reads."""
    pyramid = TilePyramid(specimen.plane)
    rows, columns = pyramid.shape
    return {
        "rows": rows,
        "columns": columns,
        "mpp": specimen.plane.mpp,
        "origin_um": list(specimen.plane.origin_um),
        "extent_um": list(specimen.plane.extent_um),
        "tile": TILE_PX,
        "levels": pyramid.levels,
        "overlays": [overlay.name for overlay in specimen.overlays if overlay.is_shown],
    }


def static_file(name: str) -> str:
    """Text of a file of `STATIC`."""
    return files("wsi_pipeline.serve").joinpath("assets", name).read_text(encoding="utf-8")


def _template(name: str, **values: Any) -> str:
    """Fill a template; all that comes from outside is escaped."""
    environment = Environment(
        loader=PackageLoader("wsi_pipeline.serve"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["part"] = _address_part
    return environment.get_template(name).render(**values)


def _address_part(name: str) -> str:
    """A name as one part of an address."""
    return quote(name, safe="")


def _as_script_data(data: dict[str, Any]) -> Markup:
    """JSON that cannot end its element."""
    text = json.dumps(data, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704


def _key_of(overlay: Overlay) -> dict[str, Any]:
    """Legend of an overlay: names with colours, or stops with the ends of the scale."""
    colours = [_hex(colour) for colour in overlay.colours]
    if overlay.names:
        return {"entries": list(zip(overlay.names[1:], colours, strict=False))}
    last = len(colours) - 1
    return {
        "stops": [(f"{100 * at / last:.2f}%", colour) for at, colour in enumerate(colours)],
        "low": f"{'from ' if overlay.bottom else ''}{said(overlay, overlay.bottom)}",
        "high": said(overlay, overlay.top),
    }


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
