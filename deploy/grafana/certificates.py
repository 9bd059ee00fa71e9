"""Certificates and TLS: when they end, what is wrong with them, what could not be read."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.colours import BLUE, NONE_IS_GOOD, ORANGE, VERMILION, Steps
from deploy.grafana.page import Section, page
from deploy.grafana.panels import bars, lines, shares, single, states
from deploy.grafana.queries import Query, grown, rate

EXPIRY = "(legwatch_certificate_expiry_timestamp_seconds > 0)"  # 0: none was seen
DAY = 86_400
TIME_LEFT: Steps = ((None, VERMILION), (7 * DAY, ORANGE), (30 * DAY, BLUE))
CODES = 'code=~"cert-.+|tls-.+|dtls-.+|not-observable"'


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return page(
        "legwatch-certificates",
        "Certificates and TLS",
        "When the certificates of servers of SIP end, what is wrong with TLS, and what of it could not be seen.",
        [_expiry(), _tls(), _unread()],
    )


def _expiry() -> Section:
    return Section(
        "Certificates",
        [
            single(
                "Next end",
                "Time until the first certificate ends that was seen. TLS 1.3 hides certificates: legwatch probe "
                "shows those.",
                "s",
                f"min({EXPIRY} - time())",
                TIME_LEFT,
                6,
            ),
            single(
                "TLS servers",
                "Servers of TLS that carries SIP, as far as they were seen.",
                "short",
                "sum(legwatch_tls_servers_active)",
                width=6,
            ),
            single(
                "Open findings",
                "Findings about certificates and handshakes that are open and not waived.",
                "short",
                f'sum(legwatch_findings{{state="open",{CODES}}})',
                NONE_IS_GOOD,
                12,
            ),
            bars(
                "Time left, by role",
                "Time until the first certificate of each role ends. A role without a bar: none was seen.",
                "s",
                Query(f"min by (role) ({EXPIRY} - time())", "{{role}}"),
                TIME_LEFT,
            ),
            lines(
                "Time left over time",
                "A renewal is a step upwards; without it the line reaches 0.",
                "s",
                Query(f"min by (role) ({EXPIRY} - time())", "{{role}}"),
            ),
        ],
    )


def _tls() -> Section:
    return Section(
        "TLS and DTLS",
        [
            states(
                "Findings, by code",
                "When findings about certificates and handshakes were open.",
                "short",
                Query(f'sum by (code) (legwatch_findings{{state="open",{CODES}}})', "{{code}}"),
                NONE_IS_GOOD,
            ),
            lines(
                "Findings opened",
                "How many opened. Handshakes that fail are the hidden cause of calls that fail at random.",
                "short",
                Query(grown(f"legwatch_findings_opened_total{{{CODES}}}", "code"), "{{code}}"),
            ),
            shares(
                "Flows of TLS and DTLS, by protection",
                "In clear: a suite without encryption was agreed.",
                Query(grown('legwatch_flows_ended_total{app=~"tls|dtls"}', "protection"), "{{protection}}"),
            ),
        ],
    )


def _unread() -> Section:
    return Section(
        "What was not read",
        [
            lines(
                "Certificates",
                "Certificates that nothing can be said of: they could not be parsed, found no room, or came too fast.",
                "cps",
                Query(rate("legwatch_unparsed_certificates_total"), "not parsed (TLS)"),
                Query(rate("legwatch_left_out_certificates_total"), "left out (TLS)"),
                Query(rate("legwatch_unreadable_certificates_total"), "unreadable (DTLS)"),
                Query(rate("legwatch_lost_certificates_total"), "fragments without room (DTLS)"),
            ),
            lines(
                "Servers and conversations",
                "What had to make room, or found none.",
                "cps",
                Query(rate("legwatch_tls_servers_evicted_total"), "TLS servers evicted"),
                Query(rate("legwatch_refused_conversations_total"), "conversations refused"),
                Query(rate("legwatch_evicted_conversations_total"), "conversations evicted"),
            ),
        ],
    )
