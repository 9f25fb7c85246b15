/**
 * Brings the ledgers of the replicas to one block before a run starts, and answers those who start later.
 *
 * Speaks over the links (mutual TLS), never over the consensus transport: at this time no session exists.
 * Every block that comes in is checked (links, hashes, envelopes, certificate) before it is stored.
 */
import {
  type ConsenterKey,
  encodeBlock,
  faultsOf,
  type Sha256,
  toHex,
} from '../../ledger/format/index.ts';
import type { Ledger } from '../../ledger/store/index.ts';
import { asError } from '../errors.ts';
import type { Log } from '../log.ts';
import {
  baseKey,
  decideStart,
  fetchCertified,
  type LedgerReport,
  type StartDecision,
  type StartView,
  type TailBlock,
} from './decide.ts';
import { StartInbox } from './inbox.ts';
import { tailHash, takeBlock } from './intake.ts';
import { readRunRecord, writeRunRecord } from './run-record.ts';
import { SetAside } from './set-aside.ts';
import {
  BLOCKS_BYTES_MAX,
  BLOCKS_PER_FRAME_MAX,
  decodeStartMessage,
  encodeStartMessage,
  type StartMessage,
  TAIL_BLOCKS_MAX,
} from './wire.ts';

/** Answers to fetches that are later than this many retries set their peer aside. */
const FETCH_RETRIES_MAX = 4;
/** Lines about one peer's malformed frames. */
const MALFORMED_LINES_MAX = 8;

export interface StartupOptions {
  readonly self: number;
  readonly consenters: readonly ConsenterKey[];
  /** How long all n are waited for before q are enough. */
  readonly graceMs: number;
  /** How often a waiting replica asks again. */
  readonly retryMs: number;
  /** File of the run record, `run-record.ts`. */
  readonly runRecordFile: string;
}

export interface StartupDependencies {
  readonly ledger: Ledger;
  readonly sha256: Sha256;
  readonly send: (peer: number, body: Uint8Array) => void;
  /** Certified blocks of other replicas were stored. Awaited. */
  readonly onGrown: () => Promise<void>;
  /** The run begins at the ledger's tip. Called once. */
  readonly onStart: () => void;
  readonly onFatal: (error: Error) => void;
  readonly log: Log;
}

