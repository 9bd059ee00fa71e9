"""What the counters of the core, the tables of the analysis and the quality of legs are called as metrics."""

from __future__ import annotations

# Names of Engine.counters() and what they are called here.
PACKET_FAMILIES = {
    "ignored": "Sound packets of kinds that the sensor does not follow, by reason.",
    "malformed": "Packets whose bytes contradict themselves or end too early, by reason.",
    "shed": "Sound packets that found no room, by reason.",
}
ENGINE_COUNTERS = {
    "received": (
        "legwatch_received_packets",
        "Packets that the engine took: classified, ignored, malformed and shed together.",
    ),
    "classified": ("legwatch_classified_packets", "Packets that were given to a flow."),
    "duplicates": ("legwatch_duplicate_packets", "Packets that the mirror gave twice."),
    "truncated": ("legwatch_truncated_packets", "Packets of which less was captured than there was."),
    "media_one_way": (
        "legwatch_media_flows_one_way",
        "Media flows of which one direction was seen when it had 100 packets.",
    ),
    "media_both_ways": ("legwatch_media_flows_both_ways", "Media flows of which both directions were seen by then."),
    "gaps_common": ("legwatch_common_gaps", "Media packets that many streams lacked at once: lost in the mirror."),
    "gaps_unreported": (
        "legwatch_unreported_gaps",
        "Media packets that are missing here and that their receivers have, by RTCP: lost in the mirror.",
    ),
    "streams_unreported": ("legwatch_streams_with_unreported_gaps", "Media streams with at least five of these."),
    "overload_statistics": (
        "legwatch_overload_unmeasured_packets",
        "Media packets whose jitter was not followed under overload.",
    ),
    "overload_looks": (
        "legwatch_overload_omitted_looks",
        "Looks at media with a verdict that were left out under overload.",
    ),
    "octets": ("legwatch_received_octets", "Octets of the received packets, on the wire."),
    "flows_begun": ("legwatch_flows_begun", "Flows that were put into the table."),
    "streams_begun": ("legwatch_streams_begun", "Media streams that were put into the table."),
    "streams_refused": ("legwatch_streams_refused", "Media streams that found no room in the table."),
    "sip_messages": ("legwatch_sip_messages", "SIP messages that were read."),
    "sip_unreadable": ("legwatch_sip_unreadable_messages", "SIP messages that could not be read."),
    "hints_replaced": (
        "legwatch_hints_replaced",
        "Addresses whose payload types were known from SDP, and that had to make room for others.",
    ),
    "reassembly_lost_bytes": (
        "legwatch_reassembly_lost_octets",
        "Octets of TCP signalling that were never seen or found no room.",
    ),
    "reassembly_passed_bytes": (
        "legwatch_reassembly_passed_octets",
        "Octets of other TCP conversations that were never seen or found no room.",
    ),
    "conversations_refused": ("legwatch_refused_conversations", "TCP and DTLS conversations that found no room."),
    "conversations_evicted": ("legwatch_evicted_conversations", "Conversations that gave nothing and made room."),
    "events_lost": ("legwatch_lost_records", "Records that found no room on their way to the analysis."),
    "dialogs_evicted": ("legwatch_sip_dialogues_evicted", "SIP dialogues that had to make room for others."),
    "offers_refused": ("legwatch_sip_offers_refused", "Offers of SIP dialogues that found no room."),
    "datagrams_reassembled": ("legwatch_reassembled_datagrams", "Datagrams put together from IP fragments."),
    "datagrams_refused": (
        "legwatch_refused_datagrams",
        "Fragmented datagrams that overlapped, were cut or could not be.",
    ),
    "datagrams_expired": ("legwatch_expired_datagrams", "Fragmented datagrams of which a part never came."),
    "datagrams_evicted": ("legwatch_evicted_datagrams", "Fragmented datagrams that had to make room for others."),
    "certificates_unreadable": ("legwatch_unreadable_certificates", "DTLS certificates whose lengths do not fit."),
    "certificates_lost": ("legwatch_lost_certificates", "Fragments of DTLS certificates that found no room."),
    "attempts_left_out": ("legwatch_sip_attempts_left_out", "Refused SIP requests beyond what is told in a second."),
    "tones_refused": ("legwatch_tones_refused", "Short packets of streams whose telephone events found no room."),
    "asides_refused": (
        "legwatch_asides_refused",
        "What flows would have kept beside their record and had no room for.",
    ),
    "changes_lost": ("legwatch_lost_changes", "Changes of protection beyond what a flow's record holds."),
}
ENGINE_GAUGES = {
    "overload_stage": (
        "legwatch_overload_stage",
        "What is left out under overload: 0 nothing, 1 jitter, 2 looks at media with a verdict, 3 media of new flows.",
    ),
    "flows": ("legwatch_flows_active", "Flows in the table."),
    "streams": ("legwatch_streams_active", "Media streams in the table."),
    "dialogs": ("legwatch_sip_dialogues_active", "SIP dialogues in the table, ended ones with stragglers included."),
    "tones": ("legwatch_tones_active", "Media streams with packets that may be telephone events."),
    "hints": ("legwatch_hints_active", "Addresses and ports whose payload types are known from SDP."),
    "reassembly_bytes": ("legwatch_reassembly_octets", "Octets of TCP signalling that wait for what is missing."),
}

