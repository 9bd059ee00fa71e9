"""The record beside the tables: what each was trained on, with which encoders, and the digest of the result."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
from typing import TYPE_CHECKING

from benchmarks.media import VARIANTS
from benchmarks.tables.train import sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.tables.layout import Table
    from benchmarks.tables.specs import Spec

# Debian packages that the contents and the encoders come from
PACKAGES = (
    "asterisk-core-sounds-en-g722",
    "asterisk-core-sounds-en-wav",
    "asterisk-core-sounds-es-g722",
    "asterisk-core-sounds-es-wav",
    "asterisk-core-sounds-fr-g722",
    "asterisk-core-sounds-fr-wav",
    "asterisk-core-sounds-it-g722",
    "asterisk-core-sounds-it-wav",
    "asterisk-core-sounds-ru-g722",
    "asterisk-core-sounds-ru-wav",
    "asterisk-moh-opsound-g722",
    "asterisk-moh-opsound-wav",
    "asterisk-prompt-es-co",
    "asterisk-prompt-fr-armelle",
    "asterisk-prompt-it-menardi-wav",
    "espeak-ng",
    "ffmpeg",
    "festival",
    "festvox-czech-dita",
    "festvox-czech-ph",
    "festvox-italp16k",
    "festvox-suopuhe-lj",
    "festvox-us-slt-hts",
    "flite",
    "libbcg729-0",
    "libcodec2-1.0",
    "libgsm1",
    "libopencore-amrnb0",
    "libopus0",
    "libspeex1",
    "libvo-amrwbenc0",
)
WHEELS = ("numpy", "pjsua2-python")


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        found = subprocess.run(
            ["dpkg-query", "-W", "-f=${Version}", package],
            capture_output=True,
            text=True,
            check=False,
        )
        versions[package] = found.stdout if found.returncode == 0 else "absent"
    for wheel in WHEELS:
        try:
            versions[f"{wheel} (PyPI)"] = importlib.metadata.version(wheel)
        except importlib.metadata.PackageNotFoundError:
            versions[f"{wheel} (PyPI)"] = "absent"
    return versions


def manifest(specs: Sequence[Spec], tables: Sequence[Table], packed: bytes) -> bytes:
    """Return the manifest as JSON: digest, versions, and for each table its training media and what it weighs."""
    encoders = {variant.name: variant.encoder for variant in VARIANTS}
    entries = []
    for spec, table in zip(specs, tables, strict=True):
        trained = list(sources(spec, "train"))
        entries.append(
            {
                "name": spec.name,
                "payload_type": spec.payload_type,
                "octets": int(table.entries.size),
                "drift_bits": table.drift / 32,
                "prior": table.prior,
                "veto": table.veto,
                "aim": spec.aim,
                "variants": {name: encoders[name] for name in spec.variants},
                "contents": sorted({stream.content.name for stream in trained}),
                "streams": len(trained),
            }
        )
    document = {
        "tables.bin": {"octets": len(packed), "sha256": hashlib.sha256(packed).hexdigest(), "count": len(tables)},
        "packages": _versions(),
        "tables": entries,
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"
