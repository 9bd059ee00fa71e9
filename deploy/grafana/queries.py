"""PromQL, and how a dashboard's variables get into it."""

from __future__ import annotations

import re
from typing import NamedTuple

# Variables whose value "all" is .* also let series without the label through.
SELECTION = 'site=~"$site",instance=~"$instance"'
SEGMENTED = frozenset(("legwatch_legs_ended_total", "legwatch_unprotected_legs", "legwatch_unprotected_seconds_total"))
_METRIC = re.compile(r"\b(legwatch_\w+|up|scrape_\w+)\b(?:\{([^}]*)\})?(?![(\w])")


class Query(NamedTuple):
    """One expression, and what its series are called: a text with {{labels}}."""

    expr: str
    legend: str = ""


def selected(expr: str) -> str:
    """Return an expression whose metrics are those of the sensors, sites and segments that are chosen."""

    def select(match: re.Match[str]) -> str:
        name, labels = match.groups()
        job = "" if name.startswith("legwatch_") else 'job="legwatch",'
        segments = ',segments=~"$segments"' if name in SEGMENTED else ""
        return f"{name}{{{labels + ',' if labels else ''}{job}{SELECTION}{segments}}}"

    return _METRIC.sub(select, expr)


def rate(metric: str, by: str = "") -> str:
    """Return how fast a counter grows, per second, by a label or in all."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({metric}[$__rate_interval]))"


def grown(metric: str, by: str = "", over: str = "$__rate_interval") -> str:
    """Return by how much a counter grew, by a label or in all."""
    return f"sum{f' by ({by}) ' if by else ''}(increase({metric}[{over}]))"


def share(part: str, whole: str) -> str:
    """Return a share; no series, and not NaN, where there is nothing to have a share of."""
    return f"{part} / ({whole} > 0)"


def quantile(q: float, metric: str, by: str = "") -> str:
    """Return a quantile of a histogram."""
    return f"histogram_quantile({q}, {rate(f'{metric}_bucket', f'le, {by}' if by else 'le')})"
