#!/usr/bin/env bash
# What some tests need besides Python: Slurm, a browser, a reader of PDF; on Debian or Ubuntu, as
# root. Without them these tests skip.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install --yes -qq --no-install-recommends \
    slurmctld slurmd slurm-client munge chromium poppler-utils
