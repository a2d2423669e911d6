#!/bin/sh
# feature-demo.sh: brings a demo of a branch up on a bare Debian 13 server, updates it, and
# removes it again without leftovers. Run it on the server, as root:
#
#   sh feature-demo.sh            asks what it has to know
#   sh feature-demo.sh --help     every flag, for running it unattended
#
# It is one file and downloads nothing but Debian's packages, your branch and its images.
# What follows is its parts as text; the last lines start it.
set -eu
umask 022

fail() {
    printf 'error: %s\nnext: %s\n' "$1" "$2" >&2
    exit 1
}

# Debian's own images have Python; a root filesystem made by hand may not.
find_python() {
    ! command -v python3 >/dev/null || return 0
    [ "$(id -u)" = 0 ] || fail "there is no python3 here, and only root can install it" \
        "run it as root: sudo sh feature-demo.sh"
    command -v apt-get >/dev/null || fail "there is no python3 here, and no apt-get to install it" \
        "take a server with Debian 13"
    dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' >"$folder/packages-before"
    echo "==> installing python3" >&2
    if ! { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        --no-install-recommends install python3; } >"$folder/apt.log" 2>&1; then
        tail -n 5 "$folder/apt.log" >&2
        fail "python3 could not be installed" "look at 'apt-get update' on this server"
    fi
}

main() {
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    find_python
    unpack
    status=0
    # -I: nothing of the caller's folder or environment is imported.
    python3 -I -B -c 'import sys
sys.path.insert(0, sys.argv.pop(1))
from feature_demo.main import main
sys.exit(main(sys.argv[1:]))' "$folder" "$@" || status=$?
    exit "$status"
}

