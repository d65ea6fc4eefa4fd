#!/bin/bash
# Unpack Slurm 24.11 into a folder; the Slurm of this machine's own packages stays as it is.
#   install24.sh FOLDER
# FOLDER/bin then holds its commands and daemons.
set -euo pipefail
R=$1 HERE=$(cd "$(dirname "$0")" && pwd)
rm -rf "$R/bin"
bash "$HERE/../trixie.sh" "$R" lib/x86_64-linux-gnu/slurm-wlm \
  slurm-client slurmctld slurmd slurmdbd slurm-wlm-basic-plugins slurm-wlm-mysql-plugin
U=$R/root/usr
mkdir -p "$R/new"
ln -s "$U"/bin/s{acct,acctmgr,batch,cancel,control,info,queue,run} "$U/sbin/slurmdbd" "$R/new"
for f in slurmctld slurmd slurmstepd; do ln -s "$U/sbin/$f-wlm" "$R/new/$f"; done
mv "$R/new" "$R/bin"   # last, for who finds it there takes all the rest for complete
