##### batch
#!/bin/bash
#PBS -N jupyterhub-singleuser
#PBS -o /home/alice/.jupyterhub.pbs.out
#PBS -e /home/alice/.jupyterhub.pbs.err
#PBS -q analysis@pbs2
#PBS -l walltime=2:00:00
#PBS -l select=1:ncpus=1:mem=4096mb
#PBS -A ABCD0001
#PBS -v PATH
#PBS -l job_priority=regular

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
case $- in *u*) strict=-u ;; *) strict=+u ;; esac
set +u
module load conda/latest
set "$strict"
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"

##### gpu
#!/bin/bash
#PBS -N jupyterhub-singleuser
#PBS -o /home/alice/.jupyterhub.pbs.out
#PBS -e /home/alice/.jupyterhub.pbs.err
#PBS -q analysis@pbs2
#PBS -l walltime=2:00:00
#PBS -l select=1:ncpus=4:ngpus=1:mem=40960mb
#PBS -A ABCD0001
#PBS -v PATH

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
case $- in *u*) strict=-u ;; *) strict=+u ;; esac
set +u
module load conda/latest cuda
set "$strict"
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
