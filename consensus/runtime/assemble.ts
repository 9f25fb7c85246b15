/** Builds transport, log and core of a consensus thread from its options, and the loop over them. */
import type { Transport } from '../../rdma/contract.ts';
import {
  openShmTransport,
  openTcpTransport,
  openVerbsTransport,
  sha256,
  TRANSPORT_LIMITS,
} from '../../rdma/index.ts';
import { createCore, nullProposal } from '../core/index.ts';
import type { CheckpointState, CoreCrypto, CoreOptions, LogRecord } from '../core/types.ts';
import { ConsensusError } from '../errors.ts';
import { type OpenedWal, openWal, type Wal } from '../wal/index.ts';
import { decodeRecord, newViewBytesMax } from '../wire/index.ts';
import type { BatchMemory } from './batch-memory.ts';
import { clockMs } from './clock.ts';
import { ed25519KeyPair, signEd25519, verifyEd25519Strict } from './ed25519.ts';
import { ConsensusLoop, type LoopPort } from './loop.ts';
import type { WorkerEvent, WorkerOptions } from './protocol.ts';

/** What lane frames and messages put around a batch, generously. */
const MESSAGE_FRAMING_BYTES = 4 * 1024;

function createCrypto(options: WorkerOptions): CoreCrypto {
  const { secretKey } = ed25519KeyPair(options.signingSeed);
  return {
    sha256,
    sign: (message) => signEd25519(secretKey, message),
    verify(signer, message, signature) {
      const key = options.consenterKeys[signer];
      return key !== undefined && verifyEd25519Strict(key, message, signature);
    },
  };
}

const OPEN = { shm: openShmTransport, tcp: openTcpTransport, verbs: openVerbsTransport };

function openTransport(options: WorkerOptions): Transport {
  return OPEN[options.provider]({
    ...options.rdma,
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
      newViewBytesMax(options.replicas, options.limits.windowSlots),
    ),
  });
}

interface Log {
  readonly entry: CoreOptions['entry'];
  readonly wal: Wal | undefined;
  readonly createWal: (() => Wal) | undefined;
  readonly firstEvents: readonly WorkerEvent[];
}

/** How the run is entered, and with which log. */
function openLog(options: WorkerOptions): Log {
  const { entry, wal: settings, runId, replicas, limits } = options;
  const recordBytesMax =
    newViewBytesMax(replicas, limits.windowSlots) + limits.batchBytesMax + MESSAGE_FRAMING_BYTES;
  const open = (directory: string, reserveBytes: number): OpenedWal =>
    openWal({ directory, reserveBytes, recordBytesMax, name: runId });
  if (entry !== 'restore') {
    const createWal = settings && ((): Wal => open(settings.directory, settings.reserveBytes).wal);
    return { entry: { kind: entry }, wal: undefined, createWal, firstEvents: [] };
  }
  if (settings === undefined) {
    throw new ConsensusError('worker_protocol', 'only a replica with a log is restored');
  }
  const opened = open(settings.directory, settings.reserveBytes);
  const records = opened.records.map((bytes) => recordOf(bytes, replicas));
  const checkpoint = baseOf(records) ?? beginningOf(options);
  return {
    entry: { kind: 'restore', records },
    wal: opened.wal,
    createWal: undefined,
    firstEvents: [{ kind: 'restored', checkpoint, torn: opened.torn }],
  };
}

/** Its checksum was right, so only another version of this program can have written what is not understood. */
function recordOf(bytes: Uint8Array, replicas: number): LogRecord {
  // A plain array over the same memory: `slice` of a Buffer would be no copy.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const decoded = decodeRecord(plain, replicas);
  if (decoded.kind === 'ok') return decoded.value;
  throw new ConsensusError(
    'unreadable_log',
    `the log holds a record that this version does not understand: ${decoded.reason}`,
  );
}

function baseOf(records: readonly LogRecord[]): CheckpointState | undefined {
  const [first] = records;
  if (first?.kind === 'checkpoint') return first.certificate?.state;
  throw new ConsensusError('unreadable_log', 'the log does not begin with a checkpoint');
}

function beginningOf(options: WorkerOptions): CheckpointState {
  const { firstSlot, baseTimeMs, baseHeight, baseHash, replicas } = options;
  const { frontier } = nullProposal(firstSlot - 1, replicas);
  return {
    slot: firstSlot - 1,
    timeMs: baseTimeMs,
    frontier,
    height: baseHeight,
    tipHash: baseHash,
  };
}

export interface Surroundings {
  readonly port: LoopPort;
  /** Absent: batches are left to V8. */
  readonly memory?: BatchMemory;
  /** For measurements that let time pass at another speed. */
  readonly clock?: () => number;
}

export function assembleLoop(options: WorkerOptions, around: Surroundings): ConsensusLoop {
  const { port, memory, clock = clockMs } = around;
  const transport = openTransport(options);
  const { entry, ...log } = openLog(options);
  const core = createCore({ ...options, entry }, createCrypto(options));
  return new ConsensusLoop({ transport, core, port, memory, clockMs: clock, ...log });
}
