/**
 * Brings the ledgers of the replicas to one block before a run starts, and answers those who start later.
 *
 * Speaks over the links (mutual TLS), never over the consensus transport: at this time no session exists.
 * Every block that comes in is checked (links, hashes, envelopes, certificate) before it is stored.
 */
import {
  type Block,
  type ConsenterKey,
  checkBlockLinks,
  checkCertificate,
  decodeBlock,
  decodeCertificate,
  encodeBlock,
  faultsOf,
  HEADER_TYPES,
  headerHash,
  parseEnvelope,
  type Sha256,
  toHex,
} from '../../ledger/format/index.ts';
import type { HashedHeader, Ledger } from '../../ledger/store/index.ts';
import type { Log } from '../log.ts';
import { verifySignature } from '../signature/index.ts';
import { decideStart, type LedgerReport, type StartDecision } from './decide.ts';
import {
  BLOCKS_BYTES_MAX,
  decodeStartMessage,
  encodeStartMessage,
  type StartMessage,
  TAIL_BLOCKS_MAX,
} from './wire.ts';

export interface StartupOptions {
  readonly self: number;
  readonly consenters: readonly ConsenterKey[];
  /** How long all n are waited for before q are enough. */
  readonly graceMs: number;
  /** How often a waiting replica asks again. */
  readonly retryMs: number;
}

export interface StartupDependencies {
  readonly ledger: Ledger;
  readonly sha256: Sha256;
  readonly send: (peer: number, body: Uint8Array) => void;
  /** Certified blocks of other replicas were stored. */
  readonly onGrown: () => void;
  /** The run begins at the ledger's tip. Called once. */
  readonly onStart: () => void;
  readonly onFatal: (error: Error) => void;
  readonly log: Log;
}

export class StartupSync {
  readonly #options: StartupOptions;
  readonly #dependencies: StartupDependencies;
  readonly #reports: (LedgerReport | undefined)[];
  readonly #connected: boolean[];
  #base: LedgerReport['base'];
  #reason = 'the replica is starting';
  #following = false;
  #graceOver = false;
  /** Serializes ledger changes and decisions. */
  #work: Promise<void> = Promise.resolve();
  #fetching: { peer: number; fromNumber: number; untilMs: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #graceTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: StartupOptions, dependencies: StartupDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#reports = options.consenters.map(() => undefined);
    this.#connected = options.consenters.map(() => false);
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
    this.#enqueue(() => this.#decide());
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

