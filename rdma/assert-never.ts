/** Ends a switch over a tagged union: a new member becomes a compile error here. */
export function assertNever(value: never): never {
  throw new Error(`a case that no type allows: ${JSON.stringify(value)}`);
}
