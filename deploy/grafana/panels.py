"""The kinds of panels: each has title, description, unit, legend as a table, and one way with what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.colours import LABELS, PLAIN, Steps
from deploy.grafana.queries import Query, grown, quantile, selected

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
QUANTILES = (0.5, 0.95)
NOTHING = "nothing"  # what stands where no series is: nothing of the kind was there

Panel = timeseries.Panel | stat.Panel | heatmap.Panel | statetimeline.Panel | bargauge.Panel | table.Panel
_P = TypeVar(
    "_P", timeseries.Panel, stat.Panel, heatmap.Panel, statetimeline.Panel, bargauge.Panel, table.Panel
)  # fmt: skip


def single(title: str, description: str, unit: str, expr: str, steps: Steps = PLAIN, width: int = 4) -> stat.Panel:
    """Return one figure, coloured by thresholds."""
    panel = _dressed(stat.Panel(), title, description, unit, width, 5, steps)
    return (
        panel.with_target(_instant(Query(expr)))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.VALUE)
    )


def lines(
    title: str, description: str, unit: str, *queries: Query, width: int = 12, steps: Steps = PLAIN
) -> timeseries.Panel:
    """Return lines over time. A gap in the line is a gap in the scrapes."""
    panel = _dressed(timeseries.Panel(), title, description, unit, width, 8, steps)
    for query, ref in zip(queries, ascii_uppercase, strict=False):
        panel.with_target(_target(query, ref))
        _coloured(panel, query.legend)
    return (
        panel.min(0)
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .span_nulls(False)
        .show_points(VisibilityMode.NEVER)
        .legend(_legend(["lastNotNull", "max"]))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )


def shares(title: str, description: str, *queries: Query, width: int = 12) -> timeseries.Panel:
    """Return what a whole is made of over time, in per cent."""
    panel = lines(title, description, "short", *queries, width=width)
    return panel.stacking(common.StackingConfig().mode(StackingMode.PERCENT)).fill_opacity(60)


def distribution(title: str, description: str, unit: str, metric: str, width: int = 12) -> heatmap.Panel:
    """Return a histogram over time."""
    panel = _dressed(heatmap.Panel(), title, description, unit, width, 8, PLAIN)
    target = _target(Query(grown(f"{metric}_bucket", "le"), "{{le}}"), "A").format(PromQueryFormat.HEATMAP)
    return (
        panel.with_target(target)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(64))
        .show_legend()
    )


def quantiles(title: str, description: str, unit: str, metric: str, by: str = "", width: int = 12) -> timeseries.Panel:
    """Return the median of a histogram and the value that 95 of 100 keep to."""
    label = f" {{{{{by}}}}}" if by else ""
    queries = (Query(quantile(q, metric, by), f"{q:.0%}{label}") for q in QUANTILES)
    return lines(title, description, unit, *queries, width=width)


def states(title: str, description: str, unit: str, query: Query, steps: Steps, width: int = 24) -> statetimeline.Panel:
    """Return a bar over time for each series, coloured by thresholds: since when."""
    panel = _dressed(statetimeline.Panel(), title, description, unit, width, 8, steps)
    return (
        panel.with_target(_target(query, "A"))
        .merge_values(True)
        .show_value(VisibilityMode.NEVER)
        .fill_opacity(80)
        .legend(_legend([]))
    )


def bars(title: str, description: str, unit: str, query: Query, steps: Steps, width: int = 12) -> bargauge.Panel:
    """Return a bar for each series, as it is now."""
    panel = _dressed(bargauge.Panel(), title, description, unit, width, 8, steps)
    return (
        panel.with_target(_instant(query))
        .min(0)
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def rows(title: str, description: str, unit: str, expr: str, hidden: Sequence[str], width: int = 12) -> table.Panel:
    """Return a row for each series with its labels, as it is now, without some of them."""
    panel = _dressed(table.Panel(), title, description, unit, width, 8, PLAIN)
    left_out = dict.fromkeys(("Time", "__name__", *hidden), True)
    target = _instant(Query(expr)).format(PromQueryFormat.TABLE)
    organise = DataTransformerConfig("organize", options={"excludeByName": left_out})
    return panel.with_target(target).with_transformation(organise)


def _dressed(panel: _P, title: str, description: str, unit: str, width: int, height: int, steps: Steps) -> _P:
    thresholds = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE)
    thresholds.steps([Threshold(value, colour) for value, colour in steps])
    return (
        panel.title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .no_value(NOTHING)
        .thresholds(thresholds)
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .span(width)
        .height(height)
    )


def _coloured(panel: timeseries.Panel, legend: str) -> None:
    """Give series that are called by a protection or a severity, at the end of their names, its colour."""
    label = legend.rpartition("{{")[2].rstrip("}")
    for name, colour in LABELS.get(label, {}).items():
        panel.override_by_regexp(
            f"/(^| ){name}$/", [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})]
        )


def _target(query: Query, ref: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(selected(query.expr)).ref_id(ref).range().exemplar(True).datasource(SOURCE)
    return target.legend_format(query.legend) if query.legend else target


def _instant(query: Query) -> prometheus.Dataquery:
    return _target(query, "A").instant().exemplar(False)


def _legend(calcs: list[str]) -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.TABLE).placement(LegendPlacement.BOTTOM)
    return legend.show_legend(True).calcs(calcs)
