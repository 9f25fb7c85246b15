/**
 * What a lying replica says: everything is well-formed and signed with its own key. Its signatures and votes
 * are its own, certificates are made with everybody's keys: a script forges only those that it could have collected.
 *
 *   forge batch R to R,R after NAME|start TEXT
 *   forge proposal R to R,R [v1] s1 at +0 [NAME ...] [cut]
 *   forge vote|commit|prepare R to R,R [v1] s1 DIGEST
 *   forge progress R to R,R [view 1] [wish 2]
 *   forge view-change R to R,R v1 [s1 voted DIGEST in v0] [s1 prepared DIGEST in v0 by 0,1,2] [s2 ...]
 *   forge new-view R to R,R v1 of R,R,R [hiding R]      the last VIEW-CHANGEs of these; R's without its reports
 *   forge checkpoint R to R,R s4                        of a state that nobody has
 *
 * `-` stands for nobody: `forge view-change R to - v1` is kept for a `forge new-view`.
 */
import type {
  BatchRef,
  Message,
  NewView,
  PreparedCertificate,
  SlotReport,
  ViewChange,
} from '../../consensus/core/index.ts';
import { nullProposal } from '../../consensus/core/index.ts';
import { testCrypto } from '../consensus/support/crypto.ts';
import { START_MS } from '../consensus/support/replica.ts';
import { describeMessage, short } from './names.ts';
import type { ScriptCluster } from './script-cluster.ts';

const EMPTY: BatchRef = { seq: 0, digest: new Uint8Array(32) };

interface Lie {
  readonly cluster: ScriptCluster;
  readonly from: number;
  readonly to: readonly number[];
  /** What follows `to R,R`. */
  readonly words: string[];
}

export function forge(cluster: ScriptCluster, [what, from, , to, ...words]: string[]): void {
  const lie = { cluster, from: Number(from), to: indexes(to as string), words };
  switch (what) {
    case 'batch':
      return forgeBatch(lie);
    case 'proposal':
      return forgeProposal(lie);
    case 'vote':
    case 'commit':
      return forgeVote(lie, what);
    case 'prepare':
      return forgePrepare(lie);
    case 'progress':
      return forgeProgress(lie);
    case 'view-change':
      return forgeViewChange(lie);
    case 'new-view':
      return forgeNewView(lie);
    case 'checkpoint':
      return forgeCheckpoint(lie);
    default:
      throw new Error(`cannot forge ${what}`);
  }
}

function indexes(list: string): number[] {
  return list === '-' ? [] : list.split(',').map(Number);
}

function say({ cluster, from, to }: Lie, text: string): void {
  cluster.say(`    ${from} -> ${to.join(' ') || 'nobody'} ${text} (forged)`);
}

function send(lie: Lie, message: Message): void {
  const { cluster, from, to } = lie;
  cluster.forgeMessage(from, to, message);
  const text = describeMessage(
    cluster.names,
    message,
    ({ proposal }) => cluster.digestOf(proposal),
    ({ batch }) => cluster.refOf(batch),
  );
  say(lie, text);
}

/** `v1`, when it is the next word. */
function takeView(words: string[]): number {
  return /^v\d+$/.test(words[0] ?? '') ? Number(words.shift()?.slice(1)) : 0;
}

function takeSlot(words: string[]): number {
  return Number(words.shift()?.slice(1));
}

function digestCalled({ cluster }: Lie, name: string, slot: number): Uint8Array {
  if (name === 'null') return cluster.digestOf(nullProposal(slot, cluster.replicas.length));
  const content = cluster.contents.get(name);
  if (content === undefined) throw new Error(`nothing that was proposed is called ${name}`);
  return cluster.digestOf(content);
}

function signed(lie: Lie, text: Uint8Array): Uint8Array {
  return testCrypto(lie.from).sign(text);
}

function forgeBatch(lie: Lie): void {
  const { cluster, from, to, words } = lie;
  const [, name, ...text] = words;
  const after = name === 'start' ? EMPTY : cluster.names.find(name as string).ref;
  const payload = Buffer.from(text.join(' '));
  const batch = { lane: from, seq: after.seq + 1, previous: after.digest, payload };
  say(lie, `${cluster.forgeBatch(from, to, batch)} "${payload}"`);
}

function forgeProposal(lie: Lie): void {
  const { cluster, from, to, words } = lie;
  const view = takeView(words);
  const slot = takeSlot(words);
  const timeMs = START_MS + Number(words[1]);
  const frontier = cluster.replicas.map(() => EMPTY);
  let cut = false;
  for (const word of words.slice(2)) {
    if (word === 'cut') cut = true;
    else {
      const { lane, ref } = cluster.names.find(word);
      frontier[lane] = ref;
    }
  }
  const proposal = { slot, timeMs, cut, frontier };
  cluster.forgeCell(from, to, { kind: 'proposal', view, proposal });
  const tips = cluster.names.frontier(frontier);
  say(lie, `proposal s${slot} ${short(cluster.digestOf(proposal))} ${tips}`);
}

