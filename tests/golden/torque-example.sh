#!/bin/bash
#PBS -N jupyterhub-singleuser
#PBS -o /home/alice/.jupyterhub.torque.out
#PBS -e /home/alice/.jupyterhub.torque.err
#PBS -q batch
#PBS -l walltime=8:00:00
#PBS -l nodes=1:ppn=2
#PBS -l mem=4gb
#PBS -v PATH

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
