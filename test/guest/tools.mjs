/** The programs and libraries of a guest: installed where that is possible, named where it is not. */
import { requirePackages } from '../../scripts/setup/debian.mjs';

const PACKAGES = [
  ['qemu-system-x86', '/usr/bin/qemu-system-x86_64'],
  ['busybox-static', '/bin/busybox'],
  ['cpio', '/usr/bin/cpio'],
  ['kmod', '/usr/sbin/depmod'],
  ['iproute2', '/usr/sbin/ip'],
  ['rdma-core', '/usr/share/doc/rdma-core'],
  ['ibverbs-providers', '/usr/lib/x86_64-linux-gnu/libibverbs'],
  ['libibverbs-dev', '/usr/include/infiniband/verbs.h'],
];

export function requireTools() {
  return requirePackages('the guest', PACKAGES);
}
