"""docs/ALERTS.md tells the truth: its table, and its example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sensor.alerts.mappings.journald import message_ids
from sensor.config.load import ConfigError, parse_config
from sensor.config.sinks import KINDS
from sensor.policy.catalogue import CATALOGUE

TEXT = (Path(__file__).parents[4] / "docs" / "ALERTS.md").read_text()


def test_table_of_message_ids_is_the_one_that_is_used() -> None:
    assert message_ids(CATALOGUE) in TEXT


def test_every_sink_is_described() -> None:
    assert re.findall(r"^\*\*([a-z]+)\*\*:", TEXT, re.MULTILINE) == list(KINDS)


def test_example_lacks_nothing_but_its_secret() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    with pytest.raises(ConfigError) as refused:
        parse_config(example, "f")
    assert [line.partition(": ")[2] for line in refused.value.lines] == [
        "sinks[2].token_file: /etc/legwatch/alertmanager.token cannot be read: No such file or directory"
    ]
