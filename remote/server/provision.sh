#!/bin/sh
# Makes a Debian 13 server ready for releases. Run as root from the folder the
# hand-over unpacked; parameters.sh beside it says ADMIN_KEYS, DEPLOY_KEY (empty: nobody deploys
# over SSH, so sshd and root's keys stay as they are), SSH_PORT, HOST_KEY_TYPES, VOLUME_DEVICE
# and VOLUME_SIZE. Safe to repeat: it looks before it changes,
# and a stamp makes a repetition instant. Lines for the operator go to fd 3.
set -eu
umask 022
here=$(dirname "$0")
# shellcheck source=/dev/null
. "$here/parameters.sh"
fingerprint=$(cat "$here/fingerprint")

etc=/etc/deployment-flow
lib=/usr/local/lib/deployment-flow
state=/var/lib/deployment-flow
log=/var/log/deployment-flow/provision.log
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

[ "$(id -u)" = 0 ] || { echo "provision.sh has to run as root"; exit 1; }
install -d -m 0750 /var/log/deployment-flow
exec 3>&1 >>"$log" 2>&1

# The hand-over takes five silent minutes for a lost server; apt can be silent for longer.
(while sleep 60 >/dev/null 2>&1 3>&-; do echo "still at work" >&3; done) &
beat=$!
# shellcheck disable=SC2329 # by the traps
hush() { kill "$beat" 2>/dev/null || true; }
trap hush EXIT

say() { echo "$*" >&3; echo "$(date -u +%FT%TZ) == $*"; }
fail() { say "error: $1"; trap hush EXIT; exit 1; }
# shellcheck disable=SC2329 # by the trap
ended() {
    status=$?
    hush
    [ "$status" = 0 ] || { say "provision.sh stopped (status $status); its log ends:"; tail -n 15 "$log" | cut -c1-400 >&3; }
    exit "$status"
}
trap ended EXIT

# Install a file only when it differs; true when it was changed.
put() { # mode source target
    if cmp -s "$2" "$3"; then chmod "$1" "$3"; return 1; fi
    install -D -m "$1" "$2" "$3.new"
    mv -f "$3.new" "$3"
}

wait_for_cloud_init() {
    cloud_init=absent
    command -v cloud-init >/dev/null || return 0
    say "waiting for cloud-init"
    timeout 600 cloud-init status --wait >/dev/null || true
    # Prints one word, and the complaints when user data was not applied whole.
    cloud_init=$(cloud-init status --format json 2>/dev/null | python3 -c '
import json, sys
try:
    told = json.load(sys.stdin)
except ValueError:
    told = {}
word = told.get("extended_status") or told.get("status") or "unknown"
found = list(told.get("errors") or [])
for level, lines in (told.get("recoverable_errors") or {}).items():
    # What will be refused one day was applied all the same; the cloud has such settings of its own.
    found += lines if level != "DEPRECATED" else []
if word == "degraded done" and not found:
    word = "done"
print(word.replace(" ", "-"))
for line in found[:5]:
    print(str(line)[:300], file=sys.stderr)
' 2>"$here/cloud-init-errors") || cloud_init=unknown
    case $cloud_init in
        done) ;;
        *)
            say "warning: cloud-init ended '$cloud_init': something of the user data, or of the \
cloud's own settings, was not applied"
            cat "$here/cloud-init-errors" >&3
            say "next: 'cloud-init status --long' and 'cloud-init schema --system' on the server"
            ;;
    esac
}

finish() { # changed
    trap hush EXIT
    echo "deployment-flow: result {\"changed\": $1, \"cloud_init\": \"$cloud_init\"}" >&3
    exit 0
}

stamp() { printf '%s %s\n' "$fingerprint" "$(sha256sum <"$here/parameters.sh" | cut -c1-64)"; }

is_ready() {
    [ -f "$etc/stamp" ] && [ "$(cat "$etc/stamp")" = "$(stamp)" ] || return 1
    # One by one: of several, `is-active` is content with any.
    for unit in docker caddy deployment-flow-firewall; do
        systemctl is-active --quiet "$unit" || return 1
    done
    # Somebody's `nft flush ruleset` leaves the unit active, and every port open.
    nft list table inet deployment_flow >/dev/null 2>&1 || return 1
    [ -z "$VOLUME_DEVICE" ] || mountpoint -q /data
}

