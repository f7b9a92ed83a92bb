#!/bin/busybox sh
# The first process of a virtual machine: file systems, modules, the scenarios, and off.
export PATH=/usr/bin:/bin:/sbin:/busybox HOME=/root
/bin/busybox mkdir -p /busybox
/bin/busybox --install -s /busybox
ln -sf /bin/busybox /bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for module in /modules/*.ko; do
    insmod "$module" || printf '@cell\t%s\tFAIL\tdoes not load\n' "${module##*/}"
done
ip link set lo up
# What the firmware wrote last may have no end of line.
printf '\n@release\t%s\n' "$(uname -r)"
DETECTOR_BIN=/usr/bin/detector scenarios --virtual-machine "$(cat /etc/filter)"
echo "@end"
poweroff -f
