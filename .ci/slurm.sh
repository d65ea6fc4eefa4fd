#!/bin/sh
# Install the packages of a real Slurm, and sudo, by which jobs become their users'.
exec "$(dirname "$0")/apt.sh" slurmctld slurm-wlm munge sudo
