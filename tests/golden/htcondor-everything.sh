Executable = /bin/sh
Arguments = "-c 'exec batchspawner-singleuser jupyterhub-singleuser'"
RequestMemory = 4G
RequestCpus = 2
RequestGPUs = 1
AccountingGroup = physics
Remote_Initialdir = /home/alice
Output = /home/alice/.jupyterhub.condor.out
Error = /home/alice/.jupyterhub.condor.err
ShouldTransferFiles = False
GetEnv = True
--exclusive
--mail-type=END
Queue
