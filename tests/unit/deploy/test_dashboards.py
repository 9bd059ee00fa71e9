"""The dashboards: what is committed is what the code gives, complete, consistent, nobody's identity."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana import colours
from deploy.grafana.make_dashboards import FOLDER, generated
from deploy.grafana.queries import selected
from sensor.output.metrics import LEG_STATES

ROOT = Path(__file__).parents[3]
PAGES: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
METRICS = re.findall(r"^\| `(legwatch_\w+)`", (ROOT / "docs" / "METRICS.md").read_text(), re.MULTILINE)
BUILT_IN = {"__rate_interval", "__range"}
PALETTE = {colours.BLUE, colours.SKY, colours.VERMILION, colours.ORANGE, colours.YELLOW, colours.GREY}
HISTOGRAM = r"_(bucket|count|sum)$"
GRID = 24

each_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


def panels(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in page["panels"] if panel["type"] != "row"]


EVERY_PANEL = [(name, panel) for name, page in PAGES.items() for panel in panels(page)]
each_panel = pytest.mark.parametrize(
    "panel", [panel for _, panel in EVERY_PANEL], ids=[f"{name}: {panel['title']}" for name, panel in EVERY_PANEL]
)


def expressions(page: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in panels(page) for target in panel["targets"]]


def found(tree: Any, key: str) -> Iterator[Any]:
    """Every value under a key, however deep."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from found(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from found(value, key)


def test_committed_files_are_what_the_code_gives() -> None:
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == generated()


def test_every_metric_is_shown_somewhere() -> None:
    used = {name for page in PAGES.values() for name in re.findall(r"\blegwatch_\w+", " ".join(expressions(page)))}
    used |= {re.sub(HISTOGRAM, "", name) for name in used}
    assert METRICS
    assert not [name for name in METRICS if name not in used]


@each_page
def test_every_metric_that_is_shown_exists(page: dict[str, Any]) -> None:
    used = set(re.findall(r"\blegwatch_\w+", " ".join(expressions(page))))
    assert not [name for name in used if name not in METRICS and re.sub(HISTOGRAM, "", name) not in METRICS]


@each_page
def test_every_variable_is_declared_and_used(page: dict[str, Any]) -> None:
    declared = {variable["name"] for variable in page["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", " ".join(expressions(page))))
    assert used - BUILT_IN == declared - {"datasource"}
    assert {"datasource", "site", "instance"} <= declared


@each_page
def test_every_series_is_of_the_chosen_site_and_sensor(page: dict[str, Any]) -> None:
    for expr in expressions(page):
        metrics = re.findall(r"\b(?:legwatch_\w+|up|scrape_\w+)(\{[^}]*\})?", expr)
        assert metrics
        assert all('site=~"$site",instance=~"$instance"' in labels for labels in metrics), expr


@each_page
def test_every_window_is_the_scrape_s_or_the_range(page: dict[str, Any]) -> None:
    windows = {window for expr in expressions(page) for window in re.findall(r"\[([^\]]*)\]", expr)}
    assert windows <= {"$__rate_interval", "$__range", "$__range:$__rate_interval"}


@each_page
def test_datasource_is_the_variable_s_everywhere(page: dict[str, Any]) -> None:
    assert {source["uid"] for source in found(page, "datasource")} == {"${datasource}"}


@each_page
def test_pages_link_to_each_other_with_their_variables(page: dict[str, Any]) -> None:
    (link,) = page["links"]
    assert link["type"] == "dashboards"
    assert (link["tags"], link["includeVars"], link["keepTime"]) == (page["tags"], True, True)


@each_page
def test_panels_have_ids_of_their_own_and_do_not_overlap(page: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in page["panels"]]
    assert len(ids) == len(set(ids))
    cells: set[tuple[int, int]] = set()
    for panel in page["panels"]:
        grid = panel["gridPos"]
        own = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not own & cells, panel["title"]
        assert max(x for x, _ in own) < GRID
        cells |= own


@each_panel
def test_panel_has_title_description_unit_and_a_text_for_nothing(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert defaults["noValue"]
    assert defaults["thresholds"]["steps"]


@each_panel
def test_lines_have_a_table_for_a_legend_gaps_for_gaps_and_exemplars(panel: dict[str, Any]) -> None:
    if panel["type"] != "timeseries":
        return
    assert panel["options"]["legend"]["displayMode"] == "table"
    assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False
    for target in panel["targets"]:
        assert target["exemplar"]
        assert target["legendFormat"]


@each_page
def test_colours_can_be_told_apart_by_everybody(page: dict[str, Any]) -> None:
    used = set(found(page, "fixedColor")) | {step["color"] for steps in found(page, "steps") for step in list_of(steps)}
    assert used <= PALETTE


def list_of(steps: Any) -> list[dict[str, str]]:
    """A heatmap's scheme has a number of steps, thresholds have a list."""
    return steps if isinstance(steps, list) else []


def test_every_state_of_a_leg_has_a_colour_of_its_own() -> None:
    assert set(LEG_STATES) <= set(colours.PROTECTION)
    assert len(set(colours.PROTECTION.values())) == len(colours.PROTECTION)


@each_page
def test_series_called_by_protection_have_its_colour(page: dict[str, Any]) -> None:
    for panel in panels(page):
        labels = {
            label for target in panel["targets"] for label in re.findall(r"{{(\w+)}}$", target.get("legendFormat", ""))
        }
        if panel["type"] != "timeseries" or not labels & {"observed", "protection"}:
            continue
        given = {
            override["matcher"]["options"]: override["properties"][0]["value"]["fixedColor"]
            for override in panel["fieldConfig"]["overrides"]
        }
        for state, colour in colours.PROTECTION.items():
            assert given[f"/(^| ){state}$/"] == colour


def test_pages_hold_no_address_and_no_host() -> None:
    text = "".join(path.read_text() for path in FOLDER.iterdir())
    assert not re.search(r"\b\d{1,3}(\.\d{1,3}){3}\b|https?://|localhost", text)


def test_metric_without_labels_gets_the_selection() -> None:
    assert selected('sum(up) + legwatch_x{a="b"}') == (
        'sum(up{job="legwatch",site=~"$site",instance=~"$instance"})'
        ' + legwatch_x{a="b",site=~"$site",instance=~"$instance"}'
    )  # fmt: skip


def test_provisioning_names_the_folder_and_the_scrape_interval() -> None:
    folder = FOLDER.parent / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "legwatch.yaml").read_text())["datasources"]
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["global"]
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == scraped["scrape_interval"]
    (provider,) = yaml.safe_load((folder / "dashboards" / "legwatch.yaml").read_text())["providers"]
    assert provider["options"]["path"] in (ROOT / "docs" / "DASHBOARDS.md").read_text()
