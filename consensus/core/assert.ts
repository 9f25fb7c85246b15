import { CoreError } from './errors.ts';

/**
 * States an invariant. A failure is a bug of this program (or more than f faulty
 * replicas), never a peer's input.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new CoreError('invariant_broken', message);
}

/** Ends a switch over a tagged union: a new member becomes a compile error here. */
export function assertNever(value: never): never {
  throw new CoreError('invariant_broken', `unexpected value: ${JSON.stringify(value)}`);
}
