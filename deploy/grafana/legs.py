"""Call legs: what was promised, what was seen, how they compare, and how long a verdict takes."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.colours import NONE_IS_QUIET
from deploy.grafana.page import Section, page
from deploy.grafana.panels import distribution, lines, quantiles, rows, shares, single
from deploy.grafana.queries import Query, grown, rate

LEGS = "legwatch_legs_ended_total"
RANGE = "$__range"


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return page(
        "legwatch-legs",
        "Call legs",
        "What signalling promised and packets showed, leg by leg, and how verdicts come about.",
        [_now(), _promise(), _verdicts(), _traffic()],
        segments=True,
    )


def _now() -> Section:
    return Section(
        "Now",
        [
            single("Legs", "Legs that are not over.", "short", "sum(legwatch_legs_active)"),
            single("Calls", "Calls that are not over.", "short", "sum(legwatch_calls_active)"),
            single("Media streams", "Media streams in the table.", "short", "sum(legwatch_streams_active)"),
            single("SIP dialogues", "SIP dialogues in the table.", "short", "sum(legwatch_sip_dialogues_active)"),
            single(
                "Endpoints",
                "Addresses that speak SIP or exchange media.",
                "short",
                "sum(legwatch_endpoints_active)",
            ),
            single(
                "SRTP promised, seen in clear",
                "Legs that ended in the time shown whose signalling agreed on SRTP and whose packets were in clear.",
                "short",
                grown('legwatch_legs_compared_total{comparison="clear-despite-srtp"}', over=RANGE),
                NONE_IS_QUIET,
            ),
        ],
    )


def _promise() -> Section:
    return Section(
        "Promised and seen",
        [
            lines(
                "Legs by what was observed",
                "Legs that ended, a second, by what the packets show.",
                "cps",
                Query(rate(LEGS, "observed"), "{{observed}}"),
            ),
            lines(
                "Legs by what was signalled",
                "Legs that ended, a second, by what signalling agreed on. Unknown: it was encrypted or not seen.",
                "cps",
                Query(rate(LEGS, "signalled"), "{{signalled}}"),
            ),
            rows(
                "Signalled and observed",
                "Legs that ended in the time shown, by what was promised, what was seen, and the segments of their "
                "ends.",
                "short",
                f"{grown(LEGS, 'signalled, observed, segments', RANGE)} > 0",
                (),
            ),
            shares(
                "Promise and packets",
                "How the legs that ended compare. Clear-despite-srtp is a broken promise.",
                Query(grown("legwatch_legs_compared_total", "comparison"), "{{comparison}}"),
            ),
        ],
    )


def _verdicts() -> Section:
    return Section(
        "Verdicts",
        [
            lines(
                "Verdicts on streams",
                "Verdicts on media streams a second, changed ones included.",
                "cps",
                Query(rate("legwatch_stream_verdicts_total", "protection"), "{{protection}}"),
            ),
            lines(
                "Changes in mid-stream",
                "Streams whose protection changed. From encrypted to clear is a downgrade.",
                "short",
                Query(grown("legwatch_stream_verdict_changes_total", "before, after"), "{{before}} to {{after}}"),
            ),
            quantiles(
                "Time to a verdict",
                "From a stream's first packet to the first verdict that it is clear or encrypted.",
                "s",
                "legwatch_time_to_verdict_seconds",
                "protection",
            ),
            distribution(
                "Time to a verdict, distribution",
                "The same, as a histogram, clear and encrypted together.",
                "s",
                "legwatch_time_to_verdict_seconds",
            ),
        ],
    )


def _traffic() -> Section:
    flows = "legwatch_flows_ended_total"
    return Section(
        "Flows",
        [
            lines(
                "Flows by what they carried",
                "Flows that ended, a second.",
                "cps",
                Query(rate(flows, "app"), "{{app}}"),
            ),
            shares(
                "Flows by protection",
                "Flows of every kind that ended. Not applicable: nothing in them is meant to be encrypted.",
                Query(grown(flows, "protection"), "{{protection}}"),
            ),
            lines(
                "SIP messages",
                "Messages in clear that were read, and that could not be.",
                "cps",
                Query(rate("legwatch_sip_messages_total"), "read"),
                Query(rate("legwatch_sip_unreadable_messages_total"), "unreadable"),
            ),
            lines(
                "What is in clear",
                "What pairs of hosts show in clear, by kind and protocol, and streams that may carry telephone events.",
                "short",
                Query("sum(legwatch_exposures_active)", "exposures"),
                Query("sum(legwatch_tones_active)", "streams with telephone events"),
            ),
        ],
    )
