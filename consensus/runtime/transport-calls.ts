/** What the main thread asks of the transport while links come and go: carried out on the thread that has it, answered as data. */
import type { Transport } from '../../rdma/contract.ts';
import { assertNever } from '../core/assert.ts';
import type { TransportCall, WorkerEvent } from './protocol.ts';

export function answerTransportCall(
  transport: Transport,
  id: number,
  call: TransportCall,
): WorkerEvent {
  try {
    return { kind: 'transport-reply', id, offer: carryOut(transport, call), error: undefined };
  } catch (error) {
    return { kind: 'transport-reply', id, offer: undefined, error: plainError(error) };
  }
}

function carryOut(
  transport: Transport,
  call: TransportCall,
): ReturnType<Transport['offer']> | undefined {
  switch (call.op) {
    case 'offer':
      return transport.offer(call.peer, call.keys);
    case 'accept':
      transport.accept(call.peer, call.offer);
      return undefined;
    case 'confirm':
      transport.confirm(call.peer);
      return undefined;
    case 'close':
      transport.close(call.peer);
      return undefined;
    default:
      return assertNever(call);
  }
}

function plainError(error: unknown): { code: string; message: string } {
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
    return { code, message: error.message };
  }
  return { code: 'unknown', message: String(error) };
}
