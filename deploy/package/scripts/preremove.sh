#!/bin/sh
# Stops the sensor where it goes for good; at an upgrade it goes on until the new one is there.
set -e
case $1 in
    remove | 0) ;; # as dpkg and as rpm say it
    *) exit 0 ;;
esac
[ ! -d /run/systemd/system ] || systemctl stop legwatch.service 'legwatch@*.service'
for link in /etc/systemd/system/*.wants/legwatch.service /etc/systemd/system/*.wants/legwatch@*.service; do
    [ ! -L "$link" ] || systemctl disable "${link##*/}"
done
