Executable = /bin/sh
Arguments = "-c 'exec batchspawner-singleuser jupyterhub-singleuser'"
RequestMemory = 4096MB
allowed_job_duration = 28800
# HTCondor holds a job that has used up its memory (code 34) or its time (46, 47): it has ended, and
# nobody would ever release it.
periodic_remove = (JobStatus == 5 && (HoldReasonCode == 34 || HoldReasonCode == 46 || HoldReasonCode == 47))
RequestCpus = 2
Remote_Initialdir = /home/alice
Output = /home/alice/.jupyterhub.condor.out
Error = /home/alice/.jupyterhub.condor.err
ShouldTransferFiles = False
GetEnv = True
+WantJupyter = true
Queue
