#!/bin/bash
# A Slurm of virtual nodes on this machine, as root and without systemd, munge or accounting:
#   up.sh DIR [NODES]; export SLURM_CONF=DIR/slurm.conf
set -eu
dir=$(realpath -m "$1") nodes=${2:-2} host=$(hostname -s)
mkdir -p "$dir"/{state,log,run}
cat > "$dir/slurm.conf" <<END
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName=node[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=[27101-$((27100 + nodes))] CPUs=1 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=60 State=UP
END
export SLURM_CONF="$dir/slurm.conf"
slurmctld -c
for i in $(seq "$nodes"); do slurmd -N "node$i"; done
for _ in $(seq 150); do
  if [ "$(sinfo --noheader --format='%T %D')" = "idle $nodes" ]; then exit 0; fi
  sleep 0.2
done
sinfo
exit 1
