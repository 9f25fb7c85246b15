/** Sleeps until somebody wakes it or the time is over. A wake between two sleeps is not lost. */
export interface Waker {
  readonly wake: () => void;
  /** True when woken, false when the time passed. One sleeper at a time. */
  sleep(timeoutMs: number): Promise<boolean>;
}

export function createWaker(): Waker {
  let woken = false;
  let rouse: (() => void) | undefined;
  return {
    wake() {
      woken = true;
      rouse?.();
    },
    sleep(timeoutMs) {
      if (woken) {
        woken = false;
        return Promise.resolve(true);
      }
      return new Promise((resolve) => {
        const settle = (wasWoken: boolean): void => {
          clearTimeout(timer);
          rouse = undefined;
          woken = false;
          resolve(wasWoken);
        };
        const timer = setTimeout(() => settle(false), timeoutMs);
        rouse = () => settle(true);
      });
    },
  };
}
