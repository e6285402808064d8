#!/bin/bash
# Installs what benchmarks/relay.py compares with, Debian's rtpengine, and the compiler for its load. Run it as root.
# The packages start no service: the benchmark starts rtpengine itself, for as long as it needs it.
set -euo pipefail

POLICY=/usr/sbin/policy-rc.d

restore() {
    if [ -e "$POLICY.before-benchmark" ]; then
        mv -f "$POLICY.before-benchmark" "$POLICY"
    else
        rm -f "$POLICY"
    fi
}

if command -v rtpengine cc >/dev/null; then
    exit 0
fi
[ "$(id -u)" -eq 0 ] || { echo "rtpengine-daemon and gcc are missing: install them, or run this as root" >&2; exit 1; }
[ ! -e "$POLICY" ] || cp -a "$POLICY" "$POLICY.before-benchmark"
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$POLICY"
chmod 755 "$POLICY"
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install rtpengine-daemon gcc libc6-dev >/dev/null
