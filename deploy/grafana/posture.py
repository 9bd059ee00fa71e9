"""Encryption posture: what share of legs is protected, where not, since when."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.colours import BLUE, NONE_IS_GOOD, NONE_IS_QUIET, ORANGE, PLAIN, VERMILION, Steps
from deploy.grafana.page import Section, page
from deploy.grafana.panels import bars, distribution, lines, quantiles, shares, single, states
from deploy.grafana.queries import Query, grown, rate, share

LEGS = "legwatch_legs_ended_total"
RANGE = "$__range"
ALL_PROTECTED: Steps = ((None, VERMILION), (0.99, ORANGE), (1, BLUE))
ANY_CLEAR: Steps = ((None, BLUE), (0.000001, VERMILION))
URGENT = 'legwatch_findings{state="open",severity=~"critical|high"}'


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return page(
        "legwatch-posture",
        "Encryption posture",
        "What share of legs is protected, where they are not, and since when. Judged by packets, not by promises.",
        [_summary(), _where(), _findings(), _policy()],
        segments=True,
    )


def _summary() -> Section:
    return Section(
        "At a glance",
        [
            single(
                "Legs encrypted",
                "Of the legs that ended in the time shown: how many were encrypted. What is undetermined or was not "
                "observed does not count as encrypted.",
                "percentunit",
                share(grown(f'{LEGS}{{observed="encrypted"}}', over=RANGE), grown(LEGS, over=RANGE)),
                ALL_PROTECTED,
            ),
            single(
                "Legs assessed",
                "Of the legs that ended in the time shown: of how many it is known whether they were encrypted or in "
                "clear.",
                "percentunit",
                share(grown(f'{LEGS}{{observed=~"encrypted|clear"}}', over=RANGE), grown(LEGS, over=RANGE)),
                PLAIN,
            ),
            single(
                "In clear now",
                "Legs with media in clear at this moment.",
                "short",
                "sum(legwatch_unprotected_legs)",
                NONE_IS_QUIET,
            ),
            single(
                "Talk in clear",
                "Time that legs were in clear within the time shown, added over all legs.",
                "s",
                grown("legwatch_unprotected_seconds_total", over=RANGE),
                NONE_IS_QUIET,
            ),
            single(
                "Last seen in clear",
                "How long ago a leg was in clear, as far back as the time shown.",
                "s",
                f"time() - max(max_over_time(timestamp(legwatch_unprotected_legs > 0)[{RANGE}:$__rate_interval]))",
            ),
            single(
                "Critical and high findings",
                "Findings of these severities that are open and not waived.",
                "short",
                f"sum({URGENT})",
                NONE_IS_GOOD,
            ),
        ],
    )


def _where() -> Section:
    clear = grown(f'{LEGS}{{observed="clear"}}', "segments", RANGE)
    return Section(
        "Where and since when",
        [
            states(
                "In clear, by segments",
                "When legs between two segments were in clear: the left end of a bar says since when.",
                "short",
                Query("sum by (segments) (legwatch_unprotected_legs)", "{{segments}}"),
                NONE_IS_QUIET,
            ),
            shares(
                "Legs by what was observed",
                "What the legs that ended at each time were, as the packets show it.",
                Query(grown(LEGS, "observed"), "{{observed}}"),
            ),
            bars(
                "Share in clear, by segments",
                "Of the legs that ended between two segments in the time shown: how many were in clear.",
                "percentunit",
                Query(share(clear, grown(LEGS, "segments", RANGE)), "{{segments}}"),
                ANY_CLEAR,
            ),
            lines(
                "Legs in clear at the same time, by segments",
                "Mean number of legs in clear: seconds in clear each second.",
                "short",
                Query(rate("legwatch_unprotected_seconds_total", "segments"), "{{segments}}"),
            ),
            lines(
                "Calls by their worst leg",
                "Calls that ended, a second, by the worst state of their legs.",
                "cps",
                Query(rate("legwatch_calls_ended_total", "observed"), "{{observed}}"),
            ),
            shares(
                "SIP by protection",
                "Flows that carried SIP and ended: in clear, or encrypted by TLS.",
                Query(grown("legwatch_signalling_flows_ended_total", "protection"), "{{protection}}"),
                width=24,
            ),
        ],
    )


def _findings() -> Section:
    return Section(
        "Findings",
        [
            states(
                "Open findings, by code",
                "When findings of each code were open. The runbook has the same name.",
                "short",
                Query('sum by (code) (legwatch_findings{state="open"}) > 0', "{{code}}"),
                NONE_IS_GOOD,
            ),
            lines(
                "Open findings, by severity",
                "Findings that are true now and not waived.",
                "short",
                Query('sum by (severity) (legwatch_findings{state="open"})', "{{severity}}"),
            ),
            lines(
                "Open and waived",
                "Findings that are true now: waived ones are recorded and do not alert.",
                "short",
                Query("sum by (state) (legwatch_findings)", "{{state}}"),
            ),
            lines(
                "Findings opened, by code",
                "How many opened; short ones are here, too. Exemplars have the id of the finding in the events.",
                "short",
                Query(f"{grown('legwatch_findings_opened_total', 'code')} > 0", "{{code}}"),
            ),
            lines(
                "Opened and resolved",
                "Findings that opened and that are over. Opened far above resolved: they pile up.",
                "short",
                Query(grown("legwatch_findings_opened_total"), "opened"),
                Query(grown("legwatch_findings_resolved_total"), "resolved"),
            ),
            quantiles(
                "Time to a finding",
                "From the first packet that a finding is about until it was opened.",
                "s",
                "legwatch_time_to_finding_seconds",
            ),
            distribution(
                "Time to a finding, distribution",
                "The same, as a histogram.",
                "s",
                "legwatch_time_to_finding_seconds",
            ),
        ],
    )


def _policy() -> Section:
    return Section(
        "Policy, waivers, baseline",
        [
            lines(
                "Waivers",
                "Waivers of the policy. The findings of an expired one are open again.",
                "short",
                Query("sum by (state) (legwatch_waivers)", "{{state}}"),
                width=8,
            ),
            lines(
                "Told in a summary only",
                "Findings that came too many at once to be told one by one.",
                "short",
                Query(grown("legwatch_alerts_suppressed_total"), "suppressed"),
                width=8,
            ),
            lines(
                "Baseline",
                "Endpoints that the baseline knows, and sensors that still learn it.",
                "short",
                Query("sum(legwatch_baseline_endpoints)", "endpoints"),
                Query("sum(legwatch_baseline_learning)", "sensors that learn"),
                width=8,
            ),
        ],
    )
