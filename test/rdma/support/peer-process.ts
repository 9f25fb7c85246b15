/**
 * Replica 1 of 2 as a process of its own: answers each vote with a commit cell and each lane payload with
 * a message. Told what to do over IPC by support/peer.ts.
 */

import { openShmTransport, type RegionOffer } from '../../../rdma/index.ts';
import { type CommandToPeer, PEER_OPTIONS, type ReportOfPeer } from './peer.ts';

const transport = openShmTransport({ ...PEER_OPTIONS, self: 1, waitMode: 'block' });

function report(message: ReportOfPeer): void {
  process.send?.(message);
}

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
      onMessage() {},
      onFault(_peer, fault) {
        report({ kind: 'fault', fault });
      },
    },
  );
  setImmediate(serve);
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
  }
});
process.on('disconnect', () => process.exit());

serve();
