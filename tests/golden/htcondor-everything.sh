# Prologue and epilogue are encoded (base64 -d shows them).
Executable = /bin/bash
Arguments = "-c 'set -euo pipefail; eval ""`echo bW9kdWxlIGxvYWQgcHl0aG9uCnVsaW1pdCAtbiA0MDk2 | base64 -d`""; status=0; batchspawner-singleuser jupyterhub-singleuser || status=$?; eval ""`echo cm0gLXJmIC9zY3JhdGNoLyRVU0VS | base64 -d`""; exit $status'"
RequestMemory = 4096MB
allowed_execute_duration = 43200
RequestCpus = 2
RequestGPUs = 1
Requirements = (Machine == "node7")
AccountingGroup = physics
Remote_Initialdir = /home/alice
Output = /home/alice/.jupyterhub.condor.out
Error = /home/alice/.jupyterhub.condor.err
ShouldTransferFiles = False
GetEnv = True
--exclusive
--mail-type=END
Queue
