/**
 * The end of a connection, for any number of requests on it. A response that waits
 * behind another on the same connection (pipelining) gets no `close` event when the
 * connection breaks; the socket does.
 */
import type { Socket } from 'node:net';

const listeners = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls back once, later, when the socket closes or has closed
 * already; returns what takes that back.
 */
export function onConnectionEnd(socket: Socket, callback: () => void): () => void {
  if (socket.destroyed) {
    queueMicrotask(callback);
    return () => {};
  }
  const callbacks = listeners.get(socket) ?? listen(socket);
  callbacks.add(callback);
  return () => callbacks.delete(callback);
}

function listen(socket: Socket): Set<() => void> {
  const callbacks = new Set<() => void>();
  listeners.set(socket, callbacks);
  socket.once('close', () => {
    for (const callback of callbacks) callback();
    callbacks.clear();
  });
  return callbacks;
}