function forgeVote(lie: Lie, kind: 'vote' | 'commit'): void {
  const { cluster, from, to, words } = lie;
  const view = takeView(words);
  const slot = takeSlot(words);
  const digest = digestCalled(lie, words[0] as string, slot);
  cluster.forgeCell(from, to, { kind, view, slot, digest });
  say(lie, `${kind} s${slot} ${short(digest)}`);
}

function forgePrepare(lie: Lie): void {
  const { cluster, from, words } = lie;
  const view = takeView(words);
  const slot = takeSlot(words);
  const digest = digestCalled(lie, words[0] as string, slot);
  const text = cluster.replicas[0]!.state.digests.prepare(from, view, slot, digest);
  const prepare = { view, slot, digest, signer: from, signature: signed(lie, text) };
  send(lie, { kind: 'prepare', request: false, prepare });
}

function forgeProgress(lie: Lie): void {
  const { cluster, from, to, words } = lie;
  const figure = (name: string): number => {
    const at = words.indexOf(name);
    return at < 0 ? 0 : Number(words[at + 1]);
  };
  const view = figure('view');
  const wish = Math.max(view, figure('wish'));
  const held = cluster.replicas.map(() => EMPTY);
  const rest = { appliedSlot: 0, held, changing: false, mute: false, beat: 1_000 };
  cluster.forgeCell(from, to, { kind: 'progress', view, wish, ...rest });
  say(lie, `progress of v${view}, wish for v${wish}`);
}

function forgeViewChange(lie: Lie): void {
  const { cluster, from, words } = lie;
  const view = takeView(words);
  const { lives, checkpoints } = cluster.replicas[from]!.state;
  const checkpoint = checkpoints.stable.certificate;
  const body = { view, signer: from, lives: [...lives], checkpoint, reports: takeReports(lie) };
  const text = cluster.replicas[0]!.state.digests.viewChange(body);
  const viewChange: ViewChange = { ...body, signature: signed(lie, text) };
  cluster.changes.set(from, viewChange);
  send(lie, { kind: 'view-change', viewChange });
}

/** s1 voted DIGEST in v0, s1 prepared DIGEST in v0 by 0,1,2 */
function takeReports(lie: Lie): SlotReport[] {
  const { words } = lie;
  const reports = new Map<number, SlotReport>();
  while (words.length > 0) {
    const slot = takeSlot(words);
    const [how, name, , in_] = words.splice(0, 4) as [string, string, string, string];
    const view = Number(in_.slice(1));
    const digest = digestCalled(lie, name, slot);
    const known = reports.get(slot) ?? { slot, vote: undefined, prepared: undefined };
    if (how === 'voted') {
      reports.set(slot, { ...known, vote: { view, digest } });
      continue;
    }
    const [, signers] = words.splice(0, 2) as [string, string];
    const prepared = certificateOf(lie, view, slot, digest, indexes(signers));
    reports.set(slot, { ...known, prepared });
  }
  return [...reports.values()].sort((a, b) => a.slot - b.slot);
}

function certificateOf(
  { cluster }: Lie,
  view: number,
  slot: number,
  digest: Uint8Array,
  signers: readonly number[],
): PreparedCertificate {
  const { digests } = cluster.replicas[0]!.state;
  const signatures = signers.map((signer) => {
    const text = digests.prepare(signer, view, slot, digest);
    return { signer, signature: testCrypto(signer).sign(text) };
  });
  return { view, slot, digest, signatures };
}

function forgeNewView(lie: Lie): void {
  const { cluster, words } = lie;
  const view = takeView(words);
  const [, signers, , hidden] = words;
  const changes = indexes(signers as string).map((signer) => {
    const change = cluster.changes.get(signer);
    if (change === undefined) throw new Error(`replica ${signer} has sent no VIEW-CHANGE`);
    return signer === Number(hidden) ? { ...change, reports: [] } : change;
  });
  const body = { view, changes };
  const text = cluster.replicas[0]!.state.digests.newView(body);
  const newView: NewView = { ...body, signature: signed(lie, text) };
  send(lie, { kind: 'new-view', newView });
}

function forgeCheckpoint(lie: Lie): void {
  const { cluster, from, words } = lie;
  const slot = takeSlot(words);
  const frontier = cluster.replicas.map(() => EMPTY);
  const state = { slot, timeMs: START_MS, frontier, height: 1, tipHash: new Uint8Array(32) };
  const { digests } = cluster.replicas[0]!.state;
  const text = digests.checkpointText(from, digests.checkpoint(state));
  const checkpoint = { state, signer: from, signature: signed(lie, text) };
  send(lie, { kind: 'checkpoint', checkpoint });
}
