"""What the commands that make reports have in common: where a report goes, and in which form."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from fastpath.source import OfflineSource
from sensor.commands import OperatorError
from sensor.config.schema import Config
from sensor.ledger.policy import policy_entry
from sensor.model import Sink
from sensor.report.controls import Profile
from sensor.report.facts import gather
from sensor.report.object import Report, build
from sensor.report.recording import Recording

FORMS = ("pdf", "html", "json", "csv")
DEFAULT_PROFILE: Profile = "current-rule"


class ScanReport:
    """The report of a scan; a mistake in its name is found before anything is read."""

    def __init__(self, path: str, config: Config, host: Callable[[str], str]) -> None:
        self._path, self._config = path, config
        self._form = form_of(path)
        if not Path(path).parent.is_dir():
            raise OperatorError(f"{path}: there is no directory {Path(path).parent}")
        self._sha256: str | None = None  # of the capture that is being read
        self._repeated = False  # it was read before
        veiled = config.privacy.addresses == "pseudonym"
        self.recording = Recording(policy_entry(config.policy, host if veiled else str))

    def sinks(self, path: str) -> tuple[Sink, ...]:
        """Return what is to be told of a capture: nothing, where the same was read before."""
        self._sha256 = _sha256(path)
        self._repeated = self._sha256 is not None and self._sha256 in (each["sha256"] for each in self.recording.files)
        return () if self._repeated else (self.recording,)

    def capture_ended(self, path: str, source: OfflineSource, counters: Mapping[str, int]) -> None:
        """Note what was read of the capture whose sinks were asked for."""
        name = Path(path).name
        if self._sha256 is not None and self._repeated:
            self.recording.capture_repeated(name, self._sha256)
            return
        error = (source.error or source.note) if source.error or source.truncated else ""
        self.recording.capture_ended(name, self._sha256, counters, error)

    def write(self) -> None:
        """Write the report."""
        recording = self.recording
        facts = gather(recording.entries(), *recording.period(), continuous=False)
        source = {"kind": "captures", "site": self._config.site, "files": recording.files}
        write(self._path, rendered(build(facts, profile=DEFAULT_PROFILE, source=source), self._form))


def form_of(path: str) -> str:
    """Return the form that a file's name asks for; OperatorError."""
    form = path.rpartition(".")[2]
    if form not in FORMS:
        raise OperatorError(f"{path}: the name of a report ends with {', '.join(f'.{form}' for form in FORMS)}")
    return form


def rendered(report: Report, form: str) -> bytes:
    """Return a report object in one of its forms; OperatorError where the typesetter fails."""
    octets = (json.dumps(report, ensure_ascii=True, indent=1) + "\n").encode()
    if form == "json":
        return octets
    # Each form is loaded only when it is asked for: a scan without a report pays for none.
    if form == "csv":
        from sensor.report import csv  # noqa: PLC0415

        return csv.render(report)
    from sensor.report.document import document  # noqa: PLC0415

    if form == "html":
        from sensor.report import html  # noqa: PLC0415

        return html.render(document(report), octets)
    from sensor.report import pdf  # noqa: PLC0415

    try:
        return pdf.render(document(report), octets)
    except pdf.TypesettingError as error:
        raise OperatorError(f"no PDF: {error}; the same report as html, json or csv does not need it") from None


def read_report(path: str) -> Report:
    """Return the report object in a file; OperatorError."""
    try:
        report = json.loads(Path(path).read_bytes(), parse_constant=_no_number)
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise OperatorError(f"{path}: is no JSON; `legwatch report --format json` makes what is compared") from None
    if not isinstance(report, dict):
        raise OperatorError(f"{path}: is no report of legwatch")
    return report


def _no_number(constant: str) -> Report:
    """Refuse NaN and the infinities, which Python reads and JSON does not have (RFC 8259 section 6)."""
    raise ValueError(constant)


def write(path: str, octets: bytes) -> None:
    """Write a report, all or nothing; to standard output for "-"; OperatorError.

    A device or a pipe is written to, and what a link leads to is replaced: neither makes room for a file.
    """
    if path == "-":
        sys.stdout.buffer.write(octets)
        return
    target = Path(os.path.realpath(path))
    part: str | None = None
    try:
        if Path(path).exists() and not Path(path).is_file():
            Path(path).write_bytes(octets)
            return
        with tempfile.NamedTemporaryFile(prefix=".legwatch-", dir=target.parent, delete=False) as file:
            part = file.name
            file.write(octets)
            os.fchmod(file.fileno(), 0o666 & ~_umask())
        os.replace(part, target)  # noqa: PTH105
        part = None
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    finally:
        if part is not None:
            with suppress(OSError):
                os.unlink(part)  # noqa: PTH108


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sha256(path: str) -> str | None:
    """Return the digest of a capture file; None of what is no file, and can be read once only."""
    file = Path(path)
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
