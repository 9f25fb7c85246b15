/**
 * Brings this replica into a run, and keeps it in the right one: resumes its own, or meets the others, brings the
 * ledger to one block with theirs and begins there or joins. Answers those who start later.
 *
 * Speaks over the links (mutual TLS), never over the consensus transport: at this time no session exists.
 * Every block that comes in is checked (links, hashes, envelopes, certificate) before it is stored.
 */
import { bytesEqual, faultsOf, toHex } from '../../ledger/format/index.ts';
import { safetyViolation } from '../chain/replay.ts';
import { asError } from '../errors.ts';
import { runIdOf } from '../run-base.ts';
import {
  blockKey,
  decideStart,
  type LedgerReport,
  reasonToLeave,
  type StartDecision,
  type StartView,
} from './decide.ts';
import { StartInbox } from './inbox.ts';
import type { EnteredRun, StartupDependencies, StartupOptions } from './options.ts';
import { ReportWriter } from './report.ts';
import { setLogAside } from './run-log.ts';
import { EMPTY_RECORD, type RunRecord, readRunRecord, writeRunRecord } from './run-record.ts';
import { readBlocks, ServingPace } from './serving.ts';
import { StartFetch } from './start-fetch.ts';
import { decodeStartMessage, encodeStartMessage, type StartMessage } from './wire.ts';

/** Answers to fetches that are later than this many retries set their peer aside. */
const FETCH_RETRIES_MAX = 4;
/** Retries after which a single peer is followed to a higher generation. */
const RAISE_RETRIES = 4;
/** Lines about one peer's malformed frames. */
const MALFORMED_LINES_MAX = 8;

