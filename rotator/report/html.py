"""The report as one HTML file: no script, no remote asset, readable on screen in light and dark, and on paper.

The page forbids itself everything by its own Content-Security-Policy; its one style sheet is allowed by its hash. Names that
an estate's owner chose reach the page only through the template's escaping, so a group called `<script>` is a group.
"""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from rotator.report import words
from rotator.report.document import Report, groups_named
from rotator.report.figures import severity_bar
from rotator.report.unjudged import unread_by_reason


def render(report: Report) -> str:
    """Return the page."""
    style = _asset("report.css")
    return _template().render(
        report=report,
        now=report.made_at,
        style=style,
        policy=_content_policy(style),
        severities=severity_bar(report.summary.open),
        groups_named=groups_named,
    )


def _content_policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _asset(name: str) -> str:
    return files("rotator.report").joinpath("templates", name).read_text(encoding="utf-8")


def _prose(text: str) -> Markup:
    """Escape a policy's text, then set what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text.strip()))))  # noqa: S704 - escaped before


@cache
def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        instant=words.instant, lasting=words.lasting, place=words.place, count=words.count, listed=words.listed
    )
    environment.filters.update(
        relative=words.relative, prose=_prose, beyond_title=words.beyond_title, subject=words.subject, described=words.described
    )
    environment.filters.update(called=words.called, why_due=words.why_due, by_reason=unread_by_reason)
    return environment.get_template("report.html.j2")
