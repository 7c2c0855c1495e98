# The SLURM of a new site. Sourced by sites.sh. Knobs: NODES CPUS GPUS DBD.

configure_slurm() { # $1 site, $2 folder
  local nodes=${NODES:-2} gpus=${GPUS:-2} dbd=${DBD:-1}
  mkdir -p "$2"
  slurm_conf "$1" "$nodes" "$gpus" "$dbd" >"$2/slurm.conf.new"
  echo CgroupPlugin=disabled >"$2/cgroup.conf"
  # A GPU without File= is ignored by 24.11 and its node becomes INVAL.
  [ "$gpus" = 0 ] || printf 'AutoDetect=off\nName=gpu File=%s\n' "/dev/fakegpu[0-$((gpus - 1))]" >"$2/gres.conf"
  echo "NODES=$nodes CPUS=${CPUS:-4} GPUS=$gpus DBD=$dbd" >"$2/site.env"
  cat >"$2/slurmdbd.conf" <<CONF
DbdHost=localhost
SlurmUser=slurm
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StorageLoc=slurm_acct
PidFile=/run/slurmdbd.pid
LogFile=/var/log/slurm/slurmdbd.log
CONF
  chmod 600 "$2/slurmdbd.conf"
  chown 64030:64030 "$2/slurmdbd.conf" # Debian's fixed slurm uid
  mv "$2/slurm.conf.new" "$2/slurm.conf"
}

slurm_conf() { # $1 site, $2 nodes, $3 GPUs a node, $4 1 = with slurmdbd
  cat <<CONF
ClusterName=$1
SlurmctldHost=$1
SlurmUser=slurm
AuthType=auth/munge
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd/%n
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd-%n.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=5,sched_interval=10
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=30
KillWait=5
GresTypes=gpu
JobCompType=jobcomp/filetxt
JobCompLoc=/var/log/slurm/jobcomp.log
CONF
  if [ "$4" = 1 ]; then
    printf '%s\n' AccountingStorageType=accounting_storage/slurmdbd AccountingStorageHost=localhost AccountingStorageTRES=gres/gpu
    echo AccountingStoreFlags=job_comment # else sacct forgets the comment
  else
    echo AccountingStorageType=accounting_storage/none
  fi
  cat <<CONF
NodeName=$1-n[1-$2] NodeHostname=$1 NodeAddr=$1 Port=[17001-$((17000 + $2))] CPUs=${CPUS:-4} RealMemory=4000$([ "$3" = 0 ] || echo " Gres=gpu:$3")
PartitionName=batch Nodes=ALL Default=YES MaxTime=1-0 DefaultTime=1:00:00
CONF
}