# Where the kernel has AppArmor on but its parser is missing, Docker confines no container and does
# not say so: it only recommends the package. Where somebody else's Docker is, or a demo is a guest,
# that is theirs to say; a container (the sandbox) has its host's kernel.
wants_apparmor() {
    case $missing in *docker.io*) ;; *) return 1 ;; esac
    [ -n "$DEPLOY_KEY" ] && [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] &&
        ! command -v apparmor_parser >/dev/null && ! systemd-detect-virt --quiet --container
}

install_packages() {
    missing=""
    command -v docker >/dev/null && docker --version >/dev/null 2>&1 || missing="$missing docker.io docker-cli"
    docker compose version >/dev/null 2>&1 || missing="$missing docker-compose"
    for pair in caddy:caddy nft:nftables sudo:sudo python3:python3 mkfs.ext4:e2fsprogs \
        unattended-upgrade:unattended-upgrades mountpoint:util-linux ss:iproute2 iptables:iptables; do
        command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
    done
    [ -f /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
    wants_apparmor && missing="$missing apparmor"
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "this server lacks$missing and has no apt-get; next: give one \
with Debian 13, or install these by hand"
    say "installing:$missing"
    # A run cut in the middle of dpkg leaves packages half configured.
    tries=0
    until timeout 300 dpkg --configure -a; do
        tries=$((tries + 1))
        # It does not wait for the lock an automatic upgrade holds, as apt-get does.
        [ "$tries" -lt 24 ] || fail "dpkg is busy or broken on this server; next: run \
'dpkg --configure -a' there, then 'pulumi up' again"
        say "waiting for another installation to finish"
        sleep 10
    done
    # The daily timer of a server that has just booted may hold the lists, which apt does not wait for.
    tries=0
    until timeout 300 apt-get -qq -o Acquire::Retries=3 update; do
        tries=$((tries + 1))
        [ "$tries" -lt 6 ] || fail "the package lists cannot be read; next: look at 'apt-get update' on the server"
        sleep 10
    done
    # shellcheck disable=SC2086 # a list of package names
    timeout 1200 apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=240 -o Acquire::Retries=3 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install $missing
    docker compose version >/dev/null || fail "docker compose (version 2) is not usable after the \
installation; Debian 13 has it as docker-compose: next: use the image debian-13"
}

# Whether networks of containers may have IPv6: Docker opens its own way through the filter for
# them, and learns of it as it starts. Where somebody's containers are, it is not for us to restart.
may_have_ipv6() {
    ip6tables -w 5 -t nat -L -n >/dev/null 2>&1 || return 1
    if systemctl is-active --quiet docker; then
        [ -z "$(docker ps --all --quiet)" ]
    else
        [ -z "$(ls -A /var/lib/docker/containers 2>/dev/null)" ]
    fi
}

configure_docker() {
    settings="$here/files/daemon.json"
    may_have_ipv6 && settings="$settings $here/files/daemon-ipv6.json"
    # Keys somebody else set on a given host stay as they are.
    # shellcheck disable=SC2086 # a list of files
    if python3 - /etc/docker/daemon.json $settings <<'PYTHON'
import json, pathlib, sys
path = pathlib.Path(sys.argv[1])
before = json.loads(path.read_text()) if path.exists() and path.read_text().strip() else {}
after = {}
for ours in sys.argv[2:]:
    after |= json.loads(pathlib.Path(ours).read_text())
after |= before
if after == before:
    sys.exit(1)
path.parent.mkdir(exist_ok=True)
new = path.with_suffix(".new")
new.write_text(json.dumps(after, indent=2) + "\n")
new.replace(path)
PYTHON
    then
        case $settings in
            *" "*) systemctl is-active --quiet docker && systemctl stop docker.socket docker || true ;;
            *) systemctl is-active --quiet docker && systemctl reload docker || true ;;
        esac
    fi
    # An app whose data volume is missing must stay down, not start on an empty folder.
    if [ -n "$VOLUME_DEVICE" ]; then
        install -d /etc/systemd/system/docker.service.d
        printf '[Unit]\nRequiresMountsFor=/data\n' >"$here/mount.conf"
        put 0644 "$here/mount.conf" /etc/systemd/system/docker.service.d/deployment-flow.conf &&
            systemctl daemon-reload
    fi
    systemctl enable --quiet docker
    if ! systemctl is-active --quiet docker; then
        say "starting Docker"
        # Starts that failed before, for want of the volume, do not count.
        systemctl reset-failed docker.service docker.socket 2>/dev/null || true
        systemctl start docker
    fi
}

