"""What may import what, and what pure code must not touch: the architecture as a table."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("sensor", "fastpath")
    for path in sorted((ROOT / package).rglob("*.py"))
}

SEAM = ("fastpath.records", "sensor.model")
# Package or module: what of the project it may import. The longest matching name rules and covers what is in it.
MAY_IMPORT = {
    "fastpath": {"fastpath"},
    "fastpath.records": set[str](),
    "sensor.model": {"fastpath.records"},
    "sensor.identities": set[str](),
    "sensor.beside": set[str](),
    "sensor.findings": {"sensor.model"},
    "sensor.policy.catalogue": {"sensor.model"},
    "sensor.config": {
        "sensor.config",
        "sensor.model",
        "sensor.policy.catalogue",
        "sensor.policy.suites",
        "sensor.policy.tls_suites",
    },
    "sensor.policy.suites": set[str](),
    "sensor.policy": {*SEAM, "sensor.config.network", "sensor.config.schema", "sensor.findings", "sensor.policy"},
    "sensor.policy.tls_suites": set[str](),
    "sensor.tls": {*SEAM, "sensor.config.schema", "sensor.findings", "sensor.policy", "sensor.tls"},
    "sensor.signalling": {*SEAM, "sensor.config.schema", "sensor.findings", "sensor.policy", "sensor.signalling"},
    "sensor.calls": {
        *SEAM,
        "sensor.config.schema",
        "sensor.findings",
        "sensor.policy",
        "sensor.signalling",
        "sensor.calls",
    },
    "sensor.readiness": {"sensor.policy.health", "sensor.recent"},
    "sensor.recent": set[str](),
    "sensor.health": {*SEAM, "sensor.config.schema", "sensor.findings", "sensor.policy"},
    "sensor.analysis": {
        *SEAM,
        "sensor.config.schema",
        "sensor.findings",
        "sensor.health",
        "sensor.network",
        "sensor.policy",
        "sensor.signalling",
        "sensor.calls",
        "sensor.tls",
    },
    "sensor.network": {
        *SEAM,
        "sensor.config.network",
        "sensor.config.schema",
        "sensor.findings",
        "sensor.network",
        "sensor.policy",
    },
    "sensor.capture": {"fastpath", "sensor.capture"},
    "sensor.output": {
        "fastpath.__version__",
        *SEAM,
        "sensor.alerts.event",
        "sensor.calls.unprotected",
        "sensor.config.network",
        "sensor.config.schema",
        "sensor.config.server_tls",
        "sensor.config.web_config",
        "sensor.findings",
        "sensor.identities",
        "sensor.output",
        "sensor.policy.catalogue",
        "sensor.policy.health",
        "sensor.readiness",
        "sensor.recent",
    },
    "sensor.trial": set[str](),
    "sensor.selftest": {"sensor.config.network", "sensor.config.schema"},
    "sensor.alerts": {
        "fastpath.__version__",
        "sensor.alerts",
        "sensor.config.files",
        "sensor.config.network",
        "sensor.config.sinks",
        "sensor.config.schema",
        "sensor.findings",
        "sensor.model",
        "sensor.output.jsonl",
        "sensor.policy.catalogue",
        "sensor.policy.claims",
        "sensor.trial",
    },
    "sensor.alerts.mappings": {"fastpath.__version__", "sensor.alerts.event", "sensor.alerts.mappings", "sensor.model"},
    "sensor.state": {"sensor.beside", "sensor.identities", "sensor.model", "sensor.network.baseline", "sensor.state"},
    "sensor.state.findings": {"sensor.alerts", "sensor.findings", "sensor.model"},
    "sensor.state.outbox": {
        "sensor.alerts",
        "sensor.findings",
        "sensor.model",
        "sensor.state.directory",
        "sensor.state.findings",
    },
    "sensor.ledger": {"sensor.beside", "sensor.ledger"},
    "sensor.ledger.entries": {*SEAM},
    "sensor.ledger.sink": {*SEAM, "sensor.ledger.entries"},
    "sensor.ledger.coverage": {"sensor.ledger.entries", "sensor.readiness", "sensor.recent"},
    "sensor.ledger.policy": {"sensor.config.network", "sensor.config.schema", "sensor.ledger.entries"},
    "sensor.report": {
        "fastpath.__version__",
        *SEAM,
        "sensor.ledger.entries",
        "sensor.ledger.sink",
        "sensor.output.drawing",
        "sensor.output.jsonl",
        "sensor.output.signs",
        "sensor.policy.catalogue",
        "sensor.report",
    },
    "sensor.launch": set[str](),
    "sensor.confine": {
        "sensor.config.files",
        "sensor.config.schema",
        "sensor.config.sinks",
        "sensor.confine",
        "sensor.launch",
    },
    "sensor.evidence": {*SEAM, "sensor.capture", "sensor.config.schema", "sensor.evidence", "sensor.trial"},
    "sensor.evidence.headers": {"sensor.capture.linktypes"},
    "sensor.evidence.pairs": set[str](),
    "sensor.evidence.streams": {"sensor.evidence.headers"},
    "sensor.commands": {"fastpath", "sensor"},
    "sensor.cli": {"fastpath.__version__", "sensor.commands", "sensor.launch", "sensor.model"},
    "sensor.__main__": {"sensor.cli"},
    "sensor": set[str](),
}

# Pure functions of records, configuration and packet time: no clock, no network, no log, no thread.
PURE = (
    "sensor.model",
    "sensor.signalling",
    "sensor.calls",
    "sensor.tls",
    "sensor.network",
    "sensor.policy",
    "sensor.findings",
    "sensor.health",
    "sensor.readiness",
    "sensor.recent",
    "sensor.analysis",
    "sensor.evidence.headers",
    "sensor.evidence.pairs",
    "sensor.evidence.streams",
    "sensor.alerts.event",
    "sensor.alerts.mappings",
    "sensor.report.blocks",
    "sensor.report.bundles",
    "sensor.report.callmap",
    "sensor.report.charts",
    "sensor.report.chapters",
    "sensor.report.compare",
    "sensor.report.controls",
    "sensor.report.csv",
    "sensor.report.document",
    "sensor.report.facts",
    "sensor.report.given",
    "sensor.report.html",
    "sensor.report.object",
    "sensor.report.palette",
    "sensor.report.recording",
    "sensor.report.words",
    "sensor.ledger.policy",
    "sensor.ledger.sink",
    "sensor.ledger.coverage",
    "sensor.ledger.entries",
    "sensor.ledger.canonical",
    "sensor.ledger.merkle",
    "sensor.ledger.note",
    "sensor.ledger.keys",
)
IMPURE_MODULES = {
    "asyncio", "http", "logging", "os", "prometheus_client", "random", "rich", "secrets", "select", "selectors",
    "signal", "socket", "structlog", "subprocess", "threading", "time", "urllib", "uuid",
}  # fmt: skip
CLOCK_CALLS = {"now", "utcnow", "today"}

MUTABLE_CALLS = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"}
MUTATORS = {"append", "add", "update", "setdefault", "pop", "popitem", "clear", "extend", "insert", "remove", "discard"}


def within(module: str, package: str) -> bool:
    """Whether ``module`` is ``package`` or in it."""
    return module == package or module.startswith(f"{package}.")


def imports(tree: ast.Module) -> Iterator[str]:
    """Everything that a tree imports, by its full name: a module, or a name within one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parse(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_its_layer_may(module: str) -> None:
    layer = max((name for name in MAY_IMPORT if within(module, name)), key=len)
    wrong = [
        name
        for name in imports(parse(module))
        if within(name, "sensor") or within(name, "fastpath")
        if not any(within(name, allowed) for allowed in MAY_IMPORT[layer])
    ]
    assert not wrong


def test_what_runs_with_rights_is_the_standard_library() -> None:
    assert {name.partition(".")[0] for name in imports(parse("sensor.launch"))} <= sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted((ROOT / "fastpath").glob("*.p[yx][xdi]")), ids=lambda path: path.name)
