#!/bin/bash
#BSUB -J spawner-jupyterhub
#BSUB -R "select[type==any]"
#BSUB -R "span[hosts=1]"
#BSUB -o /home/alice/.jupyterhub.lsf.out
#BSUB -e /home/alice/.jupyterhub.lsf.err
#BSUB -q day
#BSUB -m node7
#BSUB -n 2
#BSUB -M 4096MB
#BSUB -gpu "num=1"
#BSUB -W 12:00
#BSUB -U course
#BSUB -P physics
#BSUB -u ada+hub@example.org
#BSUB -B
#BSUB -N
#BSUB --exclusive
#BSUB --mail-type=END

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
# Where the Hub finds its commands; on the way here, sudo may have replaced it.
export PATH="$PATH":'/opt/the hub/bin:/usr/bin'
module load python
ulimit -n 4096
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
rm -rf /scratch/$USER
exit "$status"
