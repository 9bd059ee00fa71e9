#!/bin/sh
# After an upgrade the old files are gone: what runs is started anew. At the end what the sensor wrote and what is the
# operator's stay, as rpm has no purge; so does the user who owns it.
set -e
booted() { [ -d /run/systemd/system ]; }
! booted || systemctl daemon-reload
if [ "$1" -gt 0 ]; then
    ! booted || systemctl try-restart legwatch.service 'legwatch@*.service' || true
    exit 0
fi
rm -rf /run/legwatch
rmdir /etc/legwatch/secrets /etc/legwatch 2>/dev/null || true
for place in /etc/legwatch /var/lib/legwatch /var/lib/legwatch-evidence; do
    [ ! -d "$place" ] || echo "legwatch: $place is kept; delete it when nobody needs it any more"
done
