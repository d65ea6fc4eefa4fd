# Prologue and epilogue are encoded (base64 -d shows them).
Executable = /bin/bash
Arguments = "-c 'set -euo pipefail; eval ""`echo ZXhwb3J0IFBBVEg9IiRQQVRIIjonL29wdC90aGUgaHViL2JpbjovdXNyL2JpbicKbW9kdWxlIGxvYWQgcHl0aG9uCnVsaW1pdCAtbiA0MDk2 | base64 -d`""; status=0; batchspawner-singleuser jupyterhub-singleuser || status=$?; eval ""`echo cm0gLXJmIC9zY3JhdGNoLyRVU0VS | base64 -d`""; exit $status'"
RequestMemory = 4096MB
allowed_job_duration = 43200
# HTCondor holds a job that has used up its memory (code 34) or its time (46, 47): it has ended, and
# nobody would ever release it.
periodic_remove = (JobStatus == 5 && (HoldReasonCode == 34 || HoldReasonCode == 46 || HoldReasonCode == 47))
RequestCpus = 2
RequestGPUs = 1
Requirements = (Machine == "node7")
AccountingGroup = physics
Remote_Initialdir = /home/alice
Output = /home/alice/.jupyterhub.condor.out
Error = /home/alice/.jupyterhub.condor.err
ShouldTransferFiles = False
GetEnv = True
notify_user = ada+hub@example.org
notification = Error
--exclusive
--mail-type=END
Queue
