#!/bin/busybox sh
# First process of the guest: modules, the host's file system (read-only), an RDMA device, then the command.
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
fail() { echo "guest: $1"; echo "SLUICE-GUEST-EXIT 70"; $B poweroff -f; $B sleep 60; }

while read -r module; do
  $B insmod "/modules/$module" || fail "module $module does not load"
done < /modules/order

$B mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 host /host ||
  fail 'the file system of the host cannot be mounted'
for folder in tmp run var/tmp root/.cache; do
  [ -d "/host/$folder" ] && $B mount -t tmpfs -o mode=1777 tmpfs "/host/$folder"
done
$B mount -t proc proc /host/proc
$B mount -t sysfs sys /host/sys
$B mount -t devtmpfs dev /host/dev
$B mkdir -p /host/dev/shm /host/dev/pts
$B mount -t tmpfs -o mode=1777 tmpfs /host/dev/shm
$B mount -t devpts pts /host/dev/pts
$B mount -t cgroup2 none /host/sys/fs/cgroup 2>/dev/null
# The command and its files are in a folder that the host has written: no quoting through the kernel's command line.
$B mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=524288 job /modules || fail 'the job cannot be mounted'
$B cp -r /modules /host/run/job
parameter() { $B sed -n "s/.*$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
# With addresses of its own it has a network card, and others to reach over it.
$B chroot /host /bin/bash -c '
  ip link set lo up
  device=eth0
  if [ -z "$0" ]; then
    device=rdma0
    ip link add rdma0 type veth peer name rdma1 && ip link set rdma1 up
  fi
  ip link set "$device" up &&
  for address in $(echo "${0:-10.99.0.1}" | tr , " "); do ip address add "$address/24" dev "$device" || exit 1; done &&
  rdma link add rxe0 type rxe netdev "$device"
' "$(parameter sluice_addresses)" || fail 'no RDMA device: rdma link add failed'
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
$B date -s "@$(parameter sluice_now)" > /dev/null
echo "SLUICE-GUEST-BEGIN"
$B chroot /host /bin/bash -c 'ulimit -l unlimited; ulimit -n 65536; exec /bin/bash /run/job/job.sh'
echo "SLUICE-GUEST-EXIT $?"
# Waits until all of it has left: the kernel's last word would stand in the middle of a line.
$B stty opost < /dev/console
$B poweroff -f