# A volume made larger: its filesystem follows, where a group of blocks or more is missing.
grow_unmounted() {
    [ "$(blkid -p -o value -s TYPE "$VOLUME_DEVICE")" = ext4 ] || return 0
    # Hetzner's automount may have put it under /mnt.
    ! findmnt -n -S "$VOLUME_DEVICE" >/dev/null || return 0
    filesystem=$(dumpe2fs -h "$VOLUME_DEVICE" 2>/dev/null | awk -F: '
        /^Block count/ {count = $2} /^Block size/ {size = $2} END {printf "%.0f", count * size}')
    [ $(($(blockdev --getsize64 "$VOLUME_DEVICE") - filesystem)) -ge 134217728 ] || return 0
    say "growing the filesystem of the data volume"
    checked=0
    e2fsck -f -p "$VOLUME_DEVICE" || checked=$?
    # 1: it had errors, and has none now.
    if [ "$checked" -gt 1 ] || ! resize2fs "$VOLUME_DEVICE"; then
        say "warning: the filesystem of the data volume could not be grown; next: look at \
'e2fsck -f -n $VOLUME_DEVICE' on the server"
    fi
}

# Another data volume than before, or none any more: what is mounted leaves, or is gone already.
leave_other_volume() {
    line=$(grep -E '^/dev/disk/by-id/scsi-0HC_Volume_[0-9]+[[:space:]]+/data[[:space:]]' /etc/fstab || true)
    if [ -z "$line" ] || [ "${line%%[[:space:]]*}" = "$VOLUME_DEVICE" ]; then return 0; fi
    say "the data volume is another one now: stopping the application to change over"
    # live-restore would keep containers running on the old one.
    docker ps -q | timeout 120 xargs -r docker stop || true
    timeout 120 systemctl stop docker.socket docker || true
    umount /data || umount -l /data || true
    sed -i '\#[[:space:]]/data[[:space:]]#d' /etc/fstab
    rm -f /etc/systemd/system/docker.service.d/deployment-flow.conf
    systemctl daemon-reload
}

# Looked at before anything is stopped for it: a volume that is refused leaves the server as it was.
check_volume() {
    kind=none
    [ -n "$VOLUME_DEVICE" ] || return 0
    waited=0
    while [ ! -b "$VOLUME_DEVICE" ]; do
        [ "$waited" -lt 60 ] || fail "the data volume $VOLUME_DEVICE is not attached to this server; \
next: look at the volume in the cloud's console and run 'pulumi up' again"
        sleep 1
        waited=$((waited + 1))
    done
    # A device is formatted only when two tools find nothing at all on it.
    if ! kind=$(blkid -p -o value -s TYPE "$VOLUME_DEVICE"); then kind=""; fi
    [ -n "$kind" ] || [ -z "$(wipefs --noheadings "$VOLUME_DEVICE")" ] || fail "$VOLUME_DEVICE holds \
something that is not a filesystem; it will not be formatted; next: look at it with 'wipefs $VOLUME_DEVICE'"
}

mount_volume() {
    check_volume
    leave_other_volume
    if [ -z "$VOLUME_DEVICE" ]; then install -d /data; return; fi
    if [ -z "$kind" ]; then
        say "the volume is empty: making a filesystem on it"
        mkfs.ext4 -q -m 1 "$VOLUME_DEVICE"
    fi
    install -d /data
    if ! mountpoint -q /data && [ -n "$(ls -A /data)" ]; then
        fail "/data on the server's own disk is not empty, and the volume would hide it; next: move \
its contents away, run 'pulumi up', then copy them onto the volume"
    fi
    line="$VOLUME_DEVICE /data auto defaults,nofail,discard,x-systemd.device-timeout=30s 0 2"
    if ! grep -qxF "$line" /etc/fstab; then
        grep -v '[[:space:]]/data[[:space:]]' /etc/fstab >"$here/fstab" || true
        echo "$line" >>"$here/fstab"
        install -m 0644 "$here/fstab" /etc/fstab.new
        mv /etc/fstab.new /etc/fstab
        systemctl daemon-reload
    fi
    if ! mountpoint -q /data; then
        grow_unmounted
        say "mounting the data volume at /data"
        mount /data
    fi
    # The same while it is in use. Harmless when it already fits.
    case $(findmnt -n -o FSTYPE /data) in
        ext4) resize2fs "$VOLUME_DEVICE" || say "warning: the filesystem on /data could not be grown \
while it is mounted; next: on the server, 'systemctl stop docker.socket docker; umount /data; \
e2fsck -f -p $VOLUME_DEVICE; resize2fs $VOLUME_DEVICE; reboot'" ;;
        xfs) xfs_growfs /data || true ;;
    esac
}

