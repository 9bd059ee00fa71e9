"""Whether a directory can be written is told by writing, and nothing is left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sensor.trial import try_out


def test_directory_that_takes_files_is_left_as_it_was(tmp_path: Path) -> None:
    try_out(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", ["none", "file"])
def test_what_is_no_directory_is_an_error(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"No such file|Not a directory"):
        try_out(tmp_path / wrong)


def test_disk_that_takes_a_part_only_is_full_and_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda _file, octets: len(octets) // 2)
    with pytest.raises(OSError, match="No space") as raised:
        try_out(tmp_path)
    assert raised.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / "legwatch-trial").symlink_to(mine)
    with pytest.raises(OSError, match="symbolic links"):
        try_out(tmp_path)
    assert mine.read_text() == "mine"
