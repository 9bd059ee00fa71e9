"""Writes the JSON of every dashboard: ``python -m deploy.grafana.make_dashboards``."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import certificates, legs, posture, quality, sensor

FOLDER = Path(__file__).parent / "dashboards"


def generated() -> dict[str, str]:
    """Return what each file of the folder has to hold, by name."""
    made = [module.dashboard().build() for module in (posture, legs, certificates, sensor, quality)]
    return {
        f"{one.uid}.json": json.dumps(one, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        for one in made
    }


if __name__ == "__main__":
    for name, text in generated().items():
        (FOLDER / name).write_text(text)
