"""Ledgers to verify, written by the product's writer."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sensor.ledger.entries import Entry
from sensor.ledger.keys import SigningKey, new_pem
from sensor.ledger.sealing import compress_sealed
from sensor.ledger.writer import Writer

DAY_MS = 86_400_000
START_MS = 1_767_830_400_000  # 2026-01-08, midnight
NAME = "legwatch/north-wing"


class Made(NamedTuple):
    """A ledger, whose writer has ended."""

    path: Path
    pems: list[bytes]  # the keys, as they followed each other
    keys: list[str]  # their verifier keys
    checkpoints: list[str]  # the newest after each day


def leg(number: int) -> Entry:
    """An entry like those of legs, small."""
    return {
        "kind": "leg",
        "a": f"10.20.0.{number % 250}",
        "b": "10.20.9.1",
        "media": "audio",
        "observed": ("clear", "encrypted")[number % 3 == 0],
        "segments": ["phones", "trünk"],
        "assessed": number,
    }


def write(path: Path, days: Sequence[int], *, unsigned: int = 0, rotated: Sequence[int] = ()) -> Made:
    """Write a ledger with a number of entries on each day.

    Args:
        path: becomes its directory.
        days: how many entries each day has, beside those that the writer adds.
        unsigned: how many more are behind the last checkpoint.
        rotated: the days, from 0 on, whose second entry is signed by a new key, and those behind it.
    """
    pems, checkpoints = [new_pem()], []
    writer = Writer(path, pems[0], origin_name=NAME)
    writer.open(START_MS)
    number = 0
    for day, count in enumerate(days):
        now = START_MS + day * DAY_MS + 1000
        for each in range(count):
            if day in rotated and each == 1:
                writer.close()
                pems.append(new_pem())
                writer = Writer(path, pems[-1], origin_name=NAME, former=pems[-2])
                writer.open(now + number)
            writer.append([leg(number)], now + number)
            number += 1
        writer.commit()
        checkpoints.append((path / "checkpoint").read_text())
    if unsigned:
        writer.append([leg(number + each) for each in range(unsigned)], now + DAY_MS // 2)
        if writer._sealing is not None:
            writer._sealing.join()
        image = path.with_name(f"{path.name}.image")  # as a machine without power leaves it
        shutil.copytree(path, image)
        writer.close()
        shutil.rmtree(path)
        image.rename(path)
    else:
        writer.close()
    compress_sealed(path)
    origin = checkpoints[-1].partition("\n")[0]
    return Made(path, pems, [str(SigningKey.from_pem(pem, origin).verifier) for pem in pems], checkpoints)
