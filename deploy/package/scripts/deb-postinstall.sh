#!/bin/sh
# Makes the user and its directories, and has systemd know the units. Starts what ran before, or what has an interface;
# where that fails the package is installed all the same, and systemd says why.
set -e
[ "$1" = configure ] || exit 0

systemd-sysusers legwatch.conf
systemd-tmpfiles --create legwatch.conf || true
booted() { [ -d /run/systemd/system ]; }
! booted || systemctl daemon-reload

if rm /run/legwatch.upgrade 2>/dev/null; then
    ! booted || systemctl try-restart legwatch.service 'legwatch@*.service' || true
elif interface=$(sed -n "s/^LEGWATCH_INTERFACE=[\"']*\([^\"']*\).*/\1/p" /etc/default/legwatch) && [ -n "$interface" ]; then
    systemctl enable legwatch.service
    ! booted || deb-systemd-invoke start legwatch.service || true
else
    echo "legwatch watches nothing yet: name an interface in /etc/default/legwatch, then: systemctl enable --now legwatch"
fi
