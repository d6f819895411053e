# What the container tests share: Docker's engine and compose, base images, the image under test, and ways to wait and to fail. It is sourced
# at the top of the project, by a test that has set `file` to its compose file and `test` to its name.
#
# Without a Docker engine the test is skipped, with a word. Where no registry can be reached the base images are made here, of Debian's packages
# (debootstrap) and of this machine's Rust.
say() { printf '%s: %s\n' "$test" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
# No command fails without a word. (And no pipe ends in `head`: it closes early, and what writes into it then fails.)
set -o errtrace
trap 'say "FAILED: line $LINENO: $BASH_COMMAND" >&2' ERR

if ! docker info >/dev/null 2>&1; then
    say "skipped: no Docker engine answers"
    exit 0
fi
if docker compose version >/dev/null 2>&1; then
    compose_command=(docker compose)
elif command -v docker-compose >/dev/null; then
    compose_command=(docker-compose)
else
    say "skipped: neither 'docker compose' nor 'docker-compose' is installed"
    exit 0
fi

project="hebbian-test-$$"
# Containers that the test starts beside those of the compose file.
beside=()
work=$(mktemp -d)
compose() { "${compose_command[@]}" --project-name "$project" --file "$file" "$@"; }
clean_up() {
    status=$?
    if [ "$status" -ne 0 ]; then compose logs --tail 40 2>&1 | tail -n 120 || true; fi
    [ "${#beside[@]}" -eq 0 ] || docker rm --force "${beside[@]}" >/dev/null 2>&1 || true
    compose down --volumes --timeout 5 >/dev/null 2>&1 || true
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT

debootstrap_is_here() {
    command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq debootstrap; } >/dev/null
}
# Base images: pulled where there is a registry, otherwise made here once and kept for the next time.
make_base_images() {
    debootstrap_is_here
    local root="$work/root"
    if ! docker image inspect hebbian-base/runtime >/dev/null 2>&1; then
        say "making a runtime image with debootstrap"
        debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log" || fail "$(tail -n 3 "$work/debootstrap.log")"
        rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
        tar -C "$root" -c . | docker import - hebbian-base/runtime >/dev/null
        rm -rf "$root"
    fi
    if ! docker image inspect hebbian-base/build >/dev/null 2>&1; then
        say "making a build image with debootstrap and this machine's Rust"
        debootstrap --variant=minbase --include=gcc,libc6-dev,ca-certificates bookworm "$root" >"$work/debootstrap.log" \
            || fail "$(tail -n 3 "$work/debootstrap.log")"
        rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/usr/share/{doc,man,locale}/*
        local sysroot
        sysroot=$(rustc --print sysroot)
        mkdir -p "$root/usr/local/bin" "$root/usr/local/lib"
        cp -a "$sysroot"/bin/{cargo,rustc} "$root/usr/local/bin/"
        cp -a "$sysroot"/lib/*.so* "$root/usr/local/lib/"
        mkdir -p "$root/usr/local/lib/rustlib"
        cp -a "$sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')" "$root/usr/local/lib/rustlib/"
        # Behind a company's proxy only this machine's certificates are any good.
        cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
        tar -C "$root" -c . | docker import - hebbian-base/build >/dev/null
        rm -rf "$root"
    fi
    export HEBBIAN_RUNTIME_IMAGE=hebbian-base/runtime HEBBIAN_BUILD_IMAGE=hebbian-base/build
}
# build_image SERVICE: hebbian:test, by what deploy/ ships. HEBBIAN_IMAGE=made takes the one that a test before has made.
build_image() {
    # The tag makes the test's image another one than a user's. It is compiled in half of the time; HEBBIAN_PROFILE=dist tests what is shipped.
    export HEBBIAN_TAG="test" HEBBIAN_PORT=0 HEBBIAN_PORT_TWO=0 HEBBIAN_PROFILE="${HEBBIAN_PROFILE:-release}"
    if [ "${HEBBIAN_IMAGE:-}" = made ] && docker image inspect hebbian:test >/dev/null 2>&1; then return; fi
    if ! timeout 60 docker pull --quiet docker.io/library/debian:bookworm-slim >/dev/null 2>&1 \
        || ! timeout 600 docker pull --quiet docker.io/library/rust:1-slim-bookworm >/dev/null 2>&1; then
        make_base_images
    fi
    say "building the image"
    compose build "$1" >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log"; fail "the image does not build"; }
}

# until_true SECONDS WHAT COMMAND...: polls a condition.
until_true() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$what did not happen"
        sleep 0.2
    done
}

# undisturbed SPEC GENOME: what `hebbian run` comes to, in the image under test.
undisturbed() {
    say "the undisturbed run, in one process"
    docker run --rm --volume "$1:/spec.toml:ro" --entrypoint sh hebbian:test -c \
        'hebbian run /spec.toml --out /tmp/out >/tmp/log 2>&1 || { cat /tmp/log >&2; exit 1; }; cat /tmp/out/genome.json' >"$2"
}

# What the run `run` and the cluster say, by a command of the test that is called `client`.
workers_are() { [ "$(client workers --json | grep -o '"overtaken":' | wc -l)" -eq "$1" ]; }
ask_status() { client status "$run" --json >"$work/status.json"; }
generation() { ask_status && sed -n '/"generation":/{s/.*"generation": *\([0-9]*\).*/\1/p;q}' "$work/status.json"; }
past() { [ "$(generation)" -ge "$1" ]; }
state_is() { ask_status && grep -q "\"kind\": *\"$1\"" "$work/status.json"; }
running() { state_is running; }
finished() { state_is finished; }

# same_genome ALONE CLUSTER WHAT_HAPPENED
same_genome() {
    [ -n "$(values "$1")" ] || fail "no genome in $(cat "$1")"
    [ "$(values "$1")" = "$(values "$2")" ] || fail "the genomes differ"
    say "passed: after $3 the genome equals the undisturbed one's, $(values "$1" | tr ',' '\n' | grep -c .) values"
}
values() { tr -d ' \n' <"$1" | sed -n 's/.*"values":\[\([^]]*\)\].*/\1/p'; }
