"""The map of the demo's calls: what changes in it is looked at by somebody."""

import json
import os
from pathlib import Path

from sensor.cli import main
from sensor.report.callmap import draw
from tests.pictures import assert_readable

ROOT = Path(__file__).parents[2]
DRAWN = Path(__file__).parent / "clinic-callmap.svg"


def test_map_of_the_demo_is_as_it_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    main(["scan", str(ROOT / "deploy/demo/clinic.pcap"), "--report", str(path)])
    report = json.loads(path.read_text())
    svg = draw(report["paths"], report["segments"])
    assert_readable(svg)
    if os.environ.get("LEGWATCH_REDRAW"):
        DRAWN.write_text(svg)
    assert svg == DRAWN.read_text(), "look at the new one: LEGWATCH_REDRAW=1 writes it into tests/golden"
