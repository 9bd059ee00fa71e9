"""The command line: what can be asked, and how mistakes are answered."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sensor.commands import OperatorError, __version__
from sensor.model import SEVERITIES, WORSE

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 and the signal, as shells say it
EXIT_BROKEN_PIPE = 141
_CAPTURING = ("run", "doctor")  # what begins with rights that it must not keep
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class _Parser(argparse.ArgumentParser):
    """Answers wrong use in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_ERROR, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 well, 1 something was found, 2 the operator must act."""
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a sign that a terminal lacks is no reason to say nothing
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        args = parser().parse_args(argv)
        if args.module in _CAPTURING:
            _give_up_rights(args.user)
        # A command and all that it needs is loaded only when asked for: `scan` must not pay for the server of `run`.
        status: int = importlib.import_module(f"sensor.commands.{args.module}").execute(args)
        sys.stdout.flush()
    except OperatorError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EXIT_ERROR
    except SystemExit as exit_:  # argparse ends so, after --help as after wrong use
        return exit_.code if isinstance(exit_.code, int) else EXIT_ERROR
    except BrokenPipeError:
        # The reader (`head`, `less`) has seen enough. What is still buffered has nowhere to go, not even at exit.
        _drop_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _drop_output()
        print(f"standard output: {error.strerror}", file=sys.stderr)  # noqa: T201
        return EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return status


def _give_up_rights(user: str) -> None:
    """Go on without any, in a process that was executed anew; with packet sockets, if there was the right to them."""
    from sensor.launch import LaunchError, give_up_rights  # noqa: PLC0415  (nobody else needs it)

    try:
        give_up_rights(user)
    except (LaunchError, OSError) as error:
        raise OperatorError(str(error)) from None


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """Return what the command line may be; manual page and completions are made from it."""
    parser = _Parser(
        prog="legwatch",
        description="Says for every VoIP call leg whether media and signalling are really encrypted, from the packets.",
    )
    parser.add_argument("--version", action="version", version=f"legwatch {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    run = commands.add_parser("run", help="watch an interface", description="Watch an interface until told to stop.")
    run.set_defaults(module="run")
    _add_interface(run, "interface that gets the mirrored traffic")
    run.add_argument("--config", metavar="FILE", help="policy and settings (YAML); read again on SIGHUP")
    run.add_argument("--listen", metavar="HOST:PORT", help="where metrics are served (default 127.0.0.1:9767)")
    run.add_argument("--filter", metavar="BPF", help="take only these packets, as tcpdump writes it")
    _add_user(run)
    _add_reveal(run)

    scan = commands.add_parser(
        "scan",
        help="read capture files",
        description="Read capture files and say what is on them. "
        "Exit status: 0 nothing found at or above --fail-on, 1 something found, 2 wrong use or an unreadable file.",
    )
    scan.set_defaults(module="scan")
    scan.add_argument("captures", nargs="+", metavar="CAPTURE", help="pcap or pcapng file")
    scan.add_argument("--json", action="store_true", help="one JSON object a line (docs/OUTPUT.md)")
    scan.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        default="high",
        help="exit with 1 when a finding is at least this severe (default: high)",
    )
    scan.add_argument(
        "--report",
        metavar="FILE",
        help="write a report, too: FILE ends with .pdf, .html, .json or .csv (docs/REPORT.md)",
    )
    scan.add_argument("--config", metavar="FILE", help="policy and settings (YAML)")
    _add_reveal(scan)

    _add_explain(commands)

    probe = commands.add_parser(
        "probe",
        help="judge the certificate of a TLS server by asking it",
        description="Make one TLS handshake with each server and judge it like those seen on the wire: TLS 1.3 hides "
        "certificates from a sensor. Exit status as with scan.",
    )
    probe.set_defaults(module="probe")
    probe.add_argument("servers", nargs="+", metavar="HOST:PORT", help="server of SIP over TLS; port 5061 without one")
    probe.add_argument("--json", action="store_true", help="one JSON object a line (docs/OUTPUT.md)")
    probe.add_argument("--fail-on", choices=SEVERITIES, default="high", help="as with scan")
    probe.add_argument("--config", metavar="FILE", help="policy and settings (YAML)")

    check = commands.add_parser(
        "check-config",
        help="check configuration files",
        description="Say all that is wrong with configuration files, or print what each comes to, defaults included. "
        "Exit status: 0 all is well, 1 something in a file is over or has no effect, 2 wrong use or a wrong file.",
    )
    check.set_defaults(module="check_config")
    check.add_argument("files", nargs="*", metavar="FILE")
    check.add_argument("--schema", action="store_true", help="print the JSON Schema of a configuration, for editors")

    _add_explain_policy(commands)
    _add_report(commands)
    _add_compare(commands)

    doctor = commands.add_parser(
        "doctor",
        help="say what a mirror port shows, and what is wrong with it",
        description="Watch an interface for some seconds and say what the mirror shows, what is missing and what to "
        "change. Exit status: 0 all is well, 1 something is wrong with the mirror.",
    )
    doctor.set_defaults(module="doctor")
    _add_interface(doctor, "interface to look at")
    doctor.add_argument("--seconds", type=_count, default=10, metavar="N", help="how long (default: 10)")
    doctor.add_argument("--config", metavar="FILE", help="settings of the capture (YAML)")
    _add_user(doctor)

    _add_baseline(commands)
    _add_ledger(commands)
    _add_watching(commands)
    _add_selftest(commands)

    interfaces = commands.add_parser(
        "interfaces", help="list the interfaces to watch", description="List the interfaces that can be watched."
    )
    interfaces.set_defaults(module="interfaces")
    return parser


def _add_explain(commands: argparse._SubParsersAction[_Parser]) -> None:
    explain = commands.add_parser(
        "explain",
        help="show how the evidence for a verdict grew",
        description="Show packet by packet how the evidence for the verdict on a flow grew; "
        "without --flow, list the media flows of the capture.",
    )
    explain.set_defaults(module="explain")
    explain.add_argument("capture", metavar="CAPTURE", help="pcap or pcapng file")
    explain.add_argument("--flow", type=_count, metavar="N", help="the flow's id, as scan --json has it")
    explain.add_argument("--stream", type=_ssrc, metavar="SSRC", help="only this stream of the flow")
    explain.add_argument(
        "--packets", type=_count, default=60, metavar="M", help="how many packets of a stream are shown (default: 60)"
    )
    explain.add_argument("--svg", metavar="FILE", help="write the evidence as a plot into this file, too")
    explain.add_argument("--config", metavar="FILE", help="settings, where scan was given some (YAML)")


def _add_explain_policy(commands: argparse._SubParsersAction[_Parser]) -> None:
    policy = commands.add_parser(
        "explain-policy",
        help="say what rule applies between two addresses, and why",
        description="Say in words what the policy asks for between two addresses, and which line of it says so.",
    )
    policy.set_defaults(module="explain_policy")
    policy.add_argument("a", metavar="A", help="an IP address")
    policy.add_argument("b", metavar="B", help="another one")
    policy.add_argument("--vlan", type=_vlan, metavar="N", help="the VLAN in which they are seen")
    policy.add_argument("--interface", default="", metavar="IFACE", help="the interface on which they are seen")
    policy.add_argument("--config", metavar="FILE", help="policy (YAML); without it the default one")
    policy.add_argument("--json", action="store_true", help="one JSON object, in place of words")


def _add_report(commands: argparse._SubParsersAction[_Parser]) -> None:
    report = commands.add_parser(
        "report",
        help="say what a period's evidence supports, contradicts and cannot show",
        description="Make a report on a period from the ledger (docs/REPORT.md). "
        "Exit status: 0 it is made, 1 it is made and the ledger does not verify, 2 wrong use or no ledger.",
    )
    report.set_defaults(module="report")
    report.add_argument(
        "--from", dest="first", required=True, metavar="DAY", help="first day, or time, in UTC: 2026-03-01"
    )
    report.add_argument(
        "--to", dest="last", required=True, metavar="DAY", help="last day, or time at which it ends, in UTC"
    )
    report.add_argument(
        "--profile",
        choices=("current-rule", "nprm-2025"),
        default="current-rule",
        help="the rule in force (default), or the proposal of January 2025, which is not law",
    )
    report.add_argument(
        "--since",
        metavar="FILE",
        help="the last report, as .json, to say what changed (default: as long a time before, from the same ledger)",
    )
    report.add_argument("--format", choices=("pdf", "html", "json", "csv"), help="default: as -o ends, else pdf")
    report.add_argument("--ledger", metavar="DIR", help="the ledger (default: as in the configuration)")
    report.add_argument("--key", metavar="PUB", help="public key of the ledger, or a file with it: verify it first")
    report.add_argument("--config", metavar="FILE", help="policy and settings (YAML)")
    report.add_argument("-o", "--output", metavar="FILE", help='where the report goes; "-" is standard output')


def _add_compare(commands: argparse._SubParsersAction[_Parser]) -> None:
    compare = commands.add_parser(
        "compare",
        help="say what got better and what got worse between two reports",
        description="Compare two reports (`legwatch report --format json`, `legwatch scan --report FILE.json`), or two "
        "periods of the ledger. Exit status: 0 nothing got worse, 1 something did, 2 wrong use.",
    )
    compare.set_defaults(module="compare")
    for name, help_ in (("before", "a report, or a period: 2026-03-01..2026-03-31"), ("after", "the later one")):
        compare.add_argument(name, metavar=name.upper(), help=help_)
    compare.add_argument("--json", action="store_true", help="one JSON object, in place of words")
    compare.add_argument("--ledger", metavar="DIR", help="the ledger of periods (default: as in the configuration)")
    compare.add_argument("--key", metavar="PUB", help="public key of the ledger, or a file with it: verify it first")
    compare.add_argument("--config", metavar="FILE", help="policy and settings (YAML)")


def _add_baseline(commands: argparse._SubParsersAction[_Parser]) -> None:
    baseline = commands.add_parser(
        "baseline",
        help="see, set and mend what endpoints are held against",
        description="The baseline has how each endpoint was protected; what is new or has got worse is a finding. "
        "show: print it. set: make what captures show the baseline, in place of what was learned. hold: learn no "
        "longer. relearn: begin anew. accept: take what these endpoints show next as right.",
    )
    baseline.set_defaults(module="baseline")
    baseline.add_argument("action", choices=("show", "set", "hold", "relearn", "accept"))
    baseline.add_argument("names", nargs="*", metavar="CAPTURE|ADDRESS", help="captures to set, addresses to accept")
    baseline.add_argument("--state", metavar="DIR", help="state directory (default: as in the configuration)")
    baseline.add_argument("--config", metavar="FILE", help="policy and settings (YAML)")
    baseline.add_argument("--json", action="store_true", help="show: one JSON object a line")


def _add_ledger(commands: argparse._SubParsersAction[_Parser]) -> None:
    ledger = commands.add_parser(
        "ledger",
        help="verify and read what the sensor has recorded",
        description="The ledger has what the sensor saw, said and could not see, as entries that cannot be changed "
        "unnoticed (docs/LEDGER.md).",
    )
    actions = ledger.add_subparsers(required=True, metavar="ACTION", title="actions")

    verify = actions.add_parser(
        "verify",
        help="say whether it is what was signed",
        description="Verify a ledger, or segments of one. "
        "Exit status: 0 it verifies, 1 it does not: the first entry that does not fit is named, 2 wrong use.",
    )
    verify.set_defaults(module="ledger", action="verify", ledger=None)
    verify.add_argument("places", nargs="*", metavar="DIR|SEGMENT", help="default: as in the configuration")
    verify.add_argument("--witness", nargs="+", default=[], metavar="NOTE", help="checkpoints that were kept elsewhere")
    verify.add_argument("--tsa-ca", metavar="FILE", help="who has to have signed time stamps, in PEM")
    verify.add_argument("--json", action="store_true", help="one JSON object, in place of words")
    check = actions.add_parser(
        "check",
        help="verify a proof",
        description="Verify a file that `prove` made. Exit status: 0 it proves it, 1 it does not, 2 wrong use.",
    )
    check.set_defaults(module="ledger_proofs", action="check")
    check.add_argument("proof", metavar="FILE")
    for parser in (verify, check):
        parser.add_argument(
            "--key", action="append", required=True, metavar="PUB", help="a public key of the ledger, or a file with it"
        )
    prove = actions.add_parser(
        "prove",
        help="print a proof that can be verified alone",
        description="Print the proof that an entry is in the ledger, or that the ledger goes on from a checkpoint.",
    )
    prove.set_defaults(module="ledger_proofs", action="prove")
    what = prove.add_mutually_exclusive_group(required=True)
    what.add_argument("entry", nargs="?", type=_entry, metavar="N", help="the number of an entry")
    what.add_argument("--consistency", metavar="NOTE", help="a checkpoint of before, in a file")

    query = actions.add_parser(
        "query",
        help="find entries",
        description="Print the entries that have all that is asked for. Nothing is verified.",
    )
    query.set_defaults(action="query")
    query.add_argument("--segment", metavar="NAME", help="of the network")
    query.add_argument("--code", metavar="CODE", help="of a finding")
    query.add_argument("--verdict", metavar="STATE", choices=tuple(WORSE), help=", ".join(WORSE))
    query.add_argument("--endpoint", metavar="HOST", help="an address, or the pseudonym that the ledger has for it")
    query.add_argument("--format", choices=("table", "json", "csv"), default="table", help="default: table")
    query.add_argument("--limit", type=_count, metavar="N", help="no more than the first N")
    query.add_argument(
        "--index", metavar="FILE", help="where is kept which day has what (default: in ~/.cache/legwatch)"
    )
    export = actions.add_parser(
        "export",
        help="print all entries of a time",
        description="Print all entries of a time as JSON Lines, with their numbers as `n`, or those of a kind as CSV.",
    )
    export.set_defaults(action="export")
    export.add_argument("--format", choices=("json", "csv"), default="json", help="default: json")
    for parser in (query, export):
        parser.set_defaults(module="ledger_query")
        parser.add_argument("--from", dest="first", metavar="DAY", help="first day, or time, in UTC: 2026-03-01")
        parser.add_argument("--to", dest="last", metavar="DAY", help="last day, included, or time, in UTC")
        parser.add_argument("--kind", metavar="KIND", help="of entries: leg, finding, coverage, …")

    checkpoint = actions.add_parser(
        "checkpoint",
        help="print the newest checkpoint",
        description="Print the newest checkpoint. Keep it where the sensor cannot write: it is a witness.",
    )
    checkpoint.set_defaults(module="ledger", action="checkpoint")
    keys = actions.add_parser(
        "keys",
        help="print its public keys",
        description="Print the public keys that the ledger says it had, the newest last. Compare them with what you "
        "know from elsewhere: a ledger cannot vouch for itself.",
    )
    keys.set_defaults(module="ledger", action="keys")
    stamp = actions.add_parser(
        "stamp",
        help="have notes time-stamped",
        description="Ask a time-stamping authority (RFC 3161) for a stamp of each note that has none.",
    )
    stamp.set_defaults(module="ledger_stamp")
    stamp.add_argument("--tsa", required=True, metavar="URL", help="the authority")
    stamp.add_argument("--ca", metavar="FILE", help="who has to have signed its stamps, in PEM")
    new_key = actions.add_parser(
        "new-key",
        help="make a key to sign with",
        description="Make a private key, which only its owner can read, and print its public key if there is a ledger "
        "or --origin. A file that is there is never written over.",
    )
    new_key.set_defaults(module="ledger", action="new-key")
    new_key.add_argument("file", metavar="FILE")
    new_key.add_argument("--origin", metavar="NAME", help="the ledger that it is for (default: the one there is)")
    for parser in (prove, query, export, checkpoint, keys, stamp, new_key):
        parser.add_argument("--ledger", metavar="DIR", help="the ledger (default: as in the configuration)")
    for parser in (verify, prove, query, export, checkpoint, keys, stamp, new_key):
        parser.add_argument("--config", metavar="FILE", help="settings (YAML)")


def _add_watching(commands: argparse._SubParsersAction[_Parser]) -> None:
    status = commands.add_parser(
        "status",
        help="say how the running sensor is",
        description="Ask the running sensor how it is. "
        "Exit status: 0 it sees, 1 it is blind, 2 there is none or it may not be asked.",
    )
    status.set_defaults(module="status")
    status.add_argument("--json", action="store_true", help="one JSON object (docs/schema/status.schema.json)")
    top = commands.add_parser(
        "top",
        help="watch the running sensor",
        description="Show how the running sensor is, as it changes: legs, findings, the mirror, rates. q quits.",
    )
    top.set_defaults(module="top")
    for parser in (status, top):
        where = parser.add_mutually_exclusive_group()
        where.add_argument("-i", "--interface", type=_interface, metavar="IFACE", help="the instance that watches this")
        where.add_argument("--socket", metavar="PATH", help="its socket (default: /run/legwatch/status.sock)")


def _add_selftest(commands: argparse._SubParsersAction[_Parser]) -> None:
    selftest = commands.add_parser(
        "selftest",
        help="say whether all parts of the sensor work",
        description="Replay a small capture through all of the sensor and say, stage by stage, what came out of it, "
        "and at which stage data stops. Nothing is captured and nobody is told anything. "
        "Exit status: 0 all is well, 1 something is not.",
    )
    selftest.set_defaults(module="selftest")
    selftest.add_argument(
        "--config", metavar="FILE", help="try the directories and sinks of a configuration, too (YAML)"
    )


def _count(text: str) -> int:
    return _number(text, 1, "a number from 1 on")


def _entry(text: str) -> int:
    return _number(text, 0, "the number of an entry", 1 << 53)


def _vlan(text: str) -> int:
    return _number(text, 1, "a VLAN, 1 to 4094", 4094)


def _ssrc(text: str) -> int:
    return _number(text, 0, "an SSRC: 32 bits, as in 0x1b598f6f")


def _number(text: str, least: int, what: str, most: int = (1 << 32) - 1) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text} is not {what}")
    return number


def _add_interface(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("-i", "--interface", required=True, type=_interface, metavar="IFACE", help=text)


def _interface(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("no interface is named; `legwatch interfaces` lists them")
    return text


def _add_user(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user",
        default="legwatch",
        help="started by root: the user to become, without any capability (default: legwatch)",
    )


def _add_reveal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reveal-identities",
        action="store_true",
        help="show telephone numbers and Call-IDs as they are, not as pseudonyms",
    )