def test_core_never_imports_sensor(path: Path) -> None:
    assert not re.search(r"^\s*(from|c?import)\s+sensor\b", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("module", [name for name in MODULES if any(within(name, pure) for pure in PURE)])
def test_pure_module_reads_no_clock_and_opens_nothing(module: str) -> None:
    tree = parse(module)
    assert not {name.partition(".")[0] for name in imports(tree)} & IMPURE_MODULES
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not [node.attr for node in called if isinstance(node, ast.Attribute) and node.attr in CLOCK_CALLS]
    assert not [node.id for node in called if isinstance(node, ast.Name) and node.id in {"open", "print"}]


def module_names(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The names bound at module level, with their values."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value


def is_mutable(value: ast.expr) -> bool:
    """Whether an expression makes a container that can change."""
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return name in MUTABLE_CALLS
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def changed_in_place(tree: ast.Module) -> Iterator[str]:
    """The names whose items are set or deleted, or on which a mutating method is called."""
    for node in ast.walk(tree):
        changed = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            changed = node.func.value
        if isinstance(changed, ast.Name):
            yield changed.id


@pytest.mark.parametrize("module", [name for name in MODULES if within(name, "sensor")])
def test_module_holds_no_state(module: str) -> None:
    """A table at module level is a constant: written in capitals and never changed; state is passed in."""
    tree = parse(module)
    tables = {name for name, value in module_names(tree) if is_mutable(value)} - {"__all__"}
    assert not [name for name in tables if not name.isupper()]
    assert not [node.names for node in ast.walk(tree) if isinstance(node, ast.Global)]
    assert not [name for name in changed_in_place(tree) if name in tables]
