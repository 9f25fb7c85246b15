/** Entry of the consensus worker thread: builds transport and core from `workerData` and runs the loop. */
import { createHash, hash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import type { SessionKeys } from '../../rdma/contract.ts';
import { openShmTransport, TRANSPORT_LIMITS } from '../../rdma/index.ts';
import { createCore } from '../core/index.ts';
import type { CoreCrypto, ReplicaIndex } from '../core/types.ts';
import { ConsensusError } from '../errors.ts';
import { ed25519KeyPair, signEd25519, verifyEd25519Strict } from './ed25519.ts';
import { ConsensusLoop } from './loop.ts';
import type { WorkerOptions } from './protocol.ts';

/** What lane frames and messages put around a batch, generously. */
const MESSAGE_FRAMING_BYTES = 4 * 1024;

function incarnationBytes(decimal: string): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(decimal), true);
  return bytes;
}

function createCrypto(options: WorkerOptions): {
  crypto: CoreCrypto;
  onSessionKeys: (peer: ReplicaIndex, keys: SessionKeys) => void;
} {
  const { secretKey } = ed25519KeyPair(options.signingSeed);
  const incarnations = new Map<ReplicaIndex, Uint8Array>();
  incarnations.set(options.self, incarnationBytes(options.incarnation));
  return {
    crypto: {
      sha256(...parts) {
        const [only] = parts;
        if (parts.length === 1 && only !== undefined) return hash('sha256', only, 'buffer');
        const state = createHash('sha256');
        for (const part of parts) state.update(part);
        return state.digest();
      },
      sign: (message) => signEd25519(secretKey, message),
      verify(signer, message, signature) {
        const key = options.consenterKeys[signer];
        return key !== undefined && verifyEd25519Strict(key, message, signature);
      },
      incarnation: (replica) => incarnations.get(replica),
    },
    onSessionKeys: (peer, keys) => {
      incarnations.set(peer, incarnationBytes(keys.peerIncarnation));
    },
  };
}

function main(): void {
  if (parentPort === null) {
    throw new ConsensusError('worker_protocol', 'this file runs as a worker thread only');
  }
  const options = workerData as WorkerOptions;
  const { crypto, onSessionKeys } = createCrypto(options);
  const transport = openShmTransport({
    self: options.self,
    replicas: options.replicas,
    windowSlots: options.limits.windowSlots,
    // MAC keys are derived from this label: replicas that start from different blocks cannot talk.
    channel: `${options.channel}/${Buffer.from(options.runId).toString('hex')}`,
    epoch: 0,
    waitMode: options.waitMode,
    spinUs: options.spinUs,
    payloadBytesMax: Math.max(
      TRANSPORT_LIMITS.payloadBytesMaxDefault,
      options.limits.batchBytesMax + MESSAGE_FRAMING_BYTES,
    ),
  });
  const core = createCore(options, crypto);
  new ConsensusLoop({ transport, core, port: parentPort, onSessionKeys }).run();
}

main();
