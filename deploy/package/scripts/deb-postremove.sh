#!/bin/sh
# A purge leaves no trace of the sensor, but for the evidence that it took: that is for people to delete.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
[ "$1" = purge ] || exit 0

rm -rf /etc/legwatch /run/legwatch
state=$(readlink -f /var/lib/legwatch) # which may be a link to another disk
evidence=/var/lib/legwatch-evidence
if [ -d "$state" ]; then
    # A ledger may be in any directory: its files are known by their names.
    find "$state" -depth ! -path '*/ledger/*' ! -path '*/ledger' ! -name 'legwatch-evidence-*' ! -name 'checkpoint*' \
        ! -name '[0-9]*-[0-9]*.jsonl*' ! -name '[0-9]*-[0-9]*.sums*' ! -name '[0-9]*-[0-9]*.note*' \
        \( ! -type d -o -empty \) -delete
fi
for place in "$state" "$evidence"; do
    [ -d "$place" ] || continue
    # A user of another service may get the number that is free now.
    chown -R -h root:root "$place"
    echo "legwatch: the evidence in $place is kept; delete it when nobody needs it any more"
done
if getent passwd legwatch >/dev/null; then userdel legwatch; fi
if getent group legwatch >/dev/null; then groupdel legwatch; fi
