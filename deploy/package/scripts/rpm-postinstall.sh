#!/bin/sh
# Makes the user and its directories, and has systemd know the units. Starts nothing by itself.
set -e
systemd-sysusers legwatch.conf
systemd-tmpfiles --create legwatch.conf || true
[ ! -d /run/systemd/system ] || systemctl daemon-reload
[ "$1" -gt 1 ] ||
    echo "legwatch watches nothing yet: name an interface in /etc/default/legwatch, then: systemctl enable --now legwatch"
