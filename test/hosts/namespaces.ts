/**
 * Machines made of network namespaces: each has one address, all are joined by a bridge, and this process reaches them over
 * one more link. Needs root, `ip` of iproute2, and a kernel that allows it; `obstacle` says when it does not.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** RFC 2544: for tests between machines, routed nowhere. */
const SUBNETS = 250;
const HUB = 'hub';
const DEVICE = 'eth0';
/** Source, not built: this file runs from `dist/test/hosts`. */
const DELAY_LINE = new URL('../../../test/hosts/delay-line.py', import.meta.url).pathname;

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

export class Namespaces {
  readonly #prefix: string;
  readonly #count: number;
  readonly #subnet: string;
  readonly #delayLines: ChildProcess[] = [];

  private constructor(prefix: string, count: number, subnet: string) {
    this.#prefix = prefix;
    this.#count = count;
    this.#subnet = subnet;
  }

  /** Why there can be none here; undefined when there can. */
  static obstacle(): string | undefined {
    try {
      const found = Namespaces.create(1);
      found.destroy();
      return undefined;
    } catch (error) {
      return (error instanceof Error ? error.message : String(error)).split('\n')[0];
    }
  }

  /** Throws when the system does not allow it; nothing is left then. */
  static create(count: number): Namespaces {
    const first = process.pid % SUBNETS;
    const made = new Namespaces(`sluice-${process.pid}`, count, `198.18.${first}`);
    try {
      made.#build();
      return made;
    } catch (error) {
      made.destroy();
      throw error;
    }
  }

  #build(): void {
    const hub = this.#nameOf(HUB);
    ip('netns', 'add', hub);
    ip('-n', hub, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', hub, 'link', 'set', 'bridge', 'up');
    for (let host = 1; host <= this.#count; host++) {
      const name = this.#nameOf(host);
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('link', 'add', DEVICE, 'netns', name, 'type', 'veth', 'peer', `port${host}`, 'netns', hub);
      ip('-n', name, 'address', 'add', `${this.addressOf(host)}/24`, 'dev', DEVICE);
      ip('-n', name, 'link', 'set', DEVICE, 'up');
      this.#plug(`port${host}`);
    }
    ip('link', 'add', this.#ownDevice, 'type', 'veth', 'peer', 'port0', 'netns', hub);
    ip('address', 'add', `${this.#subnet}.254/24`, 'dev', this.#ownDevice);
    ip('link', 'set', this.#ownDevice, 'up');
    this.#plug('port0');
  }

  #plug(port: string): void {
    ip('-n', this.#nameOf(HUB), 'link', 'set', port, 'master', 'bridge', 'up');
  }

  addressOf(host: number): string {
    return `${this.#subnet}.${host}`;
  }

  /** What runs a command on this machine. */
  launcherOf(host: number): string[] {
    return ['ip', 'netns', 'exec', this.#nameOf(host)];
  }

  /** Pulls the cable: nobody is told, packets just do not arrive. */
  cut(host: number): void {
    ip('-n', this.#nameOf(HUB), 'link', 'set', `port${host}`, 'down');
  }

  heal(host: number): void {
    ip('-n', this.#nameOf(HUB), 'link', 'set', `port${host}`, 'up');
  }

  /**
   * From now on each packet that leaves a machine waits for so long. A process on each machine does it (`delay-line.py`): not
   * every kernel has netem.
   */
  async delay(ms: number): Promise<void> {
    const lines = Array.from({ length: this.#count }, async (_, index) => {
      const [command = '', ...args] = this.launcherOf(index + 1);
      const program = ['python3', DELAY_LINE, DEVICE, `${this.#subnet}.0/24`, String(ms)];
      const line = spawn(command, [...args, ...program], { stdio: ['pipe', 'pipe', 'inherit'] });
      this.#delayLines.push(line);
      const said = createInterface({ input: line.stdout });
      const [ready] = await Promise.race([once(said, 'line'), once(line, 'exit')]);
      if (ready !== 'ready') throw new Error(`the delay line of machine ${index + 1} ended`);
    });
    await Promise.all(lines);
  }

  /** Idempotent. Links go with their namespaces. */
  destroy(): void {
    for (const line of this.#delayLines) line.stdin?.end();
    for (const what of [HUB, ...Array.from({ length: this.#count }, (_, index) => index + 1)]) {
      try {
        ip('netns', 'delete', this.#nameOf(what));
      } catch {
        // It was not made.
      }
    }
  }

  #nameOf(what: number | string): string {
    return `${this.#prefix}-${what}`;
  }

  get #ownDevice(): string {
    return `sl${process.pid}`;
  }
}
