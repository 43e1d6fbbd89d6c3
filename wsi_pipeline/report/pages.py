"""How do the parts become one page?

1. One template per page, one style sheet, its scripts, all inside the file.
2. Everything that comes from outside is escaped, and made harmless text before that: no
   control characters, none that turn the order of others round, no overlong strings.
3. A content security policy names the style and the scripts by their hashes and forbids
   everything else; a page loads nothing and sends nothing.
4. The same input gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wsi_pipeline.classes import TISSUE_CLASSES
from wsi_pipeline.report.cohort import view_cohort
from wsi_pipeline.report.contents import CaseReport, CohortRow
from wsi_pipeline.report.definitions import COHORT, definition_of
from wsi_pipeline.report.distributions import draw_spreads
from wsi_pipeline.report.finding import compose_finding
from wsi_pipeline.report.views import flatten_facts, view_slide
from wsi_pipeline.report.wording import stage_in_words

_LONGEST_TEXT = 2000  # characters: longer than any message, shorter than a flooded page
_KEPT_CONTROLS = "\n\t"
_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def render_case(case: CaseReport) -> str:
    """Write the page of one case.

    Parameters
    ----------
    case
        Everything it shows.

    Returns
    -------
    str
        A whole HTML document, to be stored as UTF-8.

    Notes
    -----
    The page holds pictures and numbers of the case and no other identity than its name and
    the declared primary site.
    """
    environment = _environment()
    style = _source(environment, "report.css")
    slides = [view_slide(slide) for slide in case.slides]
    scripts = _zoom_scripts(environment) if any(slide.zoom_data for slide in slides) else ()
    return environment.get_template("case.html").render(
        case=case,
        finding=compose_finding(case),
        slides=slides,
        baseline_count=sum(slide.is_baseline for slide in slides),
        facts=flatten_facts(case.provenance),
        version=str(case.provenance.get("pipeline_version", "not recorded")),
        style=style,
        scripts=scripts,
        policy=content_security_policy(style=style, scripts=scripts),
    )


def render_cohort(rows: Sequence[CohortRow], *, provenance: Mapping[str, Any]) -> str:
    """Write the page over all cases.

    Parameters
    ----------
    rows
        One per slide; their order is kept, failed ones are listed on top as well.
    provenance
        What the page was made from and with.

    Returns
    -------
    str
        A whole HTML document, to be stored as UTF-8.
    """
    environment = _environment()
    style, script = _source(environment, "report.css"), _source(environment, "cohort.js")
    cohort = view_cohort(rows)
    done = [row for row in rows if row.has_numbers]
    return environment.get_template("cohort.html").render(
        lines=cohort.lines,
        facets=cohort.facets,
        calls=cohort.calls,
        charts=draw_spreads(rows),
        titles=[definition_of(name).title for name in COHORT],
        done=done,
        failed=[row for row in rows if not row.has_numbers],
        baseline_count=sum(row.is_baseline for row in done),
        flags=sorted({flag for line in cohort.lines for flag in line.flags}),
        case_count=len({row.case_id for row in rows}),
        facts=flatten_facts(provenance),
        version=str(provenance.get("pipeline_version", "not recorded")),
        style=style,
        script=script,
        policy=content_security_policy(style=style, scripts=(script,)),
    )


def content_security_policy(*, style: str, scripts: Sequence[str] = ()) -> str:
    """Policy that lets a page use its own style, scripts and embedded pictures only."""
    rules = ["default-src 'none'", "img-src data:", f"style-src {_fingerprint(style)}"]
    if scripts:
        rules.append(f"script-src {' '.join(map(_fingerprint, scripts))}")
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def harmless(value: Any) -> Any:
    """Keep a text readable: no control characters, no half characters, no endless length."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    written = value[:_LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")
    kept = "".join("\ufffd" if _is_control(character) else character for character in written)
    return f"{kept} … ({len(value):,} characters)" if len(value) > _LONGEST_TEXT else kept


def _is_control(character: str) -> bool:
    """Whether a character is neither seen nor white space, or turns the order of others round."""
    is_unseen = unicodedata.category(character) == "Cc" and character not in _KEPT_CONTROLS
    return is_unseen or unicodedata.bidirectional(character) in _TURNING


def _environment() -> Environment:
    """Template engine that escapes everything and stumbles over what is missing."""
    environment = Environment(
        loader=PackageLoader("wsi_pipeline.report"),
        autoescape=True,
        finalize=harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["stage_in_words"] = stage_in_words
    return environment


def _source(environment: Environment, name: str) -> Markup:
    """Style or script as it will stand in the page, so that its hash holds."""
    return Markup(environment.get_template(name).render(classes=TISSUE_CLASSES))  # noqa: S704


def _zoom_scripts(environment: Environment) -> tuple[Markup, ...]:
    """OpenSeadragon, less the line that names a source map, and what drives it."""
    library = files("wsi_pipeline.report").joinpath("assets", "openseadragon.min.js")
    code, _, _ = library.read_text(encoding="utf-8").partition("//# sourceMappingURL")
    return Markup(code), _source(environment, "zoom.js")  # noqa: S704


def _fingerprint(source: str) -> str:
    """Hash of an inline style or script, as a policy names it."""
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