keep_only() { # query, wanted names: those this OpenSSH knows, joined by commas
    known=$(ssh -Q "$1")
    shift
    for name in "$@"; do
        printf '%s\n' "$known" | grep -qxF "$name" && printf '%s,' "$name"
    done | sed 's/,$//'
}

# In a file of their own, which sshd reads, too: who is taken from the settings is out, and the
# key this runs with is never touched.
admit_admins() {
    install -d -m 0700 /root/.ssh
    printf '%s\n' "$ADMIN_KEYS" >"$here/admins"
    put 0600 "$here/admins" /root/.ssh/authorized_keys2 || true
}

harden_sshd() {
    types=$(printf '%s\n' "$HOST_KEY_TYPES ssh-ed25519 rsa-sha2-512 rsa-sha2-256" |
        tr ' ' '\n' | sed 's/^ssh-rsa$/rsa-sha2-512/' | awk 'NF && !seen[$0]++' | paste -sd,)
    {
        cat "$here/files/sshd.conf"
        echo "HostKeyAlgorithms $types"
        echo "KexAlgorithms $(keep_only kex mlkem768x25519-sha256 sntrup761x25519-sha512 \
            sntrup761x25519-sha512@openssh.com curve25519-sha256 curve25519-sha256@libssh.org)"
        echo "Ciphers $(keep_only cipher aes256-gcm@openssh.com aes128-gcm@openssh.com \
            aes256-ctr aes192-ctr aes128-ctr)"
        echo "MACs $(keep_only mac hmac-sha2-512-etm@openssh.com hmac-sha2-256-etm@openssh.com \
            umac-128-etm@openssh.com)"
        cat "$here/files/sshd-agent.conf"
    } >"$here/sshd"
    drop_in=/etc/ssh/sshd_config.d/10-deployment-flow.conf
    install -d -m 0755 /etc/ssh/sshd_config.d /run/sshd
    cmp -s "$here/sshd" "$drop_in" && return 0
    say "hardening sshd: keys only, and the deploy key bound to the agent"
    grep -qi '^ *include */etc/ssh/sshd_config.d/' /etc/ssh/sshd_config ||
        sed -i '1i Include /etc/ssh/sshd_config.d/*.conf' /etc/ssh/sshd_config
    [ ! -f "$drop_in" ] || cp "$drop_in" "$here/sshd.before"
    install -m 0644 "$here/sshd" "$drop_in"
    if ! sshd -t; then
        if [ -f "$here/sshd.before" ]; then cp "$here/sshd.before" "$drop_in"; else rm "$drop_in"; fi
        fail "sshd refuses the hardened settings; they were taken back"
    fi
    systemctl reload ssh || systemctl reload sshd
}

# Who may hand releases over: a user with one key, one command, and root's rights for that.
admit_deployer() {
    getent passwd flow >/dev/null ||
        useradd --system --no-create-home --home-dir "$lib" --shell /bin/sh flow
    usermod -p '*' flow
    command="restrict,command=\"/usr/bin/sudo -n $lib/deployment-flow-agent\""
    printf '%s %s\n' "$command" "$DEPLOY_KEY" >"$here/authorized_keys"
    put 0644 "$here/authorized_keys" "$etc/authorized_keys" || true
    visudo -cqf "$here/files/sudoers"
    put 0440 "$here/files/sudoers" /etc/sudoers.d/deployment-flow || true
    admit_admins
    harden_sshd
}

install_agent() {
    install -d -m 0755 "$etc" "$lib"
    install -d -m 0700 "$state" "$state/releases" "$state/runs"
    printf 'VOLUME=%s\nFINGERPRINT=%s\n' "$VOLUME_DEVICE" "$fingerprint" >"$here/server.conf"
    put 0644 "$here/server.conf" "$etc/server.conf" || true
    # The whole package at once, so that a deploy never sees half of it.
    rm -rf "$lib/agent.new" "$lib/agent.old"
    cp -R "$here/agent" "$lib/agent.new"
    chown -R root:root "$lib/agent.new"
    find "$lib/agent.new" -type d -exec chmod 0755 {} + -o -type f -exec chmod 0644 {} +
    [ ! -d "$lib/agent" ] || mv "$lib/agent" "$lib/agent.old"
    mv "$lib/agent.new" "$lib/agent"
    rm -rf "$lib/agent.old"
    put 0755 "$here/files/deployment-flow-agent" "$lib/deployment-flow-agent" || true
    put 0644 "$here/files/deployment-flow.service" /etc/systemd/system/deployment-flow.service || true
    systemctl daemon-reload
    systemctl enable --quiet deployment-flow.service
}

