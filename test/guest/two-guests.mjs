/**
 * Four replicas on two machines, each with a kernel and an RDMA device of its own, joined by a network of QEMU's: two
 * replicas on each. Orders, loses the leader, goes on, and is audited.
 */
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SetupError } from '../../scripts/setup/errors.mjs';
import { ROOT } from '../../scripts/setup/paths.mjs';
import { bootGuest, sayings, writeJob } from './boot.mjs';

/** RFC 2544: routed nowhere. The first two are the first machine's, the others the second's. */
const HOSTS = ['198.18.0.1', '198.18.0.2', '198.18.0.3', '198.18.0.4'];
const MEMORY_MIB = 3072;

const REPLICAS = (...numbers) => `
rdma link
cp -r /run/job/network /tmp/network
for n in ${numbers.join(' ')}; do
  node dist/scripts/sluice.js replica --config /tmp/network/replica-$n/replica.yaml > /tmp/replica-$n.log 2>&1 &
  echo $! > /tmp/replica-$n.pid
done
`;

/** Kills the leader where it is on this machine; after a slow start it may be on the other one. */
const JUDGE = `${REPLICAS(1, 2)}
sluice() { node dist/scripts/sluice.js "$@"; }
fail() { echo "$1"; tail -n 20 /tmp/replica-*.log; exit 1; }
urls() { for n in "$@"; do echo "--url http://198.18.0.$n:7051"; done; }
trust="--genesis /tmp/network/genesis/main.block"
submit="submit --writer /tmp/network/orgs/Org1MSP/users/user $trust --timeout 240000"
for try in $(seq 40); do sluice status $(urls 1 2 3 4) > /tmp/status 2>&1 && break; sleep 2; done
cat /tmp/status
sluice $submit $(urls 1 2 3 4) --count 16 --concurrency 4 'two machines' || fail 'not all were ordered'
leader=$(sluice status $(urls 1) --json | sed -n 's/.*"leader": \\([0-9]*\\).*/\\1/p')
victim=1; others="2 3 4"
if [ "$leader" = 2 ]; then victim=2; others="1 3 4"; fi
kill -9 $(cat /tmp/replica-$victim.pid)
echo "replica $victim is killed; replica $leader leads"
sluice $submit $(urls $others) --count 8 --concurrency 2 'one is missing' || fail 'nothing is ordered without it'
sluice verify $(urls $others) $trust || fail 'the audit failed'
`;

const PARTNER = `${REPLICAS(3, 4)}
wait
`;

/** `common`: kernel, image, folder (for files of its own), timeoutS, console. Returns the exit code. */
export async function runTwoGuests({ folder, console: verbose, ...common }) {
  await createNetworkIn(folder);
  const cable = join(folder, 'cable');
  const wires = [
    { name: 'first', command: JUDGE, socket: `server=on,addr.type=unix,addr.path=${cable}` },
    { name: 'second', command: PARTNER, socket: `addr.type=unix,addr.path=${cable}` },
  ];
  const boot = ({ name, command, socket }, index) => {
    const job = join(folder, 'two-guests', name);
    writeJob(job, command);
    return bootGuest({
      ...common,
      job,
      verbose,
      memoryMib: MEMORY_MIB,
      args: [
        ...['-netdev', `stream,id=cable,${socket}`],
        ...['-device', `virtio-net-pci,netdev=cable,mac=52:54:00:00:00:0${index + 1}`],
      ],
      parameters: `sluice_addresses=${HOSTS.slice(2 * index, 2 * index + 2).join(',')}`,
      onLine: sayings(verbose, (line) => process.stdout.write(`${name}: ${line}\n`)),
    });
  };
  const judge = boot(wires[0], 0);
  const machines = [judge];
  try {
    await isThere(cable);
    const partner = boot(wires[1], 1);
    machines.push(partner);
    const early = partner.exited.then(() => {
      throw new SetupError('the second guest ended too early');
    });
    return await Promise.race([judge.exited, early]);
  } finally {
    for (const machine of machines) machine.kill();
  }
}

/** The first machine listens before the second may call. */
async function isThere(file) {
  for (let i = 0; i < 200 && !existsSync(file); i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  if (!existsSync(file)) throw new SetupError('the first guest does not start');
}

/** Each machine gets all of it, which no operator would do. */
async function createNetworkIn(folder) {
  const load = (file) => import(pathToFileURL(join(ROOT, 'dist', file)).href);
  const { createNetwork } = await load('orderer/network/index.js');
  const { CHANNEL_OF_GUEST } = await load('test/support/slow.js');
  for (const name of ['first', 'second'])
    mkdirSync(join(folder, 'two-guests', name), { recursive: true });
  const directory = join(folder, 'two-guests', 'first', 'network');
  await createNetwork({
    directory,
    replicas: HOSTS.length,
    channel: 'main',
    gateway: false,
    hosts: HOSTS,
    provider: 'verbs',
    sluice: CHANNEL_OF_GUEST,
  });
  cpSync(directory, join(folder, 'two-guests', 'second', 'network'), { recursive: true });
}
