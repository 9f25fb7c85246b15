/** The open streams of one kind: how many there are, when there are none, and the end of all. */

export interface StreamSet {
  readonly count: number;
  /** Settles when no stream is left. */
  drained(): Promise<void>;
  /** Cuts what is left. */
  destroyAll(): void;
}

export interface OpenStreams<T extends { destroy(): void }> extends StreamSet {
  add(stream: T): void;
  delete(stream: T): void;
}

export function createOpenStreams<T extends { destroy(): void }>(): OpenStreams<T> {
  const open = new Set<T>();
  let onDrained: (() => void)[] = [];
  return {
    add: (stream) => open.add(stream),
    delete(stream) {
      open.delete(stream);
      if (open.size > 0) return;
      for (const resolve of onDrained) resolve();
      onDrained = [];
    },
    get count() {
      return open.size;
    },
    drained() {
      return open.size === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            onDrained.push(resolve);
          });
    },
    destroyAll() {
      for (const stream of open) stream.destroy();
    },
  };
}
