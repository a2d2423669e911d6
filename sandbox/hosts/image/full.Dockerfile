# The bare image plus the packages a server of this project installs at its first
# boot, so that the boot finds them there. The first-boot code is the same on both.
ARG BASE
FROM ${BASE}

RUN printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d \
    && chmod +x /usr/sbin/policy-rc.d \
    && apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        caddy \
        docker-cli \
        docker-compose \
        docker-registry \
        docker.io \
        iptables \
        nftables \
        unattended-upgrades \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d /var/lib/docker /etc/docker/key.json \
    && systemctl disable caddy.service docker-registry.service nftables.service \
    && systemctl enable docker.service
