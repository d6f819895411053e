#!/bin/bash
# The coordinator of hebbian as a small Slurm job, with its run, for as long as that takes. `hebbian slurm submit` fills in the settings,
# submits it, and an array of workers (worker.sh) with it.
#
# HEBBIAN_DIRECTORY is on a disk that all nodes share. It holds spec.toml, certs/ (`hebbian certs`), workers (the number of the array),
# the journal, the file `coordinator` with the address, and at the end genome.json. A minute before its time is over, and when its node has failed, the
# job goes into the queue again, maybe to another node: it takes the journal up, and the workers find it by the file.
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
keys=$(mktemp -d) || exit 1
trap 'rm -rf "$keys"' EXIT
host=$(hostname)
# The authority of this run signs a certificate for the node that this is.
cp certs/ca.pem certs/ca-key.pem "$keys" && "$hebbian" certs --out "$keys" --name "$host" || exit 1
export HEBBIAN_TLS_CA=$PWD/certs/ca.pem HEBBIAN_TLS_CERTIFICATE=$PWD/certs/client.pem HEBBIAN_TLS_KEY=$PWD/certs/client-key.pem

"$hebbian" coordinator --listen 0.0.0.0:0 --address-file "$keys/address" --storage sqlite:journal.sqlite \
    --tls-certificate "$keys/coordinator.pem" --tls-key "$keys/coordinator-key.pem" --tls-client-ca certs/ca.pem &
coordinator=$!
tending=
end=
leave() {
    end=$1
    [ -z "$tending" ] || kill -TERM "$tending" 2>/dev/null
}
trap 'leave again' USR1
trap 'leave cancelled' TERM
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
        "$hebbian" slurm tend "$run" --array "$(cat workers)" --out genome.json ${HEBBIAN_TEND:-} &
        tending=$!
        [ -z "$end" ] || kill -TERM "$tending"
        while :; do
            wait "$tending"
            status=$?
            kill -0 "$tending" 2>/dev/null || break
        done
    fi
fi
kill -TERM "$coordinator" 2>/dev/null
while :; do
    wait "$coordinator"
    kill -0 "$coordinator" 2>/dev/null || break
done
if [ "$end" = again ]; then
    rm -rf "$keys"
    echo "hebbian: the coordinator goes into the queue again"
    exec scontrol requeue "$SLURM_JOB_ID"
fi
rm -f coordinator
scancel "$(cat workers)"
exit "$status"
