#!/bin/bash
#BSUB -J spawner-jupyterhub
#BSUB -R "select[type==any]"
#BSUB -R "span[hosts=1]"
#BSUB -o /home/alice/.jupyterhub.lsf.out
#BSUB -e /home/alice/.jupyterhub.lsf.err
#BSUB -q interactive
#BSUB -n 2
#BSUB -M 4096MB
#BSUB -W 8:00

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
