#!/bin/bash
#BSUB -J spawner-jupyterhub
#BSUB -R "select[type==any]"
#BSUB -R "span[hosts=1]"
#BSUB -o /home/alice/.jupyterhub.lsf.out
#BSUB -e /home/alice/.jupyterhub.lsf.err
#BSUB -q normal
#BSUB -n 2
#BSUB -M 8192MB
#BSUB -W 12:00
#BSUB -P cancer-12

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
. /etc/profile.d/modules.sh
module load jupyterlab/4
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
