"""What a shared object lacks of the hardening that distributions build with, read from the file itself."""

from collections.abc import Iterator
from pathlib import Path

from elftools.elf.dynamic import DynamicSection, DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

DF_TEXTREL, DF_BIND_NOW, DF_1_NOW = 0x4, 0x8, 0x1
PF_X = 0x1


def imported(path: Path) -> set[str]:
    """Return the functions and variables that a shared object takes from others."""
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".dynsym")
        assert isinstance(table, SymbolTableSection)
        return {symbol.name for symbol in table.iter_symbols() if symbol["st_shndx"] == "SHN_UNDEF"}


def is_fortified(path: Path) -> bool:
    """Whether a call of the C library is one that knows how large its target is."""
    return any(name.endswith("_chk") for name in imported(path))


def weaknesses(path: Path) -> set[str]:
    """Return what a shared object lacks, or has and should not."""
    with path.open("rb") as file:
        found = set(_weaknesses(ELFFile(file)))
    return found if "__stack_chk_fail" in imported(path) else found | {"no canary"}


def _weaknesses(elf: ELFFile) -> Iterator[str]:
    segments = {segment["p_type"]: segment for segment in elf.iter_segments()}
    dynamic = segments["PT_DYNAMIC"]
    assert isinstance(dynamic, DynamicSegment | DynamicSection)
    tags = {tag.entry.d_tag: tag.entry.d_val for tag in dynamic.iter_tags()}
    bound_at_once = tags.get("DT_FLAGS", 0) & DF_BIND_NOW or tags.get("DT_FLAGS_1", 0) & DF_1_NOW
    if "PT_GNU_RELRO" not in segments or not bound_at_once:
        yield "no full RELRO"
    if "PT_GNU_STACK" not in segments or segments["PT_GNU_STACK"]["p_flags"] & PF_X:
        yield "executable stack"
    if {"DT_RPATH", "DT_RUNPATH"} & set(tags):
        yield "search path"
    if "DT_TEXTREL" in tags or tags.get("DT_FLAGS", 0) & DF_TEXTREL:
        yield "text relocations"
