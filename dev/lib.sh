# Shared by the scripts in dev/: messages, Debian packages that are installed only when missing, and detached processes.
# shellcheck shell=bash

# One engine for every script and for argon itself, whatever the docker CLI's current context says.
default_socket=unix:///var/run/docker.sock
export DOCKER_HOST="${DOCKER_HOST:-$default_socket}"

cache="${XDG_CACHE_HOME:-$HOME/.cache}/argon-dev"
mkdir -p "$cache"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

is_root_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_updated=no
apt_update() {
    [ "$apt_updated" = yes ] && return
    apt-get -q update </dev/null >"$cache/apt.log" 2>&1 || {
        tail -n 5 "$cache/apt.log" >&2
        die "apt-get update failed (whole log: $cache/apt.log)"
    }
    apt_updated=yes
}

# need COMMAND PACKAGE: the command is there afterwards, or the script has ended with the way to get it.
need() {
    command -v "$1" >/dev/null && return
    is_root_debian || die "'$1' is missing: install it (Debian: apt-get install $2) and run this again"
    say "installing $2 (for $1)"
    apt_update
    # The output goes to a file: a service that the package starts must not hold our caller's stdout.
    DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$2" \
        </dev/null >>"$cache/apt.log" 2>&1 || {
        tail -n 5 "$cache/apt.log" >&2
        die "apt-get install $2 failed (whole log: $cache/apt.log)"
    }
    hash -r
}

# detached LOG COMMAND…: starts it in a session of its own with no file of ours open; its pid is in $detached_pid.
detached() {
    local log=$1 fd
    shift
    (
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            [ "$fd" -gt 2 ] && eval "exec $fd>&-" 2>/dev/null
        done
        exec setsid "$@"
    ) </dev/null >>"$log" 2>&1 &
    detached_pid=$!
}

# engine_answers [SECONDS]
engine_answers() {
    command -v docker >/dev/null && timeout "${1:-5}" docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}
