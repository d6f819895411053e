#!/bin/bash
# The coordinator of hebbian as a small Slurm job, with its run, for as long as that takes. `hebbian slurm submit` fills in the settings,
# submits it, and an array of workers (worker.sh) after it.
#
# HEBBIAN_DIRECTORY is on a disk that all nodes share. It holds spec.toml, certs/ (`hebbian certs`), workers (the number of the array),
# the journal, the file `coordinator` with the address, and at the end genome.json. Before its time is over, and when its node has failed, the
# job goes into the queue again, maybe to another node: it takes the journal up, and the workers find it by the file. It ends, and is not put
# into the queue again, when the run has ended and when the workers' array is over before.
#
# There is no live page: other users of the node would reach it. HEBBIAN_WEB, an address and a port, has it there (`--web`).
#SBATCH --job-name=hebbian-coordinator
#SBATCH --ntasks=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@60
#@ settings
set -u
umask 077
hebbian=${HEBBIAN:-hebbian}
cd "${HEBBIAN_DIRECTORY:?is not set: a directory on a disk that all nodes share}" || exit 1
# Whatever ends this job ends the workers too. They are submitted after it, and the file is written then.
waited=0
until [ -s workers ]; do
    if [ "$waited" -ge "${HEBBIAN_PATIENCE:-300}" ]; then
        echo "hebbian: $PWD/workers: must hold the number of the workers' array, and did not within $waited s; submit again" >&2
        exit 1
    fi
    sleep 1
    waited=$((waited + 1))
done
array=$(cat workers)
keys=$(mktemp -d) || exit 1
trap 'rm -rf "$keys"; rm -f coordinator; scancel "$array"' EXIT
host=$(hostname)
# The authority of this run signs a certificate for the node that this is.
cp certs/ca.pem certs/ca-key.pem "$keys" && "$hebbian" certs --out "$keys" --name "$host" || exit 1
export HEBBIAN_TLS_CA=$PWD/certs/ca.pem HEBBIAN_TLS_CERTIFICATE=$PWD/certs/client.pem HEBBIAN_TLS_KEY=$PWD/certs/client-key.pem

"$hebbian" coordinator --listen 0.0.0.0:0 --address-file "$keys/address" --storage sqlite:journal.sqlite \
    --tls-certificate "$keys/coordinator.pem" --tls-key "$keys/coordinator-key.pem" --tls-client-ca certs/ca.pem \
    --web "${HEBBIAN_WEB:-off}" &
coordinator=$!
tending=
timer=
end=
# Waits for a process, whatever signals come; the status is its own.
status_of() {
    local status=0 own
    while :; do
        wait "$1"
        status=$?
        kill -0 "$1" 2>/dev/null || break
    done
    # That may have been a signal's.
    wait "$1" 2>/dev/null
    own=$?
    [ "$own" -eq 127 ] || status=$own
    return "$status"
}
stop() { [ -z "$tending" ] || kill -TERM "$tending" 2>/dev/null; }
# Slurm says so a minute before the end, or two. Workers whose time is over as well report for 45 s what they finish.
on_notice() {
    end=again
    (sleep 45 && kill -USR2 $$) &
    timer=$!
}
# Somebody cancels the job, or Slurm puts it into the queue again, which it has counted by now.
on_term() {
    local restarts
    restarts=$(scontrol show --oneliner job "$SLURM_JOB_ID" | sed -n 's/.* Restarts=\([0-9]*\).*/\1/p')
    end=cancelled
    [ "${restarts:-0}" -le "${SLURM_RESTART_COUNT:-0}" ] || end=requeued
    stop
}
trap on_notice USR1
trap stop USR2
trap on_term TERM
until [ -s "$keys/address" ] || [ -n "$end" ]; do
    kill -0 "$coordinator" 2>/dev/null || exit 1
    sleep 0.2
done
status=1
if [ -z "$end" ]; then
    address=https://$host:$(sed 's/.*://' "$keys/address")
    export HEBBIAN_COORDINATOR=$address
    # All at once: whoever reads the file finds the old address or the new one.
    printf '%s\n' "$address" >coordinator.new && mv coordinator.new coordinator
    # The same name again is the same run.
    if run=$("$hebbian" create spec.toml --request-id slurm); then
        "$hebbian" slurm tend "$run" --array "$array" --directory "$PWD" --out genome.json ${HEBBIAN_TEND:-} &
        tending=$!
        case $end in cancelled | requeued) stop ;; esac
        status_of "$tending"
        status=$?
    fi
fi
kill -TERM "$coordinator" 2>/dev/null
status_of "$coordinator"
[ -z "$timer" ] || kill "$timer" 2>/dev/null
# A run that has ended in the meantime, or failed, does not go on.
if [ "$end" = again ] && { [ -z "$tending" ] || [ "$status" -eq 143 ]; }; then
    echo "hebbian: the coordinator goes into the queue again"
    scontrol requeue "$SLURM_JOB_ID" && end=requeued
fi
[ "$end" != requeued ] || trap 'rm -rf "$keys"' EXIT
exit "$status"
