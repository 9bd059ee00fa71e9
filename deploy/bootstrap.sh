#!/bin/sh
# Make the virtual environment VENV with a Python that can build legwatch, or say in one line what to install.
# usage: bootstrap.sh VENV      (PYTHON=/path/to/python3 chooses the interpreter)
set -eu

venv=$1

say_missing() {
    echo "legwatch: $1; on Debian and Ubuntu: apt-get install $2" >&2
    exit 1
}

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if is_recent "$candidate"; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || say_missing "Python 3.11 or newer is needed and ${PYTHON:-python3} is not that" \
    "gcc libc6-dev python3 python3-dev python3-venv"

name=$("$python" -c 'import sys; print("python3.%d" % sys.version_info[1])')
packages=
# Debian leaves ensurepip out of the interpreter's package.
"$python" -c 'import ensurepip, venv' 2>/dev/null || packages="$packages $name-venv"

# One compilation answers for the compiler, the C library's headers and Python's.
compiler=$("$python" -c 'import os, sysconfig; print(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")')
include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
compiles() { printf '#include <%s>\n' "$1" | $compiler -I"$include" -fsyntax-only -x c - 2>/dev/null; }
command -v "${compiler%% *}" >/dev/null 2>&1 || packages="$packages gcc"
compiles linux/if_packet.h || packages="$packages libc6-dev"
[ -r "$include/Python.h" ] || packages="$packages $name-dev"

[ -z "$packages" ] || say_missing "the core is compiled here and something for that is missing" "${packages# }"

"$python" -m venv --clear "$venv"