  onFrame(peer: number, body: Uint8Array): void {
    const decoded = decodeStartMessage(body);
    if (decoded.kind === 'malformed') {
      this.#dependencies.log.warn({ peer, reason: decoded.reason }, 'malformed start-up frame');
      return;
    }
    this.#enqueue(() => this.#onMessage(peer, decoded.value));
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
        this.#dependencies.onFatal(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  #onTimer(): void {
    if (this.#base !== undefined) {
      clearInterval(this.#timer);
      return;
    }
    this.#enqueue(async () => {
      if (this.#fetching !== undefined && Date.now() > this.#fetching.untilMs) {
        this.#fetching = undefined;
      }
      for (const peer of this.#reports.keys()) {
        if (this.#connected[peer]) await this.#sendReport(peer, true);
      }
      await this.#decide();
    });
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
    const tail: { number: number; hash: string }[] = [];
    // A running replica's tail changes while it is read; nobody decides by it, so only starters list it.
    const tailEnd = this.#base === undefined ? storedHeight : certifiedHeight;
    for (
      let number = certifiedHeight;
      number < tailEnd && tail.length < TAIL_BLOCKS_MAX;
      number++
    ) {
      tail.push({ number, hash: toHex((await this.#header(number)).hash) });
    }
    const tipHash = toHex(ledger.tip().hash);
    return { storedHeight, certifiedHeight, tipHash, tail, base: this.#base };
  }

  async #header(number: number): Promise<HashedHeader> {
    const header = await this.#dependencies.ledger.header(number);
    if (header === undefined) throw new Error(`block ${number} is not in the ledger`);
    return header;
  }

  async #decide(): Promise<void> {
    if (this.#base !== undefined || this.#fetching !== undefined) return;
    const decision = decideStart({
      replicas: this.#options.consenters.length,
      self: await this.#ownReport(),
      peers: this.#reports,
      graceOver: this.#graceOver,
    });
    await this.#carryOut(decision);
  }

  async #carryOut(decision: StartDecision): Promise<void> {
    const { ledger, log } = this.#dependencies;
    switch (decision.kind) {
      case 'wait':
        this.#reason = `starting: ${decision.reason}`;
        return;
      case 'follow':
        if (!this.#following) log.warn({ reason: decision.reason }, 'following only');
        this.#following = true;
        this.#reason = decision.reason;
        this.#fetchNewer();
        return;
      case 'fetch':
        this.#fetch(decision.peer, decision.fromNumber);
        return;
      case 'truncate':
        log.warn({ toHeight: decision.toHeight }, 'dropping blocks that were never certified');
        await ledger.truncateUncertified(decision.toHeight);
        return this.#announce();
      case 'start': {
        const tipHash = toHex(ledger.tip().hash);
        this.#base = { height: ledger.storedHeight(), tipHash };
        this.#reason = 'running';
        clearInterval(this.#timer);
        clearTimeout(this.#graceTimer);
        await this.#announce();
        this.#dependencies.onStart();
        return;
      }
    }
  }

  async #announce(): Promise<void> {
    for (const peer of this.#reports.keys()) {
      if (this.#connected[peer]) await this.#sendReport(peer, false);
    }
    if (this.#base === undefined) await this.#decide();
  }

  #fetchNewer(): void {
    const certified = this.#dependencies.ledger.certifiedHeight();
    const peer = this.#reports.findIndex((report) => (report?.certifiedHeight ?? 0) > certified);
    if (peer >= 0) this.#fetch(peer, certified);
  }

  #fetch(peer: number, fromNumber: number): void {
    this.#fetching = { peer, fromNumber, untilMs: Date.now() + 10 * this.#options.retryMs };
    this.#reason = `fetching blocks from ${fromNumber} on from replica index ${peer}`;
    this.#dependencies.send(peer, encodeStartMessage({ kind: 'fetch', fromNumber }));
  }

  async #sendBlocks(peer: number, fromNumber: number): Promise<void> {
    const { ledger } = this.#dependencies;
    const blocks: Uint8Array[] = [];
    let bytes = 0;
    // Uncertified blocks are for starters only: a running replica gives out what a quorum has signed.
    const end = this.#base === undefined ? ledger.storedHeight() : ledger.certifiedHeight();
    for (let number = fromNumber; number < end && bytes < BLOCKS_BYTES_MAX; number++) {
      const block = await ledger.storedBlock(number);
      if (block === undefined) break;
      const encoded = encodeBlock(block);
      blocks.push(encoded);
      bytes += encoded.length;
    }
    this.#dependencies.send(peer, encodeStartMessage({ kind: 'blocks', fromNumber, blocks }));
  }

  async #onBlocks(peer: number, from: number, blocks: readonly Uint8Array[]): Promise<void> {
    const { log } = this.#dependencies;
    if (this.#fetching?.peer !== peer || this.#fetching.fromNumber !== from) return;
    this.#fetching = undefined;
    for (const [index, bytes] of blocks.entries()) {
      const refused = await this.#takeBlock(from + index, bytes);
      if (refused === undefined) continue;
      // Its report is dropped with it: the next decision asks another replica.
      log.warn({ peer, block: from + index, reason: refused }, 'refused a block from a replica');
      this.#reports[peer] = undefined;
      break;
    }
    this.#dependencies.onGrown();
    await this.#announce();
  }

  /** Checks and stores one block; returns why it was refused. */
  async #takeBlock(number: number, bytes: Uint8Array): Promise<string | undefined> {
    const { ledger, sha256 } = this.#dependencies;
    const decoded = decodeBlock(bytes);
    if (decoded.kind === 'malformed') return decoded.reason;
    const block = decoded.value;
    if (block.header.number !== number) return `it is block ${block.header.number}`;
    const stored = ledger.storedHeight();
    if (number > stored) return `this replica has ${stored} blocks only`;
    const links = checkBlockLinks(block, await this.#header(number - 1), sha256);
    if (links.kind === 'invalid') return links.reason;
    const hash = toHex(headerHash(block.header, sha256));
    const certified = await this.#isCertified(block);
    if (!certified && !this.#isVouched(number, hash)) return 'it has no certificate';
    if (number < stored) return this.#certifyStored(block, hash, certified);
    const entry = { block, txIds: block.data.map(txIdOf) };
    if (certified) await ledger.appendCertified([entry]);
    else await ledger.appendBlocks([entry]);
    return undefined;
  }

  async #certifyStored(
    block: Block,
    hash: string,
    certified: boolean,
  ): Promise<string | undefined> {
    const { ledger } = this.#dependencies;
    const { number } = block.header;
    if (!certified || number < ledger.certifiedHeight()) return undefined;
    const own = toHex((await this.#header(number)).hash);
    if (own !== hash) {
      throw new Error(
        `block ${number} is certified as ${hash} but this replica stored ${own}: ` +
          'its ledger and the network disagree; keep the folder for analysis and start with an empty one',
      );
    }
    await ledger.attachCertificate(number, block.metadata[0] ?? new Uint8Array());
    return undefined;
  }

  async #isCertified(block: Block): Promise<boolean> {
    const body = decodeCertificate(block.metadata[0] ?? new Uint8Array());
    if (body.kind === 'malformed' || body.value.signatures.length === 0) return false;
    const check = await checkCertificate(
      block,
      this.#options.consenters,
      (key, message, signature) =>
        verifySignature({ algorithm: key.algorithm, bytes: key.publicKey }, message, signature),
    );
    return check.kind === 'ok';
  }

  #isVouched(number: number, hash: string): boolean {
    const vouchers = this.#reports.filter((report) =>
      report?.tail.some((block) => block.number === number && block.hash === hash),
    );
    return vouchers.length > faultsOf(this.#options.consenters.length);
  }
}

function txIdOf(envelope: Uint8Array): string | undefined {
  const parsed = parseEnvelope(envelope);
  if (parsed.kind === 'malformed') return undefined;
  const { type, txId } = parsed.value.channelHeader;
  return type === HEADER_TYPES.CONFIG ? undefined : txId;
}