export class StartupSync {
  readonly #options: StartupOptions;
  readonly #dependencies: StartupDependencies;
  readonly #reports: (LedgerReport | undefined)[];
  /** Peers that were not running yet when this process met them. */
  readonly #seenStarting = new Set<number>();
  readonly #connected: boolean[];
  readonly #inbox = new StartInbox();
  readonly #setAside = new SetAside();
  readonly #malformed: number[];
  /** Of the own uncertified blocks, by number: reading a block for each report would cost too much. */
  readonly #tailHashes = new Map<number, string>();
  #base: LedgerReport['base'];
  /** Block from which this replica last began a run, as `baseKey`. */
  #lastBase: string | undefined;
  #reason = 'the replica is starting';
  #following = false;
  #graceOver = false;
  /** Serializes ledger changes and decisions. */
  #work: Promise<void> = Promise.resolve();
  #fetching: { peer: number; fromNumber: number; untilMs: number } | undefined;
  #lastAsked: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #graceTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: StartupOptions, dependencies: StartupDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#reports = options.consenters.map(() => undefined);
    this.#connected = options.consenters.map(() => false);
    this.#malformed = options.consenters.map(() => 0);
  }

  /** Whether the run has started; otherwise `reason` says what is missing. */
  get started(): boolean {
    return this.#base !== undefined;
  }

  get reason(): string {
    return this.#reason;
  }

  begin(): void {
    this.#graceTimer = setTimeout(() => {
      this.#graceOver = true;
      this.#enqueue(() => this.#decide());
    }, this.#options.graceMs);
    this.#timer = setInterval(() => this.#onTimer(), this.#options.retryMs);
    this.#enqueue(async () => {
      this.#lastBase = await readRunRecord(this.#options.runRecordFile);
      await this.#decide();
    });
  }

  onLink(peer: number, up: boolean): void {
    this.#connected[peer] = up;
    if (!up) {
      this.#reports[peer] = undefined;
      if (this.#fetching?.peer === peer) this.#fetching = undefined;
      return;
    }
    this.#enqueue(() => this.#sendReport(peer, true));
  }

  /** Total: whatever the bytes are, at worst the peer is set aside. */
  onFrame(peer: number, body: Uint8Array): void {
    const decoded = decodeStartMessage(body);
    if (decoded.kind === 'malformed') return this.#onMalformed(peer, decoded.reason);
    const message = decoded.value;
    // Nobody keeps blocks that were not asked for, not even until their turn.
    if (message.kind === 'blocks' && !this.#awaits(peer, message.fromNumber)) return;
    // Noted before a newer report takes its place: a peer may be starting for some milliseconds only.
    if (message.kind === 'report' && message.report.base === undefined) {
      this.#seenStarting.add(peer);
    }
    if (!this.#inbox.put(peer, message)) return;
    this.#enqueue(async () => {
      const next = this.#inbox.take();
      if (next !== undefined) await this.#onMessage(next.peer, next.message);
    });
  }

  #onMalformed(peer: number, reason: string): void {
    const lines = (this.#malformed[peer] ?? 0) + 1;
    this.#malformed[peer] = lines;
    if (lines > MALFORMED_LINES_MAX) return;
    this.#dependencies.log.warn({ peer, reason }, 'malformed start-up frame');
  }

  #awaits(peer: number, fromNumber: number): boolean {
    return this.#fetching?.peer === peer && this.#fetching.fromNumber === fromNumber;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#graceTimer);
    await this.#work;
  }

  #enqueue(task: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (this.#closed) return;
      try {
        await task();
      } catch (error) {
        this.#closed = true;
        this.#dependencies.onFatal(asError(error));
      }
    });
  }

  #onTimer(): void {
    if (this.#base !== undefined) {
      clearInterval(this.#timer);
      return;
    }
    this.#enqueue(async () => {
      const fetching = this.#fetching;
      if (fetching !== undefined && performance.now() > fetching.untilMs) {
        this.#fetching = undefined;
        this.#disappoint(fetching.peer, 'it did not answer in time');
      }
      for (const peer of this.#reports.keys()) {
        if (this.#connected[peer]) await this.#sendReport(peer, true);
      }
      await this.#decide();
    });
  }

  /** The peer claims blocks and does not come up with them: others are asked, and it is not waited for. */
  #disappoint(peer: number, reason: string): void {
    this.#setAside.add(peer, performance.now());
    this.#dependencies.log.warn({ peer, reason }, 'a replica does not give the blocks it reports');
  }

  async #onMessage(peer: number, message: StartMessage): Promise<void> {
    switch (message.kind) {
      case 'report':
        this.#reports[peer] = message.report;
        if (message.wantsReply) await this.#sendReport(peer, false);
        return this.#decide();
      case 'fetch':
        return this.#sendBlocks(peer, message.fromNumber);
      case 'blocks':
        return this.#onBlocks(peer, message.fromNumber, message.blocks);
    }
  }

  async #sendReport(peer: number, wantsReply: boolean): Promise<void> {
    const report = await this.#ownReport();
    this.#dependencies.send(peer, encodeStartMessage({ kind: 'report', report, wantsReply }));
  }

  async #ownReport(): Promise<LedgerReport> {
    const { ledger } = this.#dependencies;
    const storedHeight = ledger.storedHeight();
    const certifiedHeight = ledger.certifiedHeight();
    const tipHash = toHex(ledger.tip().hash);
    const tail: TailBlock[] = [];
    // A running replica's tail changes while it is read; nobody decides by it, so only starters list it.
    const tailEnd = this.#base === undefined ? storedHeight : certifiedHeight;
    for (
      let number = certifiedHeight;
      number < tailEnd && tail.length < TAIL_BLOCKS_MAX;
      number++
    ) {
      tail.push({ number, hash: await this.#tailHash(number) });
    }
    return { storedHeight, certifiedHeight, tipHash, tail, base: this.#base };
  }

  async #tailHash(number: number): Promise<string> {
    const known = this.#tailHashes.get(number);
    if (known !== undefined) return known;
    const { ledger, sha256 } = this.#dependencies;
    const block = await ledger.storedBlock(number);
    const hash = block === undefined ? undefined : tailHash(block, sha256);
    if (hash === undefined) throw new Error(`block ${number} of the ledger has no readable value`);
    this.#tailHashes.set(number, hash);
    return hash;
  }

  async #view(): Promise<StartView> {
    return {
      replicas: this.#options.consenters.length,
      self: await this.#ownReport(),
      peers: this.#reports,
      graceOver: this.#graceOver,
      setAside: this.#setAside.current(performance.now()),
      lastAsked: this.#lastAsked,
      lastBase: this.#lastBase,
      seenStarting: this.#seenStarting.size,
    };
  }

  async #decide(): Promise<void> {
    if (this.#base !== undefined || this.#fetching !== undefined) return;
    const view = await this.#view();
    await this.#carryOut(decideStart(view), view);
  }

  async #carryOut(decision: StartDecision, view: StartView): Promise<void> {
    const { ledger, log } = this.#dependencies;
    switch (decision.kind) {
      case 'wait':
        this.#reason = `starting: ${decision.reason}`;
        return;
      case 'follow':
        if (!this.#following) log.warn({ reason: decision.reason }, 'following only');
        this.#following = true;
        this.#reason = decision.reason;
        return this.#follow(view);
      case 'fetch':
        this.#fetch(decision.peer, decision.fromNumber);
        return;
      case 'truncate':
        log.warn({ toHeight: decision.toHeight }, 'dropping blocks that were never certified');
        await ledger.truncateUncertified(decision.toHeight);
        this.#tailHashes.clear();
        return this.#announce();
      case 'start':
        return this.#start();
    }
  }

  async #start(): Promise<void> {
    const { ledger, onStart } = this.#dependencies;
    const base = { height: ledger.storedHeight(), tipHash: toHex(ledger.tip().hash) };
    // On disk before the first vote can be cast.
    await writeRunRecord(this.#options.runRecordFile, baseKey(base.height, base.tipHash));
    this.#base = base;
    this.#reason = 'running';
    clearInterval(this.#timer);
    clearTimeout(this.#graceTimer);
    this.#tailHashes.clear();
    await this.#announce();
    onStart();
  }

  #follow(view: StartView): void {
    const decision = fetchCertified(view);
    if (decision?.kind === 'fetch') this.#fetch(decision.peer, decision.fromNumber);
  }

  async #announce(): Promise<void> {
    for (const peer of this.#reports.keys()) {
      if (this.#connected[peer]) await this.#sendReport(peer, false);
    }
    if (this.#base === undefined) await this.#decide();
  }

  #fetch(peer: number, fromNumber: number): void {
    const untilMs = performance.now() + FETCH_RETRIES_MAX * this.#options.retryMs;
    this.#fetching = { peer, fromNumber, untilMs };
    this.#lastAsked = peer;
    if (!this.#following) {
      this.#reason = `fetching blocks from ${fromNumber} on from replica index ${peer}`;
    }
    this.#dependencies.send(peer, encodeStartMessage({ kind: 'fetch', fromNumber }));
  }

  async #sendBlocks(peer: number, fromNumber: number): Promise<void> {
    const { ledger } = this.#dependencies;
    const blocks: Uint8Array[] = [];
    let bytes = 0;
    // Uncertified blocks are for starters only: a running replica gives out what a quorum has signed.
    const end = this.#base === undefined ? ledger.storedHeight() : ledger.certifiedHeight();
    for (let number = fromNumber; number < end && bytes < BLOCKS_BYTES_MAX; number++) {
      if (blocks.length >= BLOCKS_PER_FRAME_MAX) break;
      const block = await ledger.storedBlock(number);
      if (block === undefined) break;
      const encoded = encodeBlock(block);
      blocks.push(encoded);
      bytes += encoded.length;
    }
    this.#dependencies.send(peer, encodeStartMessage({ kind: 'blocks', fromNumber, blocks }));
  }

  async #onBlocks(peer: number, from: number, blocks: readonly Uint8Array[]): Promise<void> {
    const { ledger, sha256, log, onGrown } = this.#dependencies;
    if (!this.#awaits(peer, from)) return;
    const before = ledger.storedHeight() + ledger.certifiedHeight();
    let refused: string | undefined;
    for (const [index, bytes] of blocks.entries()) {
      if (this.#closed) return;
      refused = await takeBlock(from + index, bytes, {
        ledger,
        sha256,
        log,
        consenters: this.#options.consenters,
        isVouched: (number, hash) => this.#isVouched(number, hash),
      });
      if (refused === undefined) continue;
      refused = `block ${from + index}: ${refused}`;
      break;
    }
    this.#fetching = undefined;
    this.#tailHashes.clear();
    const grown = ledger.storedHeight() + ledger.certifiedHeight() > before;
    // After what was good may come what is not vouched for yet: no fault.
    if (grown) this.#setAside.forgive(peer);
    else this.#disappoint(peer, refused ?? 'it sent nothing new');
    if (grown) await onGrown();
    await this.#announce();
  }

  #isVouched(number: number, hash: string): boolean {
    const vouchers = this.#reports.filter((report) =>
      report?.tail.some((block) => block.number === number && block.hash === hash),
    );
    return vouchers.length > faultsOf(this.#options.consenters.length);
  }
}
