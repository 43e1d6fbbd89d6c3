#!/usr/bin/env bash
# A throw-away Slurm of one node on this machine, for tests: no systemd, no cgroups, no database.
#
#   setup.sh start ROOT    everything but a link lies in ROOT
#   setup.sh stop ROOT     cancels its jobs, ends its daemons, removes the link
#
# Needs root and Debian's slurmctld, slurmd, slurm-client and munge.  Job steps look for their
# configuration in /etc/slurm, whatever SLURM_CONF says: start puts a link there, and refuses if
# something is there already, so that a real cluster is left alone.
set -euo pipefail
verb=${1:?start or stop}
root=$(realpath -m "${2:?folder}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cpus=${SLURM_TEST_CPUS:-4}
memory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
link=/etc/slurm/slurm.conf
export SLURM_CONF=$root/slurm.conf

end() {
    local file=$root/run/$1.pid
    [ -s "$file" ] || return 0
    local number
    number=$(cat "$file")
    for _ in $(seq 50); do
        kill "$number" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$number" 2>/dev/null || true
}

stop() {
    [ ! -s "$root/run/slurmctld.pid" ] || timeout 10 scancel --full --user root || true
    end slurmd
    end slurmctld
    end munged
    [ "$(readlink "$link" || true)" != "$SLURM_CONF" ] || rm -f "$link"
}

start() {
    if [ -e "$link" ]; then
        echo "$link exists: there is a Slurm here already" >&2
        exit 3
    fi
    mkdir -p "$root"/{state,spool,log,run,munge} /etc/slurm
    chmod 755 "$root" "$root/munge"
    chmod 700 "$root/run"
    (umask 077 && head -c 128 /dev/urandom >"$root/run/munge.key")
    sed -e "s|@ROOT@|$root|g; s|@HOST@|$(hostname -s)|; s|@CPUS@|$cpus|; s|@MEMORY@|$memory|" \
        "$here/slurm.conf.in" >"$SLURM_CONF"
    ln -sfn "$SLURM_CONF" "$link"
    munged --force --key-file="$root/run/munge.key" --socket="$root/munge/munge.sock" \
        --pid-file="$root/run/munged.pid" --log-file="$root/run/munged.log" \
        --seed-file="$root/run/munged.seed"
    slurmctld -c
    slurmd -c -N localhost
    for _ in $(seq 150); do
        [ "$(sinfo --noheader -N -o %T 2>/dev/null || true)" != idle ] || return 0
        sleep 0.2
    done
    echo "the node did not become idle" >&2
    exit 1
}

case $verb in
start | stop) "$verb" ;;
*) exit 2 ;;
esac
