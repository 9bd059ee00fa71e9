#!/bin/sh
# Stops the sensor where it goes for good; at an upgrade it goes on until the new one is there.
set -e
case $1 in
    remove | 0) ;; # as dpkg and as rpm say it
    upgrade) : >/run/legwatch.upgrade && exit 0 ;; # dpkg does not tell the next postinst from one after a removal
    *) exit 0 ;;
esac
[ ! -d /run/systemd/system ] || systemctl stop legwatch.service 'legwatch@*.service'
for link in /etc/systemd/system/*.wants/legwatch.service /etc/systemd/system/*.wants/legwatch@*.service; do
    [ ! -L "$link" ] || systemctl disable "${link##*/}"
done
