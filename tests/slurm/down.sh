#!/bin/bash
# Ends what up.sh started: down.sh DIR. Jobs first, since a step that is left behind lingers.
dir=$(realpath "$1")
export SLURM_CONF="$dir/slurm.conf"
scancel --user=root
for _ in $(seq 150); do [ -z "$(squeue --noheader)" ] && break; sleep 0.2; done
for file in "$dir"/run/slurmd-*.pid "$dir"/run/slurmctld.pid; do [ -f "$file" ] && kill "$(cat "$file")"; done
for _ in $(seq 50); do ls "$dir"/run/*.pid >/dev/null 2>&1 || exit 0; sleep 0.2; done
exit 1
