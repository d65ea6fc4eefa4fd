Executable = /bin/sh
Arguments = "-c 'exec batchspawner-singleuser jupyterhub-singleuser'"
Remote_Initialdir = /home/alice
Output = /home/alice/.jupyterhub.condor.out
Error = /home/alice/.jupyterhub.condor.err
ShouldTransferFiles = False
GetEnv = True
Queue
