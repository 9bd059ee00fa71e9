"""Compile the Cython core: directives in one place, hardening flags, and no silent fall-back.

``FASTPATH_DEBUG=1`` builds with every Cython check on and AddressSanitizer and UBSan in the C code; ``FASTPATH_FUZZ=1``
with AddressSanitizer and what libFuzzer counts coverage by (clang only).
"""

from __future__ import annotations

import os
import platform

from Cython.Build import cythonize
from setuptools.command.build_ext import build_ext

FUZZ = os.environ.get("FASTPATH_FUZZ") == "1"
DEBUG = os.environ.get("FASTPATH_DEBUG") == "1"

DIRECTIVES = {
    "language_level": 3,
    "embedsignature": True,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "nonecheck": False,  # its check takes the GIL, and self is never None
    "cdivision": True,
}
WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-unused-function", "-Wno-cast-function-type"]
BRANCHES = {"x86_64": ["-fcf-protection"], "aarch64": ["-mbranch-protection=standard"]}.get(platform.machine(), [])
# What distributions build with, and no optimisation by what C leaves undefined: it takes checks for needless. All that
# costs 0.6 % of the core's instructions; -ftrivial-auto-var-init=zero is another 5 %. A C library that does not know
# FORTIFY's level 3 takes it for 2. Debug information would have the paths of the machine that builds.
RELEASE_CFLAGS = [
    *("-O3", "-g0", "-fno-strict-aliasing", "-fno-strict-overflow", "-fno-delete-null-pointer-checks"),
    *("-fstack-protector-strong", "-fstack-clash-protection", *BRANCHES),
    *("-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3", "-Wformat", "-Werror=format-security"),
]
DEBUG_CFLAGS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
# gcc defines that macro by itself.
FUZZ_CFLAGS = [
    *("-O1", "-g", "-fsanitize=address,fuzzer-no-link", "-fno-omit-frame-pointer"),
    "-D__SANITIZE_ADDRESS__=1",
]
CFLAGS = FUZZ_CFLAGS if FUZZ else DEBUG_CFLAGS if DEBUG else RELEASE_CFLAGS
LDFLAGS = ["-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack", "-Wl,-z,separate-code"]


class BuildExt(build_ext):
    """``build_ext`` for the extensions that pyproject.toml lists; a failure stops the build."""

    def finalize_options(self) -> None:
        """Give every extension the same flags and directives, then compile Cython to C."""
        for extension in self.distribution.ext_modules or ():
            extension.extra_compile_args = WARNINGS + (
                FUZZ_CFLAGS if FUZZ else DEBUG_CFLAGS if DEBUG else RELEASE_CFLAGS
            )
            extension.extra_link_args = LDFLAGS + (["-fsanitize=address,undefined"] if DEBUG else [])
        self.distribution.ext_modules = cythonize(self.distribution.ext_modules, compiler_directives=DIRECTIVES)
        for extension in self.distribution.ext_modules:
            extension.depends.append("fastpath/_build.py")  # other flags, another build
        super().finalize_options()
        self.parallel = os.cpu_count()

    def build_extensions(self) -> None:
        """Build without the way to its own libraries that an interpreter may have been linked with."""
        self.compiler.linker_so = [word for word in self.compiler.linker_so if not word.startswith("-Wl,-rpath")]
        super().build_extensions()
