"""Reads a Containerfile: its stages, their instructions, and the commands that they run."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field


@dataclass
class Stage:
    """What stands between one FROM and the next."""

    instructions: list[tuple[str, list[str]]] = field(default_factory=list)

    def of(self, name: str) -> list[list[str]]:
        """Return the words of each instruction of a name."""
        return [words for each, words in self.instructions if each == name]

    def commands(self) -> list[list[str]]:
        """Return the commands of all RUN instructions."""
        return [
            shlex.split(command) for words in self.of("RUN") for command in " ".join(words).split(" && ") if command
        ]


def stages(text: str) -> list[Stage]:
    """Return the stages in their order; quotes stay as they are."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    found: list[Stage] = []
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        name, *words = line.split() or [""]
        if name == "FROM":
            found.append(Stage())
        if name and found:
            found[-1].instructions.append((name, words))
    return found
