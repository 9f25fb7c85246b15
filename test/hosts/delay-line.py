"""Holds back each packet that a network namespace sends: netem for kernels that have none.

    delay-line.py DEVICE SUBNET MS

Runs inside the namespace. Makes a TUN device and routes SUBNET (a /24) through it by two routes that are more specific
than the one of DEVICE; what the kernel sends there is sent out of DEVICE unchanged after MS milliseconds. Says `ready` on
standard output, and ends, taking device and routes with it, when standard input does.
"""
import collections
import fcntl
import ipaddress
import os
import select
import socket
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
TUN = "slow0"
PACKET_BYTES_MAX = 65536
# A second of a busy network; beyond it packets are lost, as in any queue.
PACKETS_MAX = 100_000


def open_tun() -> int:
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", TUN.encode(), IFF_TUN | IFF_NO_PI))
    return tun


def open_way(device: str) -> socket.socket:
    way = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    way.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    return way


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def route_through_tun(device: str, subnet: ipaddress.IPv4Network) -> None:
    # Answers come in by DEVICE, while the way back leads through the TUN device.
    for name in ("all", device):
        with open(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", "w") as file:
            file.write("0")
    ip("link", "set", TUN, "up")
    own = subprocess.run(["ip", "-o", "-4", "address", "show", "dev", device], check=True, capture_output=True, text=True)
    source = own.stdout.split()[3].split("/")[0]
    for half in subnet.subnets(1):
        ip("route", "add", str(half), "dev", TUN, "src", source)


def receive(tun: int, queue: collections.deque, due: float) -> None:
    while True:
        try:
            packet = os.read(tun, PACKET_BYTES_MAX)
        except BlockingIOError:
            return
        # Only IPv4 has a way here.
        if packet[0] >> 4 == 4 and len(queue) < PACKETS_MAX:
            queue.append((due, packet))


def send_due(way: socket.socket, queue: collections.deque) -> None:
    now = time.monotonic()
    while queue and queue[0][0] <= now:
        _, packet = queue.popleft()
        try:
            way.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
        except OSError:
            # The cable is pulled, or the packet does not fit: lost, as on a network.
            pass


def main() -> None:
    device, subnet, delay_ms = sys.argv[1], ipaddress.IPv4Network(sys.argv[2]), float(sys.argv[3])
    tun, way = open_tun(), open_way(device)
    route_through_tun(device, subnet)
    print("ready", flush=True)
    queue: collections.deque = collections.deque()
    while True:
        wait = None if not queue else max(0.0, queue[0][0] - time.monotonic())
        readable, _, _ = select.select([tun, sys.stdin], [], [], wait)
        if sys.stdin in readable and not os.read(sys.stdin.fileno(), 1):
            return
        if tun in readable:
            receive(tun, queue, time.monotonic() + delay_ms / 1000)
        send_due(way, queue)


main()
