/**
 * Golden scripts: commands and the conversation that follows, one file per story
 * (test/interaction/*.txt). Real cores, real wire formats, real signatures. `UPDATE=1 npx mocha
 * ...` writes what is said now; read the diff.
 *
 *   # text                                  comment
 *   cluster n=4 [limit=value ...]           a new cluster, all sessions open
 *   submit R TEXT                           replica R's orderer submits a batch
 *   run                                     message delays until nothing is on its way
 *   tick MS                                 time passes; replicas wake when they asked to
 *   silence R... / wake R...                stopped processes: they read and do nothing
 *   lose FROM->TO WHAT / keep               drops writes (a kind of cell or message, batch, or *; R or *) / stops dropping
 *   session A B open|close
 *   kill R...                               the same, with their sessions closed; `wake` opens them
 *   restart R / wipe R                      a new process with R's log and ledger / with nothing
 *   clock R MS                              sets R's clock apart
 *   uncertified R N                         R's orderer reports N uncertified blocks from now on
 *   forge WHAT R to R,R ...                 a lie of R's, see forge.ts
 *   status R / logs / log R                 figures / what each has delivered / records of R's log
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { CoreLimits, CoreStatus } from '../../consensus/core/index.ts';
import { recordsOf } from '../consensus/support/replica.ts';
import { forge } from './forge.ts';
import { describeRecord } from './names.ts';
import { ScriptCluster } from './script-cluster.ts';

const FOLDER = join(process.cwd(), 'test', 'interaction');
const SEPARATOR = '----';

describe('interaction scripts', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'));
  it('are found', () => expect(files).to.have.length.greaterThan(0));
  for (const file of files) {
    it(file.replace('.txt', '').replaceAll('-', ' '), () => {
      const path = join(FOLDER, file);
      const script = readFileSync(path, 'utf8');
      const said = runScript(script);
      if (process.env.UPDATE === '1') writeFileSync(path, said);
      else expect(said).to.equal(script);
    });
  }
});

/** Runs the commands of a script and returns the script with what is said now. */
function runScript(script: string): string {
  let cluster: ScriptCluster | undefined;
  const out: string[] = [];
  for (const block of script.split(/\n\n+/)) {
    const lines = block.split('\n');
    const end = lines.indexOf(SEPARATOR);
    const commands = (end < 0 ? lines : lines.slice(0, end)).filter((line) => line !== '');
    if (commands.every((line) => line.startsWith('#'))) {
      if (commands.length > 0) out.push(commands.join('\n'));
      continue;
    }
    for (const command of commands.filter((line) => !line.startsWith('#'))) {
      if (command.startsWith('cluster')) cluster = createCluster(command);
      else if (cluster === undefined) throw new Error('a script starts with `cluster`');
      else runCommand(cluster, command.split(' '));
    }
    out.push([...commands, SEPARATOR, ...(cluster?.takeLines() ?? [])].join('\n'));
  }
  return `${out.join('\n\n')}\n`;
}

function createCluster(command: string): ScriptCluster {
  const figures = new Map<string, number>();
  for (const word of command.split(' ').slice(1)) {
    const [name, value] = word.split('=');
    figures.set(name as string, Number(value));
  }
  const replicas = figures.get('n') ?? 4;
  const batchTimeoutMs = figures.get('batchTimeoutMs') ?? 2_000;
  figures.delete('n');
  figures.delete('batchTimeoutMs');
  const limits = Object.fromEntries(figures) as Partial<CoreLimits>;
  return new ScriptCluster(replicas, limits, batchTimeoutMs);
}

function runCommand(cluster: ScriptCluster, words: string[]): void {
  const [verb, ...rest] = words;
  switch (verb) {
    case 'submit': {
      const payload = Buffer.from(rest.slice(1).join(' '));
      return cluster.step(Number(rest[0]), { kind: 'submit', payload });
    }
    case 'run':
      return cluster.run();
    case 'tick':
      return cluster.tick(Number(rest[0]));
    case 'silence':
      for (const index of rest) cluster.silent.add(Number(index));
      return;
    case 'wake':
      for (const index of rest) cluster.wake(Number(index));
      return;
    case 'lose':
      return lose(cluster, rest);
    case 'keep':
      cluster.lost.length = 0;
      return;
    case 'session':
      return cluster.setSession(Number(rest[0]), Number(rest[1]), rest[2] === 'open');
    case 'clock':
      cluster.replicas[Number(rest[0])]!.clockOffsetMs = Number(rest[1]);
      return;
    case 'uncertified':
      cluster.replicas[Number(rest[0])]!.blocksUncertified = Number(rest[1]);
      return;
    case 'forge':
      return forge(cluster, rest);
    case 'kill':
      for (const index of rest) cluster.kill(Number(index));
      return;
    case 'restart':
    case 'wipe':
      for (const index of rest) cluster.restart(Number(index), verb === 'wipe' ? 'lost' : 'kept');
      return;
    case 'log':
      return tellLog(cluster, Number(rest[0]));
    case 'status':
      return tellStatus(cluster, Number(rest[0]));
    case 'logs':
      return tellLogs(cluster);
    default:
      throw new Error(`unknown command ${verb}`);
  }
}

function lose(cluster: ScriptCluster, [between, what]: string[]): void {
  const [from, to] = (between as string)
    .split('->')
    .map((end) => (end === '*' ? undefined : Number(end)));
  cluster.lost.push({ from, to, what: what as string });
}

function tellStatus(cluster: ScriptCluster, index: number): void {
  const status = cluster.replicas[index]!.core.status();
  const lanes = status.lanes.map(
    ({ lane, heldSeq, executedSeq, trusted }) =>
      `lane ${lane} ${executedSeq}/${heldSeq}${trusted ? '' : ' without trust'}`,
  );
  cluster.say(
    `${index}: executed s${status.executedSlot}, ${status.path} path, ` +
      `${status.fastCommits} fast, ${status.slowCommits} slow, ${status.fetchedCommits} fetched` +
      `${status.behind ? ', behind' : ''}${describeStanding(status)}`,
  );
  cluster.say(`   ${lanes.join(', ')}`);
}

/** Whatever is not as at a run's beginning. */
function describeStanding(status: CoreStatus): string {
  const { view, changing, stableSlot, mute, transferring } = status;
  let text = '';
  if (view > 0) text += changing ? `, changing to v${view}` : `, v${view}`;
  if (stableSlot > 0) text += `, stable s${stableSlot}`;
  if (mute) text += ', mute';
  if (transferring) text += ', transferring';
  return text;
}

function tellLog(cluster: ScriptCluster, index: number): void {
  const { log } = cluster.replicas[index]!;
  if (log === undefined) return cluster.say(`${index}: (no log)`);
  const records = recordsOf(log, cluster.replicas.length).map((record) =>
    describeRecord(
      cluster.names,
      record,
      (proposal) => cluster.digestOf(proposal),
      (batch) => cluster.refOf(batch),
    ),
  );
  cluster.say(`${index}: ${records.join(', ')}`);
}

function tellLogs(cluster: ScriptCluster): void {
  const logs = new Map<string, number[]>();
  for (const replica of cluster.replicas) {
    const log = replica.delivered.flatMap(({ batches }) => batches.map(({ text }) => text));
    const text = log.join(' ') || '(nothing)';
    logs.set(text, [...(logs.get(text) ?? []), replica.self]);
  }
  for (const [text, who] of logs) cluster.say(`${who.join(' ')}: ${text}`);
}
