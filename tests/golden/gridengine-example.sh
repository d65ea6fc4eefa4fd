#!/bin/bash
#$ -S /bin/bash
#$ -N spawner-jupyterhub
#$ -j yes
#$ -o /home/alice/.jupyterhub.sge.out
#$ -q all.q
#$ -l h_rt=8:00:00
#$ -l h_vmem=4G
#$ -pe smp 2
#$ -v PATH

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
