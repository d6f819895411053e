#!/bin/bash
# A worker of hebbian as a task of a Slurm array. `hebbian slurm submit` fills in the settings and submits it; by hand, beside a
# coordinator on the login node:
#
#     export HEBBIAN_COORDINATOR=http://login1:7420
#     sbatch --array=0-7 --cpus-per-task=4 --time=4:00:00 deploy/slurm/worker.sh
#
# A minute before its time is over, Slurm tells this script, the worker finishes what it has begun and gives the rest back, and the task
# goes into the queue again, to go on. So does a task whose node has failed, and one that has had no coordinator for HEBBIAN_PATIENCE seconds
# (300): the coordinator may be waiting for its place. `scancel` ends it for good, and so does `hebbian drain`.
#SBATCH --job-name=hebbian-worker
#SBATCH --ntasks=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@60
#@ settings
set -u
umask 077
: "${HEBBIAN_COORDINATOR:?is not set: the address of the coordinator, or file:PATH of a file that holds it}"
export HEBBIAN_COORDINATOR
task=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}

# Certificates that came with this script: no disk is shared.
keys=
if [ -n "${HEBBIAN_PEM_CA:-}" ]; then
    keys=$(mktemp -d) || exit 1
    printf '%s\n' "$HEBBIAN_PEM_CA" >"$keys/ca.pem"
    export HEBBIAN_TLS_CA=$keys/ca.pem
    if [ -n "${HEBBIAN_PEM_KEY:-}" ]; then
        printf '%s\n' "$HEBBIAN_PEM_CERTIFICATE" >"$keys/client.pem"
        printf '%s\n' "$HEBBIAN_PEM_KEY" >"$keys/client-key.pem"
        export HEBBIAN_TLS_CERTIFICATE=$keys/client.pem HEBBIAN_TLS_KEY=$keys/client-key.pem
    fi
fi

"${HEBBIAN:-hebbian}" worker --threads "${SLURM_CPUS_PER_TASK:-1}" --grace 45s --patience "${HEBBIAN_PATIENCE:-300}s" \
    --name "${SLURMD_NODENAME:-$(hostname)}-$task" &
worker=$!
again=no
# To the worker SIGUSR1 is a first SIGTERM, and nothing more where Slurm has sent it that as well: a second SIGTERM would end it at once.
leave() {
    again=$1
    kill -USR1 "$worker" 2>/dev/null
}
trap 'leave yes' USR1
trap 'leave no' TERM
while :; do
    wait "$worker"
    status=$?
    kill -0 "$worker" 2>/dev/null || break
done
[ -z "$keys" ] || rm -rf "$keys"
# Exit code 4: there was no coordinator. If its job is over, none will come.
if [ "$status" -eq 4 ]; then
    again=yes
    if [ -n "${HEBBIAN_JOB:-}" ]; then
        said=$(squeue --noheader --jobs "$HEBBIAN_JOB" --format %i 2>&1)
        case $said in
            "" | *"Invalid job id"*)
                echo "hebbian: the coordinator's job $HEBBIAN_JOB is over; so are its workers"
                exec scancel "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}"
                ;;
        esac
    fi
fi
if [ "$again" = yes ]; then
    echo "hebbian: task $task goes into the queue again"
    exec scontrol requeue "$task"
fi
exit "$status"
