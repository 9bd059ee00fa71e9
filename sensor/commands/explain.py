"""``legwatch explain``: how the evidence for the verdict on one flow of a capture grew."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from pathlib import Path

from fastpath.engine import thresholds
from fastpath.records import FlowEnded
from fastpath.source import OfflineSource
from sensor.commands import OperatorError, configuration
from sensor.commands.pipeline import Pipeline
from sensor.commands.reading import batches, open_source, say_how_it_ended
from sensor.output.evidence import Explanation, Thresholds, Trail, print_explanation, print_flows
from sensor.output.svg import draw

_MEDIA = "rtp"


def execute(args: Namespace) -> int:
    """Print the evidence of ``--flow``, or the media flows there are; 2 when the capture is damaged."""
    if args.flow is None and (args.svg or args.stream is not None):
        raise OperatorError("--svg and --stream are of one flow: say which by --flow")
    pipeline = Pipeline(configuration(args.config))
    source = open_source(args.capture)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if args.flow is None:
        print_flows(_media_flows(args.capture, source, pipeline), sys.stdout)
    else:
        explanation = _explain(args, source, pipeline)
        if args.svg:
            _write(args.svg, draw(explanation))
        print_explanation(explanation, sys.stdout)
    say_how_it_ended(args.capture, source)
    return 2 if source.error else 0


def _media_flows(path: str, source: OfflineSource, pipeline: Pipeline) -> list[FlowEnded]:
    flows = [
        record
        for records in batches(path, source, pipeline.engine())
        for record in records
        if isinstance(record, FlowEnded) and record.app == _MEDIA
    ]
    return sorted(flows, key=lambda flow: flow.flow)


def _explain(args: Namespace, source: OfflineSource, pipeline: Pipeline) -> Explanation:
    trail = Trail(args.flow, args.packets)
    for records in batches(args.capture, source, pipeline.engine(trace_flow=args.flow)):
        for record in records:
            trail.take(record)
    flow = trail.flow
    if flow is None or flow.app != _MEDIA:
        what = f"there is no flow {args.flow}" if flow is None else f"flow {args.flow} carries {flow.app}, no media"
        broken = f" ({source.error or source.note}; read up to there)" if source.error or source.truncated else ""
        raise OperatorError(f"{args.capture}: {what}{broken}; without --flow the media flows are listed")
    courses = trail.courses()
    if args.stream is not None:
        courses = [course for course in courses if course.stats.ssrc == args.stream]
        if not courses:
            there = ", ".join(dict.fromkeys(f"0x{stream.ssrc:08x}" for stream in flow.streams))
            raise OperatorError(f"{args.capture}: flow {args.flow} has no stream 0x{args.stream:08x}; it has {there}")
    return Explanation(flow, courses, Thresholds(*thresholds()))


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
