"""What a sanitizer reports ends the run: wrong code, compiled and run as ``make test-sanitized`` does the core."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastpath._build import DEBUG_CFLAGS
from tests.sanitizers.__main__ import REPORTED, environment, reports

WRONG = {
    "heap-buffer-overflow": "char *p = malloc(8 - zero); return peek(p + 8);",
    "heap-use-after-free": "char *p = malloc(8); free(p); return peek(p);",
    "stack-buffer-overflow": "char p[8] = {0}; return peek(p + 8);",
    "signed integer overflow": "return 2147483647 + (zero + 1);",
    "shift exponent 32": "return 1 << (zero + 32);",
    "load of misaligned address": "long long p[2] = {0}; return *(int *)((char *)p + zero + 1);",
}


def run(folder: Path, body: str) -> tuple[int, str]:
    """Have Python call a function of C, compiled like the core; return exit status and standard error."""
    source = folder / "wrong.c"
    source.write_text(
        "#include <stdlib.h>\nvoid *kept;\n"
        "static __attribute__((noinline)) int peek(const volatile char *at) { return *at; }\n"
        f"int wrong(int zero) {{ {body} }}\n"
    )
    library = source.with_suffix(".so")
    compiler = os.environ.get("CC", "gcc")
    subprocess.run([compiler, *DEBUG_CFLAGS, "-w", "-shared", "-fPIC", source, "-o", library], check=True)
    call = f"import ctypes; ctypes.CDLL({str(library)!r}).wrong(0)"
    done = subprocess.run([sys.executable, "-c", call], env=environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("error", WRONG)
def test_wrong_code_ends_the_process_and_is_reported(error: str, tmp_path: Path) -> None:
    status, stderr = run(tmp_path, WRONG[error])
    assert status == REPORTED
    assert [report for report in reports(stderr) if error in report]


def test_right_code_ends_well_and_nothing_is_reported(tmp_path: Path) -> None:
    status, stderr = run(tmp_path, "return zero;")
    assert (status, reports(stderr)) == (0, [])


def test_leak_is_reported_of_whose_module_is_asked_for(tmp_path: Path) -> None:
    """Interpreters leave some memory behind, too."""
    status, stderr = run(tmp_path, "for (int i = 0; i < 99; i++) { kept = malloc(1000); peek(kept); } return zero;")
    (report,) = reports(stderr, "wrong.c")
    (count,) = re.findall(r"(\d+) object", report)  # the last is still known, some may be by chance
    assert (status, int(count) > 80, reports(stderr)) == (0, True, [])
