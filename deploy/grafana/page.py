"""What every dashboard has: variables, links to the others, rows of panels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.panels import SOURCE, Panel

TAG = "legwatch"


class Section(NamedTuple):
    """Panels below one heading."""

    title: str
    panels: Sequence[Panel]


def page(uid: str, title: str, description: str, sections: Sequence[Section], *, segments: bool = False) -> Dashboard:
    """Return a dashboard; with ``segments`` where its figures are divided by them."""
    made = (
        Dashboard(f"legwatch: {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .editable()
        .timezone("browser")
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            DashboardLink("legwatch")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_variable("site", "Site", "label_values(legwatch_build_info, site)"))
        .with_variable(
            _variable("instance", "Sensor", 'label_values(legwatch_build_info{site=~"$site"}, instance)')
        )
    )  # fmt: skip
    if segments:
        query = 'label_values(legwatch_unprotected_legs{site=~"$site",instance=~"$instance"}, segments)'
        made.with_variable(_variable("segments", "Segments", query))
    ids = count(1)
    for section in sections:
        made.with_row(Row(section.title).id(next(ids)))
        for panel in section.panels:
            made.with_panel(panel.id(next(ids)))
    return made


def _variable(name: str, label: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )
