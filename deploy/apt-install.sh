#!/bin/sh
# Install Debian packages, saying only which ones were missing; does nothing where all are there.
# usage: apt-install.sh PACKAGE...
set -eu

missing=
for package; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

[ "$(id -u)" -eq 0 ] || { echo "legwatch: not installed and this is not root; run: apt-get install$missing" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "legwatch: no apt-get here; install the likes of$missing" >&2; exit 1; }

echo "Installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086  # one word a package
if ! { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $missing; } \
    >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    exit 1
fi
