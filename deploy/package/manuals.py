"""Manual pages: of the command line from its parser, of the configuration from its document."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import re
from pathlib import Path

from docutils import nodes
from docutils.core import publish_doctree, publish_from_doctree
from myst_parser.parsers.docutils_ import Parser

from deploy.package import tools
from deploy.package.tools import ROOT

HERE = Path(__file__).parent


def write(share: Path, version: str) -> None:
    """Write the pages into ``share``, a picture of /usr/share; their date is ``SOURCE_DATE_EPOCH``."""
    day = dt.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), dt.UTC).date().isoformat()
    pages = {"man1/legwatch.1.gz": commands(version, day), "man5/legwatch.yaml.5.gz": configuration(version, day)}
    for name, text in pages.items():
        path = share / "man" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(text.encode(), mtime=0))


def commands(version: str, day: str) -> str:
    """Return legwatch(1)."""
    what = ("--module", "sensor.cli", "--function", "parser", "--prog", "legwatch", "--include", HERE / "legwatch.1.in")
    told = ("--version", version, "--project-name", "legwatch", "--manual-title", "legwatch")
    named = ("--description", "say for every call leg whether media and signalling are really encrypted")
    form = ("--format", "single-commands-section")
    page = tools.run("argparse-manpage", *what, *told, *named, *form, PYTHONPATH=str(ROOT))
    return re.sub(r'^(\.TH \S+ "1") "[^"]*"', rf'\1 "{day}"', page)  # as it escapes a date, nobody reads it


def configuration(version: str, day: str) -> str:
    """Return legwatch.yaml(5)."""
    told = {"title": "legwatch.yaml", "subtitle": "configuration of legwatch", "manual section": "5"}
    told |= {"manual group": "legwatch", "version": f"legwatch {version}", "date": day}
    front = "".join(f"{key}: {value}\n" for key, value in told.items())
    text = (ROOT / "docs" / "CONFIGURATION.md").read_text().replace("# Configuration\n", "# Description\n", 1)
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)  # a link to another document leads nowhere in a manual
    settings = {"report_level": 3, "halt_level": 3}
    tree = publish_doctree(f"---\n{front}---\n{text}", parser=Parser(), settings_overrides=settings)
    for table in list(tree.findall(nodes.table)):
        table.replace_self(_listed(table))
    page: bytes = publish_from_doctree(tree, writer="manpage")
    return re.sub(r"^(\.S[HS] .*\n)\.sp\n", r"\1", page.decode(), flags=re.MULTILINE)  # space that is there already


def _listed(table: nodes.table) -> nodes.definition_list:
    """Make a list of a table: first column, last column, and what is between as sentences of their own.

    The cells of a table are narrow on a terminal, and tbl(1) complains of each.
    """
    head, *rows = ([cell.deepcopy() for cell in row.findall(nodes.entry)] for row in table.findall(nodes.row))
    names = [cell.astext().capitalize() for cell in head]
    listed = nodes.definition_list()
    for first, *between, last in rows:
        meaning = nodes.definition("", *last.children)
        for name, cell in zip(names[1:-1], between, strict=True):
            if cell.astext():
                meaning += nodes.paragraph("", f"{name}: ", *cell.children[0].children)
        term = nodes.term("", "", *first.children[0].children)
        listed += nodes.definition_list_item("", term, meaning)
    return listed
