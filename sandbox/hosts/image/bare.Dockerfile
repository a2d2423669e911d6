# What Hetzner's Debian 13 image holds, as far as a first boot can tell: systemd,
# cloud-init, OpenSSH and a few tools. Built on the root filesystem that
# sandbox/hosts/images.py makes from the machine's own package sources.
ARG BASE
FROM ${BASE}

# Services must not start while packages are set up inside a build.
RUN printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d \
    && chmod +x /usr/sbin/policy-rc.d \
    && apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        ca-certificates \
        cloud-init \
        curl \
        dbus \
        e2fsprogs \
        fdisk \
        iproute2 \
        iputils-ping \
        jq \
        less \
        libpam-systemd \
        nano \
        openssh-server \
        procps \
        python3 \
        rsyslog \
        sudo \
        systemd \
        systemd-sysv \
        tzdata \
        udev \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d

COPY entrypoint /usr/local/sbin/sandbox-entrypoint
COPY volumes /usr/local/sbin/sandbox-volumes
COPY cloud.cfg /etc/cloud/cloud.cfg.d/90-sandbox.cfg

# Every server gets host keys and a machine id of its own at first boot. Masked is
# what needs hardware, or would spend the machine's CPU at a random hour; the
# servers' clock, consoles and network are the machine's.
RUN rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub \
    && : > /etc/machine-id \
    && rm -f /var/lib/dbus/machine-id \
    && systemctl mask \
        apt-daily.timer apt-daily-upgrade.timer \
        console-getty.service getty.target \
        dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
        systemd-networkd-wait-online.service systemd-networkd.service systemd-networkd.socket \
        systemd-timesyncd.service \
        systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
        systemd-udev-trigger.service \
        sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
        cloud-init-hotplugd.socket \
    && systemctl disable networking.service ssh.socket || true \
    && systemctl enable ssh.service

STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/sbin/sandbox-entrypoint"]
