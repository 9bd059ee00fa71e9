"""Sensor and mirror health: is the sensor blind or the network quiet, does it keep up, do its events arrive."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.colours import NONE_IS_GOOD, ONE_IS_GOOD, ORANGE, PLAIN, SKY, VERMILION, Steps
from deploy.grafana.page import Section, page
from deploy.grafana.panels import lines, rows, single, states
from deploy.grafana.queries import Query, grown, rate, share

RECEIVED = "legwatch_received_packets_total"
STAGES: Steps = ((None, SKY), (1, ORANGE), (3, VERMILION))


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return page(
        "legwatch-sensor",
        "Sensor and mirror health",
        "Whether the sensor is blind or the network quiet, whether it keeps up, and whether its events arrive.",
        [_state(), _blind(), _mirror(), _loss(), _tables(), _out(), _ledger(), _self()],
        segments=True,
    )


def _state() -> Section:
    return Section(
        "State",
        [
            single("Answers", "Sensors that do not answer are 0.", "short", "min(up)", ONE_IS_GOOD),
            single(
                "Ready",
                "1 while nothing blinds any sensor.",
                "short",
                "min(legwatch_ready)",
                ONE_IS_GOOD,
            ),
            single(
                "Overload stage",
                "0 nothing is left out, 1 jitter, 2 looks at media with a verdict, 3 media of new flows.",
                "short",
                "max(legwatch_overload_stage)",
                STAGES,
            ),
            single(
                "Clock kept",
                "1 while a time daemon keeps every sensor's clock.",
                "short",
                "min(legwatch_clock_synchronised)",
                ONE_IS_GOOD,
            ),
            single(
                "Configuration taken",
                "0 when the last configuration was refused and the one before it is in use.",
                "short",
                "min(legwatch_config_last_reload_successful)",
                ONE_IS_GOOD,
            ),
            single(
                "Ways out up",
                "0 while a sink cannot be reached.",
                "short",
                "min(legwatch_sink_up)",
                ONE_IS_GOOD,
            ),
            rows(
                "Sensors",
                "Which sensors there are, with site and interface as their own configuration has them.",
                "none",
                "legwatch_sensor_info",
                ("Value", "job"),
            ),
            rows("Versions", "What they run.", "none", "legwatch_build_info", ("Value", "job")),
        ],
    )


def _blind() -> Section:
    return Section(
        "Blind or quiet?",
        [
            lines(
                "Packets",
                "What reaches the sensor, and what of it was given to a flow. A quiet network still sends some; none "
                "at all is blindness.",
                "pps",
                Query(rate(RECEIVED), "received"),
                Query(rate("legwatch_classified_packets_total"), "classified"),
            ),
            lines(
                "Octets",
                "On the wire.",
                "Bps",
                Query(rate("legwatch_received_octets_total"), "received"),
            ),
            lines(
                "Voice",
                "Flows and media streams that began, SIP messages that were read. Packets without any of these: the "
                "mirror shows the wrong ports.",
                "cps",
                Query(rate("legwatch_flows_begun_total"), "flows"),
                Query(rate("legwatch_streams_begun_total"), "media streams"),
                Query(rate("legwatch_sip_messages_total"), "SIP messages"),
            ),
            lines(
                "Media that was agreed and not seen",
                "Share of legs without a packet. High: the mirror shows the telephone system and not the media.",
                "percentunit",
                Query(
                    share(
                        grown('legwatch_legs_ended_total{observed="not-observed"}', "segments"),
                        grown("legwatch_legs_ended_total", "segments"),
                    ),
                    "{{segments}}",
                ),
            ),
            states(
                "Interface up",
                "When the interface was up and packets were taken from it.",
                "short",
                Query("min by (instance) (legwatch_capture_up)", "{{instance}}"),
                ONE_IS_GOOD,
            ),
            states(
                "Blind",
                "When the sensor said that it was blind, and why: what it said of calls then has gaps.",
                "short",
                Query('sum by (reason) (legwatch_condition{level="blind"})', "{{reason}}"),
                NONE_IS_GOOD,
            ),
            states(
                "Degraded",
                "When something was not as it should be, and what.",
                "short",
                Query('sum by (reason) (legwatch_condition{level="degraded"})', "{{reason}}"),
                NONE_IS_GOOD,
            ),
            states(
                "What the sensor says of itself",
                "When its own findings were open.",
                "short",
                Query('sum by (code) (legwatch_findings{state="open",code=~"sensor-.+"})', "{{code}}"),
                NONE_IS_GOOD,
            ),
        ],
    )


def _mirror() -> Section:
    one, both = "legwatch_media_flows_one_way_total", "legwatch_media_flows_both_ways_total"
    return Section(
        "Mirror",
        [
            lines(
                "Link",
                "Times that an interface went down, or away. What it did not take meanwhile, the calls show.",
                "short",
                Query(grown("legwatch_link_losses_total", "instance"), "{{instance}}"),
            ),
            lines(
                "Directions of media",
                "Media flows by whether both directions were seen when they had 100 packets.",
                "cps",
                Query(rate(one), "one way"),
                Query(rate(both), "both ways"),
            ),
            lines(
                "Shares of packets",
                "Twice: copies that the mirror made. Cut: less was captured than there was. Thresholds of the findings "
                "are 5 % and 1 %.",
                "percentunit",
                Query(share(rate("legwatch_duplicate_packets_total"), rate(RECEIVED)), "twice"),
                Query(share(rate("legwatch_truncated_packets_total"), rate(RECEIVED)), "cut"),
            ),
            lines(
                "Not followed, by reason",
                "Sound packets of kinds that the sensor does not follow. ARP and the like are no loss; macsec, mpls "
                "and tunnels are.",
                "pps",
                Query(rate("legwatch_ignored_packets_total", "reason"), "{{reason}}"),
            ),
            lines(
                "Malformed, by reason",
                "Packets whose bytes contradict themselves or end too early.",
                "pps",
                Query(rate("legwatch_malformed_packets_total", "reason"), "{{reason}}"),
            ),
            lines(
                "IP fragments",
                "Datagrams put together, and those that were not.",
                "cps",
                Query(rate("legwatch_reassembled_datagrams_total"), "put together"),
                Query(rate("legwatch_refused_datagrams_total"), "refused"),
                Query(rate("legwatch_expired_datagrams_total"), "a part never came"),
                Query(rate("legwatch_evicted_datagrams_total"), "made room"),
            ),
            lines(
                "Gaps",
                "Media packets that the mirror lost: many streams lack them at once, or their receivers have them.",
                "pps",
                Query(rate("legwatch_common_gaps_total"), "in many streams at once"),
                Query(rate("legwatch_unreported_gaps_total"), "receivers have them"),
            ),
        ],
    )


def _loss() -> Section:
    return Section(
        "Loss and overload",
        [
            lines(
                "Lost packets and records",
                "Dropped by the kernel, shed by the core, lost on the way to the analysis. All ought to be 0.",
                "cps",
                Query(rate("legwatch_kernel_dropped_packets_total"), "dropped by the kernel"),
                Query(rate("legwatch_shed_packets_total", "reason"), "shed: {{reason}}"),
                Query(rate("legwatch_lost_records_total"), "records lost"),
            ),
            states(
                "Overload",
                "When something was left out: stage 1 jitter, 2 looks at media with a verdict, 3 media of new flows.",
                "short",
                Query("max by (instance) (legwatch_overload_stage)", "{{instance}}"),
                STAGES,
                12,
            ),
            lines(
                "Left out under overload",
                "Packets whose jitter was not followed, and looks at media that were not taken.",
                "cps",
                Query(rate("legwatch_overload_unmeasured_packets_total"), "packets without jitter"),
                Query(rate("legwatch_overload_omitted_looks_total"), "looks"),
            ),
            lines(
                "TCP",
                "Octets of TCP that were never seen or found no room, of signalling and of other conversations.",
                "Bps",
                Query(rate("legwatch_reassembly_lost_octets_total"), "signalling"),
                Query(rate("legwatch_reassembly_passed_octets_total"), "other"),
            ),
        ],
    )


def _tables() -> Section:
    refused = {
        "streams": "legwatch_streams_refused_total",
        "SIP offers": "legwatch_sip_offers_refused_total",
        "conversations": "legwatch_refused_conversations_total",
        "telephone events": "legwatch_tones_refused_total",
        "asides": "legwatch_asides_refused_total",
        "changes": "legwatch_lost_changes_total",
        "SIP attempts": "legwatch_sip_attempts_left_out_total",
        "call joins": "legwatch_call_joins_refused_total",
        "exposures": "legwatch_exposures_refused_total",
        "findings": "legwatch_findings_refused_total",
        "pairs that may not talk": "legwatch_peers_refused_total",
        "endpoints of the baseline": "legwatch_baseline_refused_total",
    }
    evicted = {
        "hints": "legwatch_hints_replaced_total",
        "conversations": "legwatch_evicted_conversations_total",
        "SIP dialogues": "legwatch_sip_dialogues_evicted_total",
        "endpoints": "legwatch_endpoints_evicted_total",
        "TLS servers": "legwatch_tls_servers_evicted_total",
        "SIP attempts": "legwatch_sip_attempts_evicted_total",
    }
    full = {
        "flows": "legwatch_flows_active",
        "streams": "legwatch_streams_active",
        "SIP dialogues": "legwatch_sip_dialogues_active",
        "hints": "legwatch_hints_active",
        "SIP attempts": "legwatch_sip_attempts_active",
        "endpoints": "legwatch_endpoints_active",
    }
    return Section(
        "Tables",
        [
            lines(
                "In the tables",
                "How full the tables are; `limits` of the configuration has the capacities.",
                "short",
                *(Query(f"sum({metric})", name) for name, metric in full.items()),
                width=8,
            ),
            lines(
                "Found no room",
                "What a full table refused: it is not assessed, or not told.",
                "cps",
                *(Query(rate(metric), name) for name, metric in refused.items()),
                width=8,
            ),
            lines(
                "Made room",
                "What was put out of a full table for something newer.",
                "cps",
                *(Query(rate(metric), name) for name, metric in evicted.items()),
                width=8,
            ),
            lines(
                "TCP waiting",
                "Octets of TCP signalling that wait for what is missing.",
                "bytes",
                Query("sum(legwatch_reassembly_octets)", "waiting"),
                width=24,
            ),
        ],
    )


def _out() -> Section:
    return Section(
        "Events on their way out",
        [
            lines(
                "Delivered and dropped",
                "Events that sinks have taken, and those that are lost.",
                "cps",
                Query(rate("legwatch_sink_delivered_events_total", "sink"), "{{sink}} delivered"),
                Query(rate("legwatch_sink_dropped_events_total", "sink"), "{{sink}} dropped"),
                Query(rate("legwatch_sink_retries_total", "sink"), "{{sink}} tried again"),
                width=8,
            ),
            lines(
                "Waiting",
                "Events that wait for a sink, in memory and on disk.",
                "short",
                Query("sum by (sink) (legwatch_sink_waiting_events)", "{{sink}}"),
                width=8,
            ),
            lines(
                "Since the last delivery",
                "A quiet network has few events: long is bad only where events wait.",
                "s",
                Query("time() - max by (sink) (legwatch_sink_last_delivery_timestamp_seconds > 0)", "{{sink}}"),
                width=8,
            ),
        ],
    )


def _self() -> Section:
    return Section(
        "The sensor itself",
        [
            single(
                "Configuration in use for",
                "Since the configuration in use was taken; of several sensors the newest.",
                "s",
                "time() - max(legwatch_config_last_reload_success_timestamp_seconds)",
                PLAIN,
            ),
            single(
                "Clock set",
                "Times that a clock was set within the time shown.",
                "short",
                grown("legwatch_clock_steps_total", over="$__range"),
                NONE_IS_GOOD,
            ),
            single(
                "State errors",
                "Times within the time shown that the state directory could not be read or written.",
                "short",
                grown("legwatch_state_errors_total", over="$__range"),
                NONE_IS_GOOD,
            ),
            single("Series", "Series of the largest scrape; at most 1,500.", "short", "max(scrape_samples_scraped)"),
            single("Scrape", "How long the slowest scrape takes.", "s", "max(scrape_duration_seconds)"),
            single(
                "Certificate of the endpoint",
                "Times within the time shown that changed certificate files of the endpoint could not be used.",
                "short",
                grown("legwatch_http_certificate_failures_total", over="$__range"),
                NONE_IS_GOOD,
            ),
            lines(
                "Requests to the endpoint",
                "By outcome. Refused ones are somebody who may not ask.",
                "reqps",
                Query(rate("legwatch_http_requests_total", "outcome"), "{{outcome}}"),
            ),
            lines(
                "Evidence",
                "Packets whose headers were kept as evidence, files, and what could not be taken.",
                "cps",
                Query(rate("legwatch_evidence_packets_total"), "packets kept"),
                Query(rate("legwatch_evidence_files_total"), "files begun"),
                Query(rate("legwatch_evidence_refused_packets_total"), "packets refused"),
                Query(rate("legwatch_evidence_left_out_findings_total"), "findings left out"),
                Query(rate("legwatch_evidence_errors_total"), "errors"),
            ),
        ],
    )


def _ledger() -> Section:
    return Section(
        "Ledger",
        [
            single("On disk", "What the ledgers take of their disks.", "bytes", "sum(legwatch_ledger_size_octets)"),
            single(
                "Room", "Time until the first one has none, by its growth.", "s", "min(legwatch_ledger_room_seconds)"
            ),
            single(
                "Signed",
                "When the one that waits for longest was signed last.",
                "dateTimeAsIso",
                "min(legwatch_ledger_last_checkpoint_timestamp_seconds > 0) * 1000",
            ),
            lines(
                "Entries",
                "Entries that were written, those that found no room, and times that nothing could be written.",
                "cps",
                Query(rate("legwatch_ledger_entries_total"), "written"),
                Query(rate("legwatch_ledger_lost_entries_total"), "lost"),
                Query(rate("legwatch_ledger_errors_total"), "errors"),
            ),
            lines(
                "Octets of entries",
                "Before they are compressed.",
                "Bps",
                Query(rate("legwatch_ledger_octets_total"), "written"),
            ),
        ],
    )
