/** A run as readable lines: what went in, what came out, what happened to machines. */
import type { Effect, Input, Message } from '../../consensus/core/index.ts';
import type { Life } from './life.ts';
import type { Replica } from './replica.ts';
import type { World } from './world.ts';

export interface TraceOptions {
  readonly write: (line: string) => void;
  /** Progress cells and verdicts too. */
  readonly everything: boolean;
}

export class Trace {
  readonly #options: TraceOptions;
  #world: World | undefined;

  constructor(options: TraceOptions) {
    this.#options = options;
  }

  attach(world: World): void {
    this.#world = world;
  }

  note(text: string): void {
    this.#options.write(`${this.#time()}          ${text}`);
  }

  #time(): string {
    return (this.#world?.elapsedMs ?? 0).toFixed(3).padStart(10);
  }

  #line(channel: number, self: number, text: string): void {
    const where = (this.#world?.groups.length ?? 1) > 1 ? `c${channel}/${self}` : `${self}`;
    this.#options.write(`${this.#time()}  ${where.padEnd(6)}  ${text}`);
  }

  onBegin(channel: number, { self, livesBegun }: Replica, entry: string): void {
    this.#line(channel, self, `===== life ${livesBegun} begins: ${entry}`);
  }

  onCrash(channel: number, self: number, losesDisk: boolean): void {
    this.#line(channel, self, `===== crashes${losesDisk ? ', its disk is lost' : ''}`);
  }

  onInput(channel: number, life: Life, input: Input): void {
    const text = this.#input(input);
    if (text !== undefined) this.#line(channel, life.self, `<- ${text}`);
  }

  onEffect(channel: number, life: Life, effect: Effect): void {
    const text = this.#effect(life, effect);
    if (text !== undefined) this.#line(channel, life.self, `   -> ${text}`);
  }

  #input(input: Input): string | undefined {
    const { everything } = this.#options;
    switch (input.kind) {
      case 'tick':
      case 'batch-checked':
        return everything ? input.kind : undefined;
      case 'submit':
        return `submit of ${input.payload.length} bytes`;
      case 'cell':
        if (input.cell.kind === 'progress' && !everything) return undefined;
        return `${input.from}: ${plain(input.cell)}`;
      case 'lane-batch':
        return `${input.from}: batch ${input.batch.seq}`;
      case 'message':
        return `${input.from}: ${message(input.message)}`;
      default:
        return plain(input);
    }
  }

  #effect(life: Life, effect: Effect): string | undefined {
    const { everything } = this.#options;
    switch (effect.kind) {
      case 'check-batch':
        return everything ? `check batch ${effect.batch.lane}.${effect.ref.seq}` : undefined;
      case 'write-cell': {
        const { cell } = effect;
        if (cell.kind === 'progress' && !everything) return undefined;
        const digest = cell.kind === 'proposal' ? life.state.digests.proposal(cell.proposal) : [];
        return `${digest.length > 0 ? `${hex(digest)} ` : ''}${plain(cell)}`;
      }
      case 'write-batch':
        return `batch ${effect.batch.lane}.${effect.ref.seq} ${hex(effect.ref.digest)}`;
      case 'send':
        return `to ${effect.to}: ${message(effect.message)}`;
      case 'persist':
        return `persist ${effect.record.kind} ${plain(effect.record)}`;
      case 'rotate-log':
        return `rotate log: ${effect.records.map(({ kind }) => kind).join(' ')}`;
      default:
        return plain(effect);
    }
  }
}

function message(value: Message): string {
  return value.kind === 'batch' ? `batch ${value.batch.lane}.${value.batch.seq}` : plain(value);
}

function hex(bytes: Uint8Array | readonly number[]): string {
  return Buffer.from(bytes.slice(0, 4)).toString('hex');
}

/** Data on one line: bytes as the start of their hex, frontiers as tips. */
function plain(value: unknown): string {
  if (value instanceof Uint8Array) return hex(value);
  if (Array.isArray(value)) return `[${value.map(plain).join(' ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  if ('seq' in value && 'digest' in value && Object.keys(value).length === 2) {
    return value.seq === 0 ? '-' : `${value.seq}/${hex(value.digest as Uint8Array)}`;
  }
  const { kind, ...rest } = value as Record<string, unknown>;
  const parts = Object.entries(rest)
    .filter(([name]) => name !== 'signature' && name !== 'payload')
    .map(([name, part]) => `${name}:${plain(part)}`);
  return `${typeof kind === 'string' ? `${kind} ` : ''}{${parts.join(' ')}}`;
}
