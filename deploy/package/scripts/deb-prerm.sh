#!/bin/sh
# Stops the sensor where it goes for good; at an upgrade it goes on until the new one is there.
set -e
[ "$1" = remove ] || exit 0
[ ! -d /run/systemd/system ] || systemctl stop legwatch.service 'legwatch@*.service'
for link in /etc/systemd/system/*.wants/legwatch.service /etc/systemd/system/*.wants/legwatch@*.service; do
    [ ! -L "$link" ] || systemctl disable "${link##*/}"
done
