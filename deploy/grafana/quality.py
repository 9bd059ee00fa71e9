"""Call quality: loss, jitter, delay and opinion score of legs, and whether the mirror spoils the figures."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.colours import BLUE, NONE_IS_QUIET, ORANGE, VERMILION, Steps
from deploy.grafana.page import Section, page
from deploy.grafana.panels import distribution, lines, quantiles, single
from deploy.grafana.queries import Query, grown, rate, share

RANGE = "$__range"
MOSTLY_GOOD: Steps = ((None, VERMILION), (0.9, ORANGE), (0.98, BLUE))
# What is measured, its unit, and what it means
MEASURES = (
    ("Loss", "percentunit", "legwatch_leg_loss_ratio", "Share of a leg's packets that did not come."),
    ("Jitter", "s", "legwatch_leg_jitter_seconds", "Interarrival jitter of a leg."),
    ("Delay", "s", "legwatch_leg_delay_seconds", "Delay of a leg one way, by RTCP; only where RTCP is in clear."),
    ("Opinion score", "none", "legwatch_leg_mos", "Opinion score of a leg at best, by ITU-T G.107."),
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    measures = [
        Section(
            title, [quantiles(title, text, unit, metric), distribution(f"{title}, distribution", text, unit, metric)]
        )
        for title, unit, metric, text in MEASURES
    ]
    return page(
        "legwatch-quality",
        "Call quality",
        "Loss, jitter, delay and opinion score of the legs that ended, each of its worst stream.",
        [_summary(), *measures, _trust()],
    )


def _within(metric: str, bound: str) -> str:
    whole = grown(f"{metric}_count", over=RANGE)
    return share(grown(f'{metric}_bucket{{le="{bound}"}}', over=RANGE), whole)


def _summary() -> Section:
    return Section(
        "At a glance",
        [
            single(
                "Legs with at most 1 % loss",
                "Of the legs that ended in the time shown.",
                "percentunit",
                _within("legwatch_leg_loss_ratio", "0.01"),
                MOSTLY_GOOD,
                6,
            ),
            single(
                "Legs with at most 30 ms jitter",
                "Of the legs that ended in the time shown.",
                "percentunit",
                _within("legwatch_leg_jitter_seconds", "0.03"),
                MOSTLY_GOOD,
                6,
            ),
            single(
                "Legs with a score above 3.6",
                "Of the legs that ended in the time shown; below 3.6 many users are dissatisfied (ITU-T G.107).",
                "percentunit",
                f"1 - {_within('legwatch_leg_mos', '3.6')}",
                MOSTLY_GOOD,
                6,
            ),
            single(
                "Legs measured",
                "Legs that ended in the time shown and whose loss is known.",
                "short",
                grown("legwatch_leg_loss_ratio_count", over=RANGE),
                width=6,
            ),
        ],
    )


def _trust() -> Section:
    return Section(
        "Can the figures be trusted?",
        [
            lines(
                "Lost in the mirror",
                "Packets that are missing here and not in the calls. While there are any, loss and score look worse "
                "than they are.",
                "pps",
                Query(rate("legwatch_common_gaps_total"), "missing in many streams at once"),
                Query(rate("legwatch_unreported_gaps_total"), "their receivers have them"),
                steps=NONE_IS_QUIET,
            ),
            lines(
                "Not measured",
                "Packets whose jitter was not followed under overload, and streams with gaps of the mirror.",
                "cps",
                Query(rate("legwatch_overload_unmeasured_packets_total"), "packets without jitter"),
                Query(rate("legwatch_streams_with_unreported_gaps_total"), "streams with gaps of the mirror"),
            ),
        ],
    )
