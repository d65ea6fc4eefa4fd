#!/bin/bash
#$ -S /bin/bash
#$ -N spawner-jupyterhub
#$ -j yes
#$ -o /home/alice/.jupyterhub.sge.out
#$ -q interactive.q
#$ -l h_rt=12:00:00
#$ -l h_vmem=4G
#$ -pe smp 2
#$ -v PATH
#$ -l h_fsize=100G
#$ -m n

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
module load R jupyter
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
