"""A document as one HTML file that needs nothing else: no script, no network, the report object inside."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING

from sensor.output.signs import printable
from sensor.report.blocks import Callout, Code, Figure, Heading, Items, Numbers, Paragraph, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.report.blocks import Block, Document

_STYLE = """
:root { color-scheme: light; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff;
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1, h2 { color: #005a8c; line-height: 1.2; } h1 { font-size: 2rem; } h2 { margin-top: 3rem; }
h3 { margin-top: 2rem; } h4 { margin-bottom: .3rem; color: #4a4a4a; }
dl.lead { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; }
dl.lead dt { color: #4a4a4a; } dl.lead dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
dl.numbers { display: grid; grid-template-columns: repeat(3, 1fr); gap: .8rem; }
dl.numbers div { border: 1px solid #c8c8c8; border-radius: 3px; padding: .8rem; display: flex;
  flex-direction: column-reverse; }
dl.numbers dd { margin: 0; font-size: 1.7rem; font-weight: 700; line-height: 1.2; } dl.numbers dt { color: #4a4a4a; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; font-size: .85rem; margin: 1rem 0 .3rem; }
th { text-align: left; background: #f0f3f6; border-top: 2px solid #1a1a1a; }
th, td { padding: .35rem .5rem; border-bottom: 1px solid #c8c8c8; vertical-align: top; overflow-wrap: anywhere; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; }
p.more { margin-top: 0; font-style: italic; }
aside { background: #f0f3f6; border-left: 4px solid #005a8c; padding: .6rem 1rem; margin: 1rem 0; }
aside.warning { background: #fdf0f1; border-color: #b00020; }
pre { background: #f0f3f6; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem; }
figure { margin: 1.5rem 0; } figure svg { width: 100%; height: auto; } figcaption { color: #4a4a4a; }
@media print {
  body { max-width: none; margin: 0; font-size: 10pt; } thead { display: table-header-group; }
  tr, aside, figure { break-inside: avoid; } h2, h3, h4 { break-after: avoid; } nav { display: none; }
}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; form-action 'none'"


def render(document: Document, report_json: bytes) -> bytes:
    """Return a document as HTML in UTF-8, with the report object to be saved from it."""
    return "".join(_parts(document, report_json)).encode()


def _parts(document: Document, report_json: bytes) -> Iterator[str]:
    title = _text(f"{document.title}: {document.site}, {document.period}")
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(document.title)}</h1>\n"
    )
    lead = "".join(f"<dt>{_text(name)}</dt><dd>{_text(what)}</dd>" for name, what in document.lead)
    yield f'<dl class="lead">{lead}</dl>\n'
    octets = base64.b64encode(report_json).decode()
    yield f'<p><a download="report.json" href="data:application/json;base64,{octets}">The attached JSON</a></p>\n'
    chapters = [(n, each) for n, each in enumerate(document.blocks) if isinstance(each, Heading) and each.level == 1]
    links = "".join(f'<li><a href="#s{number}">{_text(chapter.text)}</a></li>' for number, chapter in chapters)
    yield f'<nav aria-label="Contents"><ol>{links}</ol></nav>\n<main>\n'
    for number, block in enumerate(document.blocks):
        yield _block(block, number)
    yield "</main>\n</body>\n</html>\n"


def _block(block: Block, number: int) -> str:  # noqa: PLR0911  (one for each kind)
    match block:
        case Heading(text, level):
            return f'<h{level + 1} id="s{number}">{_text(text)}</h{level + 1}>\n'
        case Paragraph(text):
            return f"<p>{_text(text)}</p>\n"
        case Items(items):
            return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in items)}</ul>\n"
        case Callout(title, text, tone):
            return f'<aside class="{tone}"><strong>{_text(title)}</strong><br>{_text(text)}</aside>\n'
        case Code(text):
            return f"<pre>{escape(_lines(text))}</pre>\n"
        case Numbers(pairs):
            boxes = "".join(f"<div><dt>{_text(what)}</dt><dd>{_text(number)}</dd></div>" for number, what in pairs)
            return f'<dl class="numbers">{boxes}</dl>\n'
        case Figure(svg, alternative, caption):
            label, below = _text(alternative), f"<figcaption>{_text(caption)}</figcaption>"
            return f'<figure role="img" aria-label="{label}">{svg}{below}</figure>\n'
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    whole = sum(column.width for column in table.columns)
    classes = [' class="n"' if column.numeric else "" for column in table.columns]
    # A width in percent, as an attribute: the policy allows no style but the one above.
    columns = "".join(f'<col width="{100 * column.width // whole}%">' for column in table.columns)
    head = "".join(
        f'<th scope="col"{class_}>{_text(column.title)}</th>'
        for column, class_ in zip(table.columns, classes, strict=True)
    )
    rows = "\n".join(
        f"<tr>{''.join(f'<td{class_}>{_text(cell)}</td>' for cell, class_ in zip(row, classes, strict=True))}</tr>"
        for row in table.rows
    )
    more = f'<p class="more">and {table.left_out} more, in the attached JSON</p>\n' if table.left_out else ""
    head = f"<colgroup>{columns}</colgroup><thead><tr>{head}</tr></thead>"
    return f"<table>{head}\n<tbody>\n{rows}\n</tbody></table>\n{more}"


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _text(text: str) -> str:
    return escape(_lines(text)).replace("\n", "<br>")
