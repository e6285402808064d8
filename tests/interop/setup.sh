#!/bin/bash
# Installs what the interop tests drive: SIP and chat clients, Kamailio, Prosody, ejabberd, a builder of container images and a
# compiler for BPF on this machine, an Asterisk per Debian suite in a root of its own (Debian 12 has none), and a bare Debian with
# Python, the base of our image. Run it as root; a second run finds everything there and takes a second.
#
#   HAPROXY_VOIP_CACHE    where the roots are kept (default /var/cache/haproxy_voip), one folder per suite
#   HAPROXY_VOIP_SUITES   which suites (default "bullseye sid": Asterisk 16 with chan_sip, Asterisk 22)
#
# Exit status 0: everything needed is there. The suites besides the first are a bonus: sid moves and is now and then not
# installable, which must not stop anybody from working. Tests that need a missing one say so, and CI fails on it.
set -euo pipefail

CACHE=${HAPROXY_VOIP_CACHE:-/var/cache/haproxy_voip}
SUITES=${HAPROXY_VOIP_SUITES:-bullseye sid}
BASE=bookworm               # the suite that stands for the base of the image
TRIES=3                     # a mirror behind a cache answers 503 now and then
TRY_SECONDS=420             # a try that takes longer hangs: one suite takes about 70 s
RECIPE=2                    # grows when a root built by an older version of this script will not do
POLICY=/usr/sbin/policy-rc.d

# command -> the package that has it, and what else that needs
declare -A NEEDED=(
    [kamailio]=kamailio [sipp]=sip-tester [sipsak]=sipsak [svwar]=sipvicious [baresip]=baresip-core [debootstrap]=debootstrap [buildah]=buildah
    [prosody]='prosody lua-dbi-sqlite3' [ejabberdctl]=ejabberd [profanity]=profanity-light [openssl]=openssl
    [clang]=clang [ip]=iproute2 [unshare]=util-linux [setpriv]=util-linux [nsenter]=util-linux [ps]=procps [flock]=util-linux
)
# The same for files that are no commands: the library that loads the relay into the kernel comes with its headers.
declare -A NEEDED_FILES=([/usr/include/bpf/bpf_helpers.h]=libbpf-dev)

say() { printf 'setup: %s\n' "$*"; }

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Runs a command until it succeeds, TRIES times at most.
retry() {
    local try
    for ((try = 1; try <= TRIES; try++)); do
        timeout --kill-after=10 "$TRY_SECONDS" "$@" && return 0
        say "try $try of $TRIES failed: $1"
        sleep $((try * 2))
    done
    return 1
}

# No package may start a service: our servers are started by the tests, on addresses of their own.
forbid_services() {
    if [ -e "$POLICY" ]; then
        cp -a "$POLICY" "$POLICY.before-setup"
    fi
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    trap restore_services EXIT
}

restore_services() {
    if [ -e "$POLICY.before-setup" ]; then
        mv -f "$POLICY.before-setup" "$POLICY"
    else
        rm -f "$POLICY"
    fi
    trap - EXIT
}

install_commands() {
    local command file missing=()
    for command in "${!NEEDED[@]}"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || missing+=(${NEEDED[$command]})
    done
    for file in "${!NEEDED_FILES[@]}"; do
        [ -e "$file" ] || missing+=("${NEEDED_FILES[$file]}")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        say "clients and tools are there"
        return
    fi
    say "installing ${missing[*]}"
    forbid_services
    local log=$CACHE/apt.log
    retry apt-get -q update >"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "apt-get update failed"; }
    DEBIAN_FRONTEND=noninteractive retry apt-get -q -y --no-install-recommends install "${missing[@]}" >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; fail "apt-get install failed"; }
    restore_services
}

# The mirror that apt here takes Debian's main archive from, so no host is named twice.
mirror() {
    apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(SITE)' 'Created-By: Packages' |
        awk '$1 == "Debian" && $3 !~ /security/ { print $3; exit }'
}

build_root() {
    local suite=$1 site=$2 root=$CACHE/$1 partial=$CACHE/$1.partial log=$CACHE/$1.log packages=asterisk command=asterisk
    case $suite in
        bullseye) packages=asterisk,asterisk-voicemail ;;   # later suites have voicemail in the package itself
        "$BASE") packages=python3,python3-venv,ca-certificates command=python3 ;;
    esac
    mkdir -p "$CACHE/$suite.debs"
    local started=$SECONDS try
    for ((try = 1; try <= TRIES; try++)); do
        rm -rf --one-file-system "$partial"
        if timeout --kill-after=10 "$TRY_SECONDS" debootstrap --variant=minbase --cache-dir="$CACHE/$suite.debs" \
            --include="$packages" "$suite" "$partial" "$site" >"$log" 2>&1; then
            break
        fi
        say "$suite: try $try of $TRIES failed: $(tail -n 1 "$log")"
        [ "$try" -lt "$TRIES" ] || { tail -n 20 "$log" >&2; return 1; }
        sleep $((try * 2))
    done
    # Kept small: nobody installs anything there or reads its manuals.
    rm -rf "$partial"/var/cache/apt/archives/*.deb "$partial"/var/lib/apt/lists/* "$CACHE/$suite.debs" \
        "$partial"/usr/share/{man,locale} "$partial"/usr/share/doc
    mkdir -p "$partial/srv/instance"        # an instance's folder is mounted here, backends/asterisk/run
    chroot "$partial" "$command" -V >"$partial/.recipe-version" || return 1
    echo "$RECIPE" >"$partial/.recipe"
    rm -rf --one-file-system "$root"
    mv "$partial" "$root"
    say "$suite: $(cat "$root/.recipe-version"), $(du -sm "$root" | cut -f1) MB, $((SECONDS - started)) s"
}

root_is_there() {
    [ "$(cat "$CACHE/$1/.recipe" 2>/dev/null)" = "$RECIPE" ]
}

build_roots() {
    local suite site="" first=${SUITES%% *} failed=0
    declare -A building=()
    for suite in $SUITES $BASE; do
        if root_is_there "$suite"; then
            say "$suite: $(cat "$CACHE/$suite/.recipe-version") is there"
            continue
        fi
        if [ -z "$site" ]; then
            site=$(mirror)
            [ -n "$site" ] || { retry apt-get -q update >/dev/null && site=$(mirror); }
            [ -n "$site" ] || fail "apt here has no Debian archive among its sources"
        fi
        say "$suite: installing into $CACHE/$suite"
        build_root "$suite" "$site" &
        building[$suite]=$!
    done
    for suite in $SUITES $BASE; do
        [ -n "${building[$suite]:-}" ] || continue
        if ! wait "${building[$suite]}"; then
            say "$suite: could not be built, see $CACHE/$suite.log"
            [ "$suite" != "$first" ] || failed=1
        fi
    done
    return $failed
}

[ "$(id -u)" -eq 0 ] || fail "must run as root (apt, debootstrap, chroot)"
mkdir -p "$CACHE"
exec 9>"$CACHE/lock"
flock -w 900 9 || fail "another setup holds $CACHE/lock"
install_commands
build_roots || fail "the first suite is needed"
say "done in $SECONDS s"
