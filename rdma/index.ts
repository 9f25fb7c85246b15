/**
 * rdma: bytes and memory. Moves cells, lane payloads and messages between replicas under the
 * contract of contract.ts; knows nothing of agreement, blocks or transactions. See README.md.
 */

export type * from './contract.ts';
export { MEMORY_WINDOWS, PROVIDERS } from './contract.ts';
export { TransportError, type TransportErrorCode } from './errors.ts';
export { CELL_KIND_CODES, cellBodyBytes } from './layout.ts';
export { LIMITS as TRANSPORT_LIMITS } from './limits.ts';
export {
  type MemoryTransportOptions,
  openShmTransport,
  openTcpTransport,
  openVerbsTransport,
} from './memory/transport.ts';
export { releaseMemory, trimMemory, wakeTransport } from './native.ts';
export { sha256 } from './sha256.ts';