close_ports() {
    install -d -m 0755 "$etc/firewall.d"
    # Where sshd listens, too: the port we came by may be forwarded to another one here.
    ports=$({ echo "$SSH_PORT"; sshd -T 2>/dev/null | awk '$1 == "port" { print $2 }'; } |
        sort -un | paste -sd,)
    { echo "define ssh_ports = { $ports }"; cat "$here/files/firewall.nft"; } >"$here/firewall.nft"
    nft -c -f "$here/firewall.nft"
    changed=false
    put 0644 "$here/firewall.nft" "$etc/firewall.nft" && changed=true
    put 0644 "$here/files/deployment-flow-firewall.service" \
        /etc/systemd/system/deployment-flow-firewall.service && changed=true
    nft list table inet deployment_flow >/dev/null 2>&1 || changed=true
    if [ $changed = true ] || ! systemctl is-active --quiet deployment-flow-firewall; then
        say "closing every port but $SSH_PORT, 80 and 443 (exceptions: $etc/firewall.d)"
        others=$(ss -Hltn | awk '$4 !~ /^(127\.|\[::1\])/ {sub(/.*:/, "", $4); print $4}' |
            grep -vxE "$SSH_PORT|80|443" | sort -un | paste -sd, || true)
        [ -z "$others" ] || say "warning: something listens on port $others, too; it is closed to the outside from now on"
        systemctl daemon-reload
        systemctl enable --quiet deployment-flow-firewall
        systemctl restart deployment-flow-firewall
    fi
}

# Certificates lie with the data: a server that is replaced, or a demo that wakes, asks for none,
# and an authority gives a name a few a week only.
keep_certificates() {
    home=/var/lib/caddy/.local/share/caddy
    kept=/data/.caddy
    order=/etc/systemd/system/caddy.service.d/deployment-flow.conf
    if [ -z "$VOLUME_DEVICE" ]; then
        [ ! -L "$home" ] || rm "$home"
        rm -f "$order"
        return 0
    fi
    if [ ! -L "$home" ]; then
        runuser -u caddy -- mkdir -p "$home"
        if [ ! -d "$kept" ]; then
            rm -rf "$kept.new"
            cp -a "$home" "$kept.new"
            mv "$kept.new" "$kept"
        fi
        rm -rf "$home"
        ln -s "$kept" "$home"
    fi
    # A volume of another server's, on which Caddy's user had another number.
    install -d "$kept"
    chown -Rh caddy:caddy "$kept"
    chmod 0700 "$kept"
    printf '[Unit]\nAfter=data.mount\n' >"$here/order.conf"
    put 0644 "$here/order.conf" "$order" && systemctl daemon-reload
    return 0
}

start_caddy() {
    holder=$(ss -Hltnp '( sport = :80 or sport = :443 )' | grep -v '"caddy"' || true)
    [ -z "$holder" ] || fail "port 80 or 443 is already taken on this server: $holder; next: stop and \
disable that service, then run 'pulumi up' again"
    if ! head -n 1 /etc/caddy/Caddyfile 2>/dev/null | grep -q deployment-flow; then
        [ ! -f /etc/caddy/Caddyfile ] || cp -n /etc/caddy/Caddyfile "/etc/caddy/Caddyfile.before"
        install -D -m 0644 "$here/files/Caddyfile" /etc/caddy/Caddyfile
        if systemctl is-active --quiet caddy; then systemctl reload caddy; fi
    fi
    systemctl enable --quiet caddy
    systemctl is-active --quiet caddy || systemctl start caddy
}

# sudo asks for the host's own name at every call, and waits where nobody knows it.
getent hosts "$(hostname)" >/dev/null || echo "127.0.1.1 $(hostname)" >>/etc/hosts
wait_for_cloud_init
if is_ready; then
    say "nothing to install: this server has software $fingerprint"
    finish false
fi
install_packages
mount_volume
close_ports
configure_docker
keep_certificates
start_caddy
install_agent
if [ -n "$DEPLOY_KEY" ]; then admit_deployer; fi
put 0644 "$here/files/20auto-upgrades" /etc/apt/apt.conf.d/20auto-upgrades || true
stamp >"$etc/stamp"
say "the server is ready for releases (software $fingerprint)"
finish true
