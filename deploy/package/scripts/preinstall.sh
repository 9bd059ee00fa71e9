#!/bin/sh
# The group that may read the configuration has to be there before the files are; the user comes with sysusers.
set -e
getent group legwatch >/dev/null || groupadd --system legwatch