# Names of Analysis.tables() and what they are called here.
ANALYSIS_GAUGES = {
    "legs": ("legwatch_legs_active", "Legs that are not over."),
    "calls": ("legwatch_calls_active", "Calls that are not over."),
    "endpoints": ("legwatch_endpoints_active", "Addresses that speak SIP or exchange media."),
    "exposures": ("legwatch_exposures_active", "What pairs of hosts show in clear, by kind and protocol."),
    "tls_servers": ("legwatch_tls_servers_active", "Servers of TLS that carries SIP."),
    "attempts": ("legwatch_sip_attempts_active", "Pairs of hosts and accounts with refused SIP requests."),
    "baseline": ("legwatch_baseline_endpoints", "Endpoints in the baseline."),
    "baseline_learning": ("legwatch_baseline_learning", "1 while what is seen still becomes the baseline."),
}
ANALYSIS_COUNTERS = {
    "joins_refused": ("legwatch_call_joins_refused", "Calls that evidence would have joined to too large ones."),
    "endpoints_evicted": ("legwatch_endpoints_evicted", "Endpoints that had to make room for others."),
    "tls_servers_evicted": ("legwatch_tls_servers_evicted", "TLS servers that had to make room for others."),
    "certificates_unparsed": (
        "legwatch_unparsed_certificates",
        "Certificates of TLS servers that could not be parsed.",
    ),
    "certificates_left_out": ("legwatch_left_out_certificates", "Certificates beyond what is read in a second."),
    "attempts_evicted": ("legwatch_sip_attempts_evicted", "Such pairs and accounts that had to make room for others."),
    "exposures_refused": ("legwatch_exposures_refused", "What pairs of hosts showed and found no room."),
    "findings_refused": ("legwatch_findings_refused", "Findings that found no room at once."),
    "baseline_refused": ("legwatch_baseline_refused", "Endpoints that found no room in the baseline."),
    "peers_refused": (
        "legwatch_peers_refused",
        "Pairs of hosts that may not talk, or call outside, and found no room.",
    ),
}

# Of a leg's worst stream: bounds, and what it is
QUALITY = {
    "legwatch_leg_loss_ratio": (
        (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
        "Share of a leg's packets that did not come.",
    ),
    "legwatch_leg_jitter_seconds": ((0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1), "Interarrival jitter of a leg."),
    "legwatch_leg_delay_seconds": ((0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4), "Delay of a leg one way, by RTCP."),
    "legwatch_leg_mos": ((2.0, 2.6, 3.1, 3.6, 4.0, 4.3), "Opinion score of a leg at best, by ITU-T G.107."),
}

# Fields of a sink's state (sensor.output.metrics.SinkState) and what they are called here
SINK_COUNTERS = {
    "delivered": ("legwatch_sink_delivered_events", "Events that a sink has taken."),
    "dropped": ("legwatch_sink_dropped_events", "Events that a sink refused for good, or that found no room."),
    "retries": ("legwatch_sink_retries", "Attempts that failed and were made again."),
}
SINK_GAUGES = {
    "waiting": ("legwatch_sink_waiting_events", "Events that wait for a sink, in memory and on disk."),
    "up": ("legwatch_sink_up", "1 while the last attempt to reach a sink succeeded."),
    "last_s": ("legwatch_sink_last_delivery_timestamp_seconds", "When a sink took an event last, Unix time; 0: never."),
}
EXTRA_COUNTERS = {
    "suppressed": ("legwatch_alerts_suppressed", "Findings that were told in a summary only."),
    "certificate_failures": (
        "legwatch_http_certificate_failures",
        "Times that changed certificate files of this endpoint could not be used.",
    ),
    "evidence_packets": ("legwatch_evidence_packets", "Packets whose headers were kept as evidence."),
    "evidence_refused": ("legwatch_evidence_refused_packets", "Packets whose headers could not be told for certain."),
    "evidence_files": ("legwatch_evidence_files", "Files of evidence that were begun."),
    "evidence_errors": ("legwatch_evidence_errors", "Times that evidence could not be taken or written."),
    "evidence_overflow": ("legwatch_evidence_left_out_findings", "Findings that found no room on the way to evidence."),
    "state_errors": ("legwatch_state_errors", "Times that the state directory could not be read or written."),
}
# Fields of the ledger's state (sensor.output.metrics.LedgerState) and what they are called here
LEDGER_COUNTERS = {
    "entries": ("legwatch_ledger_entries", "Entries that were written into the ledger."),
    "octets": ("legwatch_ledger_octets", "Octets of these entries, before they are compressed."),
    "lost": ("legwatch_ledger_lost_entries", "Entries that found no room on the way to the ledger."),
    "errors": ("legwatch_ledger_errors", "Times that the ledger could not be written."),
}
LEDGER_GAUGES = {
    "size_octets": ("legwatch_ledger_size_octets", "Octets that the ledger takes of its disk."),
    "room_s": (
        "legwatch_ledger_room_seconds",
        "Time until the ledger has no room, by its growth of late; +Inf: not before its oldest entries go.",
    ),
    "checkpoint_s": (
        "legwatch_ledger_last_checkpoint_timestamp_seconds",
        "When the ledger was signed last, Unix time; 0: not since the start.",
    ),
}
