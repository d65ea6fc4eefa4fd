#!/bin/sh
# Install the packages of a real Slurm with its accounting, sudo, by which jobs become their users',
# faketime, for wrong clocks, and the web server of docs/production.md.
here=$(dirname "$0")
"$here/apt.sh" nginx nginx-light openssl
exec "$here/apt.sh" slurmdbd slurm-wlm slurmdbd mariadb-server-core \
    mariadb-client-core munge sudo faketime
