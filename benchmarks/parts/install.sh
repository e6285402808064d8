#!/bin/bash
# Installs packages of Debian that a benchmark compares with: install.sh PACKAGE... Run it as root.
# No package starts a service: the benchmark starts what it needs itself, for as long as it needs it.
set -euo pipefail

POLICY=/usr/sbin/policy-rc.d

restore() {
    if [ -e "$POLICY.before-benchmark" ]; then
        mv -f "$POLICY.before-benchmark" "$POLICY"
    else
        rm -f "$POLICY"
    fi
}

missing=()
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
[ "$(id -u)" -eq 0 ] || { echo "missing: ${missing[*]}; install them, or run this as root" >&2; exit 1; }
[ ! -e "$POLICY" ] || cp -a "$POLICY" "$POLICY.before-benchmark"
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$POLICY"
chmod 755 "$POLICY"
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null
