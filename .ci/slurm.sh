#!/bin/sh
# Install the packages of a real Slurm, sudo, by which jobs become their users', and faketime, for wrong clocks.
exec "$(dirname "$0")/apt.sh" slurmctld slurm-wlm munge sudo faketime