export class StartupSync {
  readonly #options: StartupOptions;
  readonly #dependencies: StartupDependencies;
  readonly #reports: (LedgerReport | undefined)[];
  readonly #connected: boolean[];
  readonly #inbox = new StartInbox();
  readonly #fetch: StartFetch;
  readonly #pace: ServingPace;
  readonly #writer: ReportWriter;
  readonly #malformed: number[];
  #record: RunRecord = EMPTY_RECORD;
  #intact = false;
  #base: LedgerReport['base'];
  /** Generation that it has promised in this process, and the block at which. */
  #ready: { readonly generation: number; readonly key: string } | undefined;
  #reason = 'the replica is starting';
  #begun = false;
  #graceOver = false;
  #retries = 0;
  #mayRaise = false;
  /** Serializes ledger changes and decisions. */
  #work: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #graceTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: StartupOptions, dependencies: StartupDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    const { length } = options.consenters;
    this.#reports = options.consenters.map(() => undefined);
    this.#connected = options.consenters.map(() => false);
    this.#malformed = options.consenters.map(() => 0);
    this.#pace = new ServingPace(length);
    this.#writer = new ReportWriter(dependencies.ledger, dependencies.sha256);
    const { consenters, retryMs } = options;
    this.#fetch = new StartFetch(
      { consenters, answerMs: FETCH_RETRIES_MAX * retryMs },
      {
        ...dependencies,
        isVouched: (number, hash) => this.#isVouched(number, hash),
        isClosed: () => this.#closed,
      },
    );
  }

  /** Whether it takes part in a run; otherwise `reason` says what is missing. */
  get started(): boolean {
    return this.#base !== undefined;
  }

  get reason(): string {
    return this.#reason;
  }

  isConnected(peer: number): boolean {
    return this.#connected[peer] === true;
  }

  begin(): void {
    this.#begun = true;
    this.#enqueue(() => this.#load());
  }

  onLink(peer: number, up: boolean): void {
    this.#connected[peer] = up;
    if (!up) {
      this.#reports[peer] = undefined;
      this.#fetch.cancel(peer);
      return;
    }
    // Before that there is nothing to say yet; then everybody is told.
    if (this.#begun) this.#enqueue(() => this.#sendReport(peer, true));
  }

  /** Total: whatever the bytes are, at worst the peer is set aside. */
  onFrame(peer: number, body: Uint8Array): void {
    const decoded = decodeStartMessage(body);
    if (decoded.kind === 'malformed') return this.#onMalformed(peer, decoded.reason);
    const message = decoded.value;
    if (message.kind === 'blocks' && this.#base !== undefined) {
      return this.#dependencies.onBlocks(peer, message.fromNumber, message.blocks);
    }
    // Nobody keeps blocks that were not asked for, not even until their turn.
    if (message.kind === 'blocks' && !this.#fetch.awaits(peer, message.fromNumber)) return;
    if (!this.#begun || !this.#inbox.put(peer, message)) return;
    this.#enqueue(async () => {
      const next = this.#inbox.take();
      if (next !== undefined) await this.#onMessage(next.peer, next.message);
    });
  }

  /** It votes again (J2). */
  onMember(): void {
    this.#enqueue(async () => {
      if (this.#base?.mute !== true) return;
      this.#base = { ...this.#base, mute: false };
      await this.#announce();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopTimers();
    await this.#work;
  }

  /** B8: its own run, if record and log agree on it; otherwise the others are asked. */
  async #load(): Promise<void> {
    const { runRecordFile, runLog, channel, durability } = this.#options;
    const record = await readRunRecord(runRecordFile);
    this.#record = record ?? EMPTY_RECORD;
    this.#intact = record !== undefined;
    const { run, promised } = this.#record;
    const name = durability === 'wal' ? runLog.name() : undefined;
    const isOwn =
      name !== undefined && run !== undefined && bytesEqual(name, runIdOf(channel, run));
    if (isOwn && promised?.generation === run.generation) {
      return this.#enter({ run, entry: 'restore' });
    }
    if (!this.#intact) {
      const { log } = this.#dependencies;
      log.warn({ file: runRecordFile }, 'no record of an earlier run: the data folder is new');
    }
    this.#startTimers();
    await this.#announce(true);
    await this.#decide();
  }

  #startTimers(): void {
    this.#graceOver = false;
    this.#retries = 0;
    this.#graceTimer = setTimeout(() => {
      this.#graceOver = true;
      this.#enqueue(() => this.#decide());
    }, this.#options.graceMs);
    this.#timer = setInterval(() => this.#enqueue(() => this.#retry()), this.#options.retryMs);
  }

  #stopTimers(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#graceTimer);
  }

  #onMalformed(peer: number, reason: string): void {
    const lines = (this.#malformed[peer] ?? 0) + 1;
    this.#malformed[peer] = lines;
    if (lines > MALFORMED_LINES_MAX) return;
    this.#dependencies.log.warn({ peer, reason }, 'malformed start-up frame');
  }

  #enqueue(task: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (this.#closed) return;
      try {
        await task();
      } catch (error) {
        this.#dependencies.onFatal(asError(error));
      }
    });
  }

  async #retry(): Promise<void> {
    if (this.#base !== undefined) return;
    this.#fetch.expire();
    this.#mayRaise = ++this.#retries % RAISE_RETRIES === 0;
    await this.#announce(true);
    await this.#decide();
    this.#mayRaise = false;
  }

  async #onMessage(peer: number, message: StartMessage): Promise<void> {
    switch (message.kind) {
      case 'report':
        this.#reports[peer] = message.report;
        if (message.wantsReply) await this.#sendReport(peer, false);
        return this.#decide();
      case 'fetch':
        return this.#serve(peer, message.fromNumber);
      case 'blocks':
        return this.#onBlocks(peer, message.fromNumber, message.blocks);
    }
  }

  async #sendReport(peer: number, wantsReply: boolean): Promise<void> {
    const report = await this.#ownReport();
    this.#dependencies.send(peer, encodeStartMessage({ kind: 'report', report, wantsReply }));
  }

  #ownReport(): Promise<LedgerReport> {
    const { ledger } = this.#dependencies;
    const here = blockKey({ height: ledger.storedHeight(), tipHash: toHex(ledger.tip().hash) });
    const ready = this.#ready?.key === here ? this.#ready.generation : undefined;
    return this.#writer.write(this.#base, ready);
  }

  async #view(): Promise<StartView> {
    const { promised, run } = this.#record;
    return {
      replicas: this.#options.consenters.length,
      self: await this.#ownReport(),
      memory: { intact: this.#intact, promised, run },
      peers: this.#reports,
      held: await this.#heldBases(),
      graceOver: this.#graceOver,
      mayRaise: this.#mayRaise,
      setAside: this.#fetch.setAside,
      lastAsked: this.#fetch.lastAsked,
    };
  }

  /** Blocks that peers run from and that are in the own ledger. */
  async #heldBases(): Promise<Set<string>> {
    const { ledger } = this.#dependencies;
    const held = new Set<string>();
    for (const report of this.#reports) {
      const base = report?.base;
      if (base === undefined || base.height > ledger.storedHeight()) continue;
      const header = await ledger.header(base.height - 1);
      if (header !== undefined && toHex(header.hash) === base.tipHash) held.add(blockKey(base));
    }
    return held;
  }

  async #decide(): Promise<void> {
    if (this.#fetch.busy) return;
    const view = await this.#view();
    if (this.#base === undefined) return this.#carryOut(decideStart(view));
    const reason = reasonToLeave(view);
    if (reason !== undefined) await this.#leave(reason);
  }

  async #carryOut(decision: StartDecision): Promise<void> {
    const { ledger, log } = this.#dependencies;
    switch (decision.kind) {
      case 'wait':
        this.#reason = `starting: ${decision.reason}`;
        return;
      case 'fetch':
        return this.#ask(decision.peer, decision.fromNumber);
      case 'truncate':
        log.warn({ toHeight: decision.toHeight }, 'dropping blocks that were never certified');
        await ledger.truncateUncertified(decision.toHeight);
        this.#writer.forget();
        return this.#announceAndDecide();
      case 'promise':
        return this.#promise(decision.generation);
      case 'enter':
        return this.#enter(decision);
      case 'conflict':
        throw safetyViolation(decision.reason);
    }
  }

  /** B5: on disk before anybody hears of it. */
  async #promise(generation: number): Promise<void> {
    const { ledger } = this.#dependencies;
    const tipHash = toHex(ledger.tip().hash);
    const promised = { height: ledger.storedHeight(), tipHash, generation };
    await this.#remember({ ...this.#record, promised });
    this.#ready = { generation, key: blockKey(promised) };
    await this.#announceAndDecide();
  }

  async #enter({ run, entry }: EnteredRun): Promise<void> {
    const { log, onEnter } = this.#dependencies;
    if (entry !== 'restore') {
      const aside = await setLogAside(this.#options.runLog.directory);
      if (aside !== undefined) log.warn({ aside }, 'the log of an earlier run was moved aside');
      // On disk before the first vote can be cast.
      await this.#remember({ promised: run, run });
    }
    this.#base = { ...run, mute: entry === 'join' };
    this.#ready = undefined;
    this.#reason = 'running';
    this.#stopTimers();
    this.#writer.forget();
    // One that asks nobody before wants to hear of the others' run all the same (B10).
    await this.#announce(entry === 'restore');
    onEnter({ run, entry });
  }

  /** B10, B11: from now on it has no part in that run, and looks for the one that the others are in. */
  async #leave(reason: string): Promise<void> {
    const { log, onLeave } = this.#dependencies;
    log.warn({ reason }, 'leaving the run');
    this.#reason = `starting again: ${reason}`;
    await onLeave(reason);
    this.#base = undefined;
    this.#writer.forget();
    this.#startTimers();
    await this.#announce(true);
    await this.#decide();
  }

  async #remember(record: RunRecord): Promise<void> {
    await writeRunRecord(this.#options.runRecordFile, record);
    this.#record = record;
  }

  async #announce(wantsReply = false): Promise<void> {
    for (const peer of this.#reports.keys()) {
      if (this.#connected[peer]) await this.#sendReport(peer, wantsReply);
    }
  }

  async #announceAndDecide(): Promise<void> {
    await this.#announce();
    if (this.#base === undefined) await this.#decide();
  }

  #ask(peer: number, fromNumber: number): void {
    const { number } = this.#options.consenters[peer] ?? { number: peer };
    this.#reason = `starting: fetching blocks from ${fromNumber} on from replica ${number}`;
    this.#fetch.ask(peer, fromNumber);
  }

  async #serve(peer: number, fromNumber: number): Promise<void> {
    const { ledger, send } = this.#dependencies;
    const delayMs = this.#base === undefined ? 0 : this.#pace.delayMs(peer, performance.now());
    if (delayMs > 0) {
      setTimeout(() => this.#enqueue(() => this.#serve(peer, fromNumber)), delayMs);
      return;
    }
    const { blocks, bytes } = await readBlocks(ledger, fromNumber, ledger.storedHeight());
    this.#pace.served(peer, bytes, performance.now());
    send(peer, encodeStartMessage({ kind: 'blocks', fromNumber, blocks }));
  }

  async #onBlocks(peer: number, from: number, blocks: readonly Uint8Array[]): Promise<void> {
    if (!this.#fetch.awaits(peer, from)) return;
    const grown = await this.#fetch.onBlocks(peer, from, blocks);
    this.#writer.forget();
    if (grown) await this.#dependencies.onGrown();
    await this.#announceAndDecide();
  }

  #isVouched(number: number, hash: string): boolean {
    const vouchers = this.#reports.filter((report) =>
      report?.tail.some((block) => block.number === number && block.hash === hash),
    );
    return vouchers.length > faultsOf(this.#options.consenters.length);
  }
}
