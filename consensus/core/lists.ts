/** Lists that are filled again and again: what a slot takes is not left to the collector. */

/** Without giving up the list's memory, as `length = 0` would. */
export function emptyList(list: unknown[]): void {
  while (list.length > 0) list.pop();
}
