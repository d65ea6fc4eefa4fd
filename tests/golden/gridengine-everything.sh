#!/bin/bash
#$ -S /bin/bash
#$ -N spawner-jupyterhub
#$ -j yes
#$ -o /home/alice/.jupyterhub.sge.out
#$ -q day@node7
#$ -l h_rt=12:00:00
#$ -l h_vmem=4G
#$ -pe smp 2
#$ -l gpu=1
#$ -ar course
#$ -A physics
#$ -v JUPYTERHUB_API_TOKEN,LANG
#$ -M ada+hub@example.org
#$ -m ab
#$ --exclusive
#$ --mail-type=END

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
