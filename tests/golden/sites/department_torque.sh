##### students
#!/bin/bash
#PBS -q lab@torque.physics.example.edu
#PBS -l walltime=8:00:00
#PBS -l nodes=1:ppn=2
#PBS -l mem=4gb
#PBS -N jupyter
#PBS -o /home/alice/.jupyterhub.torque.out
#PBS -e /home/alice/.jupyterhub.torque.err
#PBS -v PATH
export PATH=/opt/anaconda3/bin:$PATH
batchspawner-singleuser jupyterhub-singleuser

##### research
#!/bin/bash
#PBS -q batch@torque.physics.example.edu
#PBS -l walltime=96:00:00
#PBS -l nodes=1:ppn=12
#PBS -l mem=40gb
#PBS -N jupyter
#PBS -o /home/alice/.jupyterhub.torque.out
#PBS -e /home/alice/.jupyterhub.torque.err
#PBS -v PATH
export PATH=/opt/anaconda3/bin:$PATH
batchspawner-singleuser jupyterhub-singleuser
