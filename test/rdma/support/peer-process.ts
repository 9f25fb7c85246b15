/**
 * Replica 1 of 2 as a process of its own: answers each vote with a commit cell and each lane
 * payload with a message. Told what to do over IPC by support/peer.ts.
 */

import { type InboxHandler, openShmTransport, type RegionOffer } from '../../../rdma/index.ts';
import { type CommandToPeer, PEER_OPTIONS, type ReportOfPeer } from './peer.ts';

const transport = openShmTransport({ ...PEER_OPTIONS, self: 1, waitMode: 'block' });

function report(message: ReportOfPeer): void {
  process.send?.(message);
}

const IGNORE: InboxHandler = {
  onCell() {},
  onLane() {},
  onMessage() {},
  onFault(_peer, fault) {
    report({ kind: 'fault', fault });
  },
};

function serve(): void {
  transport.wait(2000);
  transport.poll(
    { fromSlot: 0, toSlot: PEER_OPTIONS.windowSlots - 1 },
    {
      onCell(_peer, kind, slot, view, flags, body) {
        if (kind === 'vote') transport.writeCell({ kind: 'commit', slot, view, flags, body });
      },
      onLane(peer, payload) {
        transport.send(peer, payload);
      },
      onMessage: IGNORE.onMessage,
      onFault: IGNORE.onFault,
    },
  );
  setImmediate(serve);
}

function hammer(writes: number): void {
  const body = Buffer.alloc(24);
  for (let view = 1; view <= writes; view++) {
    body.fill(view & 0xff);
    transport.writeCell({ kind: 'vote', slot: 3, view, flags: 0, body });
    if (view % 8 === 0) transport.writeLane(Buffer.alloc(view % 3000, view & 0xff));
    if (view % 64 === 0) transport.poll({ fromSlot: 0, toSlot: 0 }, IGNORE);
  }
}

process.on('message', (command: CommandToPeer) => {
  switch (command.kind) {
    case 'offer': {
      transport.close(0);
      const offer: RegionOffer = transport.offer(0, {
        ...command.keys,
        pairSecret: Buffer.from(command.pairSecret, 'hex'),
      });
      transport.accept(0, command.offer);
      report({ kind: 'mapped', offer });
      break;
    }
    case 'confirm':
      transport.confirm(0);
      report({ kind: 'open', state: transport.sessionState(0) });
      break;
    case 'hammer':
      hammer(command.writes);
      break;
  }
});
process.on('disconnect', () => process.exit());

serve();
