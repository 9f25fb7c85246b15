/** The mutations, by what they break. Texts are of the compiled files: four spaces, no types. */
import type { CodeMutation, Mutation, WorldMutation } from './mutations.ts';
import type { Weakness } from './protocol.ts';

type Where = Mutation['where'];

/** The rarest of them shows in one seed of 170, so that a thousand leave no room for bad luck. */
const WITHIN = 1_000;

function code(
  [name, bug]: readonly [string, string],
  [file, find, replace]: readonly [string, string, string],
  where: Where = {},
  elsewhere?: string,
): CodeMutation {
  const mutation = { name, bug, file: `core/${file}`, find, replace, where, withinSeeds: WITHIN };
  return elsewhere === undefined ? mutation : { ...mutation, elsewhere };
}

function world(
  [name, bug]: readonly [string, string],
  weakness: Weakness,
  where: Where = {},
): WorldMutation {
  return { name, bug, weakness, where, withinSeeds: WITHIN };
}

const VIEWS: Where = { focus: 'views' };
const BETRAYAL: Where = { focus: 'views', lies: ['betrayal'] };
const RESTARTS: Where = { focus: 'restarts' };
const JOINS: Where = { focus: 'joins' };

const THRESHOLD = 'const threshold = changes.length - faultsTolerated(replicas);';
const OUTCOME = 'votedDigest(reported, certificateView, threshold) ?? certificate?.digest';

const VIEW_CHANGES: readonly Mutation[] = [
  code(
    ['threshold-one-more', 'W5: an outcome needs m - f + 1 votes: one liar hides a fast decision'],
    ['view-change.js', THRESHOLD, THRESHOLD.replace(';', ' + 1;')],
    VIEWS,
  ),
  code(
    ['threshold-f', 'W5: f votes are enough: liars choose the outcome'],
    ['view-change.js', THRESHOLD, 'const threshold = faultsTolerated(replicas);'],
    VIEWS,
  ),
  code(
    ['votes-ignored', 'W5: only certificates count: a fast decision is lost'],
    ['view-change.js', OUTCOME, 'certificate?.digest'],
    VIEWS,
  ),
  code(
    ['certificates-ignored', 'W5: null is chosen although there is a certificate'],
    ['view-change.js', OUTCOME, 'votedDigest(reported, certificateView, threshold)'],
    VIEWS,
  ),
  code(
    ['votes-override-certificate', "W5: votes of the certificate's own view win over it"],
    ['view-change.js', 'vote.view <= certificateView', 'vote.view < certificateView'],
    BETRAYAL,
  ),
  code(
    ['lowest-certificate', 'W5: an old certificate overrides a newer one'],
    ['view-change.js', 'prepared.view > highest.view', 'prepared.view < highest.view'],
    BETRAYAL,
    'test/consensus/core/view-change.test.ts',
  ),
  code(
    ['reported-slots-free', 'W4: slots that have votes and no certificate count as free'],
    [
      'view-change.js',
      'top = Math.max(top, report.slot);',
      'if (report.prepared !== undefined)\n                top = Math.max(top, report.slot);',
    ],
    BETRAYAL,
    'test/consensus/core/view-change.test.ts',
  ),
  code(
    ['new-view-unchecked', 'W3: a NEW-VIEW is believed without recomputation'],
    [
      'view-checks.js',
      'const { changes } = newView;\n',
      'const { changes } = newView;\n    if (changes.length > 0)\n        return undefined;\n',
    ],
    VIEWS,
  ),
  code(
    ['changes-unsigned', 'W3: signatures of VIEW-CHANGEs are not checked'],
    [
      'view-checks.js',
      'if (!state.signatures.verify(signer, state.digests.viewChange(change), signature)) {',
      'if (signature.length === 0) {',
    ],
    VIEWS,
  ),
  code(
    ['certificates-unsigned', 'W3: signatures of prepared certificates are not checked'],
    [
      'view-checks.js',
      'return signatures.every(({ signer, signature }) => state.signatures.verify(signer, state.digests.prepare(signer, view, slot, digest), signature));',
      'return view >= 0 && slot >= 0 && digest.length > 0;',
    ],
    BETRAYAL,
  ),
  code(
    ['promise-broken', 'W2: promises to leave a view, and goes on helping to decide in it'],
    [
      'views.js',
      'if (views.wish !== before)\n        state.progress.urgent = true;',
      'if (views.wish !== before)\n        state.progress.urgent = true;\n    if (views.wish > before && views.wish > state.view)\n        sendChange(state, signChange(state, views.wish));',
    ],
    VIEWS,
  ),
  code(
    ['rounds-kept', 'W2: what was said in one view counts in the next'],
    [
      'slots.js',
      'if (record !== undefined && record.round.view !== view)\n            resetRound(record.round, view);',
      'if (record !== undefined)\n            record.round.view = view;',
    ],
    VIEWS,
  ),
  code(
    ['prepare-without-view', 'S3: the text that a PREPARE signs does not name its view'],
    ['digests.js', 'writeU32(head, INDEX_BYTES, view);', ''],
    { focus: 'views', lies: ['betrayal', 'lifted-certificates'] },
    'test/consensus/core/slow-path.test.ts',
  ),
];

const QUORUM = 'return Math.ceil((replicas + faultsTolerated(replicas) + 1) / 2);';

const QUORUMS: readonly Mutation[] = [
  code(
    ['quorum-f-plus-one', 'Q1: f + 1 replicas are a quorum'],
    ['quorum.js', QUORUM, 'return faultsTolerated(replicas) + 1;'],
  ),
  code(
    ['quorum-one-less', 'Q1: q - 1 replicas are a quorum'],
    ['quorum.js', QUORUM, QUORUM.replace('/ 2)', '/ 2) - 1')],
  ),
  code(
    ['fast-quorum-one-less', 'F1: n - 1 votes decide on the fast path'],
    ['quorum.js', 'return replicas;', 'return Math.max(1, replicas - 1);'],
    VIEWS,
  ),
  code(
    ['one-teller', 'C3: what one peer tells of a decided slot is believed'],
    [
      'catch-up.js',
      'countDigest(answers.table, digest) > state.faults',
      'countDigest(answers.table, digest) > 0',
    ],
  ),
  code(
    ['checkpoint-of-few', 'K3: f + 1 CHECKPOINTs make one stable'],
    [
      'checkpoint.js',
      'if (agreeing.length < state.quorum)\n        return;\n',
      'if (agreeing.length <= state.faults)\n        return;\n    return adoptStable(state, { state: wanted, signatures: agreeing.map(({ signer, signature }) => ({ signer, signature })) });\n',
    ],
  ),
  code(
    ['certificate-unchecked', 'K3: the certificate of a checkpoint is not checked'],
    [
      'checkpoint.js',
      'return signatures.every(({ signer, signature }) => isSignedBy(state, signer, digest, signature));',
      'return digest.length > 0;',
    ],
    { lies: ['lying-checkpoints'] },
  ),
];

const VOTE_RECORD =
  "    state.effects.push({ kind: 'persist', record: { kind: 'vote', view, proposal } });\n";
const VOTE_CELL =
  "    state.effects.push({ kind: 'write-cell', cell: { kind: 'vote', view, slot, digest } });\n";

const MEMORY: readonly Mutation[] = [
  code(
    ['votes-forgotten', 'D4: a restart forgets its votes'],
    ['restore.js', 'return restoreVote(state, record.view, record.proposal);', 'return;'],
    RESTARTS,
  ),
  code(
    ['certificates-forgotten', 'D4: a restart forgets its certificates'],
    ['restore.js', 'return restorePrepared(state, record.certificate);', 'return;'],
    RESTARTS,
  ),
  code(
    ['view-change-forgotten', 'D4, W2: a restart votes in a view that it has promised to leave'],
    ['restore.js', "case 'view-change':\n", "case 'view-change':\n            return;\n"],
    RESTARTS,
  ),
  code(['vote-not-logged', 'D2: a vote is never logged'], ['vote.js', VOTE_RECORD, ''], RESTARTS),
  code(
    ['vote-logged-late', 'D2: a vote is logged behind its cell instead of before it'],
    ['vote.js', VOTE_RECORD + VOTE_CELL, VOTE_CELL + VOTE_RECORD],
    RESTARTS,
  ),
  code(
    ['certificate-not-logged', 'D2: a COMMIT rests on a certificate that is not on disk'],
    [
      'prepare.js',
      "state.effects.push({ kind: 'persist', record: { kind: 'prepared', certificate } });",
      '',
    ],
    { focus: 'restarts', lies: ['betrayal'] },
    'test/consensus/core/core.test.ts',
  ),
  code(
    ['batch-not-logged', 'D2: an own batch is spread before it is on disk'],
    ['lanes.js', "state.effects.push({ kind: 'persist', record: { kind: 'batch', batch } });", ''],
    RESTARTS,
  ),
  code(
    ['view-change-not-logged', 'D2: a VIEW-CHANGE is sent before it is on disk'],
    ['views.js', "logView(state, { kind: 'view-change', viewChange: views.own });", ''],
    RESTARTS,
  ),
  code(
    ['rotation-drops-votes', 'D3: the new log lacks the votes above the checkpoint'],
    ['log.js', 'if (vote !== undefined) {', 'if (slotRecord.slot < 0) {'],
    RESTARTS,
  ),
  world(
    ['sends-before-sync', 'D2: a process says things before what they depend on is on disk'],
    'sends-before-sync',
    RESTARTS,
  ),
  code(
    ['joiner-not-mute', 'J2: a replica without memory votes at once'],
    ['state.js', "options.entry.kind === 'join' ? createMute(replicas) : undefined", 'undefined'],
    JOINS,
  ),
  code(
    ['joiner-impatient', 'J2, J4: a joiner speaks as soon as q have answered'],
    [
      'join.js',
      'if (isReady(state) && state.views.knowsLife && !state.views.changing)',
      'if (mute.untilSlot !== Infinity && !state.views.changing)',
    ],
    JOINS,
  ),
];

const CONTENT: readonly Mutation[] = [
  code(
    ['window-too-long', 'V2, P4: slots take the places of those that are not stable'],
    [
      'state.js',
      'state.checkpoints.stable.slot + windowSlots, state',
      'state.checkpoints.stable.slot + 4 * windowSlots, state',
    ],
    VIEWS,
  ),
  code(
    ['tip-not-signed', 'K1: the state that CHECKPOINTs sign leaves the tip of the ledger out'],
    [
      'digests.js',
      'encodeCheckpointState(state))',
      'encodeCheckpointState({ ...state, tipHash: new Uint8Array(32) }))',
    ],
    { lies: ['lying-checkpoints'] },
  ),
  code(
    ['checkpoint-without-cut', 'K1: something is pending in the cutter after a checkpoint'],
    ['execute.js', 'const cut = proposal.cut || checkpoint;', 'const cut = proposal.cut;'],
  ),
  code(
    ['wall-clock', 'E6: the time of a slot is the own clock instead of the ordered time'],
    [
      'execute.js',
      'Math.max(proposal.timeMs, state.executed.timeMs)',
      'Math.max(Math.floor(state.wallMs), state.executed.timeMs)',
    ],
  ),
  code(
    ['future-allowed', 'V4: a leader may set ordered time as far ahead as it likes'],
    [
      'vote.js',
      'if (earlyByMs > 0 && proposal.timeMs > before.timeMs) {',
      'if (earlyByMs === Infinity) {',
    ],
    { lies: ['time-games'] },
  ),
  code(
    ['invalid-voted', 'V7: a batch that the orderer called invalid is voted for'],
    ['vote.js', "return 'invalid batch';", 'continue;'],
    { lies: ['unsigned-work'] },
  ),
  code(
    ['unknown-voted', 'V7: what is decided need not be held by anybody'],
    [
      'vote.js',
      "wantBatch(state, lane, walk.ref, base.seq, slot);\n            return 'wait';",
      "wantBatch(state, lane, walk.ref, base.seq, slot);\n            return 'vote';",
    ],
  ),
  code(
    ['last-proposal-counts', 'V1: a leader that contradicts itself is followed'],
    ['vote.js', 'if (round.proposal === undefined) {', 'if (round.votedAtMs >= 0) {'],
  ),
  code(
    ['fetched-committed', 'S2: COMMIT for a decision that was only told of by others'],
    ['prepare.js', 'if (mayCommitDecided(record, digest))', 'if (record.decided !== undefined)'],
    BETRAYAL,
    'test/consensus/core/slow-path.test.ts',
  ),
  code(
    [
      'told-never-asks',
      "S2: of those told of a decision none sees the others' PREPAREs, and none commits",
    ],
    ['prepare.js', 'if (needsCommit(state, record)) {', 'if (record.decided === undefined) {'],
    JOINS,
    'test/consensus/core/slow-path.test.ts',
  ),
  code(
    [
      'orphans-take-room',
      'L6: what can never be executed leaves no room for what its owner says now',
    ],
    ['lanes.js', '!isNamed && giveUpOrphan(state, lane, held)', 'held.dead'],
    RESTARTS,
    'test/consensus/core/bounds.test.ts',
  ),
  code(
    [
      'said-when-forgotten',
      'E5: a batch whose bytes were given back is sent to whoever fetches it',
    ],
    ['execute.js', 'removeBatch(state.lanes[oldest.batch.lane], oldest);', ''],
  ),
  code(
    ['leader-for-ever', 'W1: nobody ever suspects a leader'],
    ['suspicion.js', 'if (suspicion.patienceMs < ', 'if (-Infinity < '],
  ),
  code(
    ['full-pipeline-excuses', 'W1: a pipeline that is always full excuses what it leaves out'],
    ['suspicion.js', ' && hasOnlyCrossed(state, uncovered)', ''],
    {},
    'test/consensus/core/suspicion.test.ts',
  ),
  code(
    ['unread-for-ever', 'W1: a leader that hides what it holds need not propose it'],
    ['suspicion.js', 'sinceMs + UNREAD_TIMEOUTS * timeoutMs', 'Infinity'],
    {},
    'test/consensus/core/suspicion.test.ts',
  ),
];

const UNSIGNED: Where = { lies: ['unsigned-work', 'lying-attestations'] };
const HEARD = `    if (said.has(from)) {
        ignore(state, 'second attestation of a replica for one place');
        return false;
    }
    said.set(from, digest);
`;

const ATTESTATIONS: readonly Mutation[] = [
  code(
    ['attested-by-f', 'A4: f replicas have attested: the owner alone, where f = 1'],
    ['attest.js', 'return attesters > state.faults;', 'return attesters >= state.faults;'],
    UNSIGNED,
  ),
  code(
    ['attested-twice', 'A4: what one replica attests twice counts for two'],
    ['attest.js', HEARD, '    said.set(said.size, digest);\n'],
    UNSIGNED,
  ),
  code(
    ['other-batch-attested', 'A4: attestations of any batch of that number count'],
    ['attest.js', 'if (equalBytes(attested, digest))', 'if (attested.length === digest.length)'],
    { lies: ['unsigned-work', 'forked-lane', 'lying-attestations'] },
  ),
  code(
    ['bad-attested', 'A3: a checker attests what it has found invalid'],
    ['lanes.js', 'if (!valid)\n', 'if (!valid)\n        attest(state, held);\n    if (!valid)\n'],
    UNSIGNED,
  ),
  code(
    ['read-voted', 'V7: a batch that is only read is voted for, attested or not'],
    ['vote.js', "if (held.check !== 'valid')", "if (held.check === 'pending')"],
    UNSIGNED,
  ),
  code(
    ['attestation-for-ever', 'A5: who is late is waited for without end'],
    ['attest.js', 'state.timerMs + waitMs(state)', 'Infinity'],
    { lies: ['late-attestations'] },
  ),
  code(
    ['answer-attests', 'A3: whatever the owner hands out counts as attested by it'],
    ['lanes.js', 'const isFromRing = ring !== undefined;', 'const isFromRing = true;'],
    UNSIGNED,
    'test/consensus/core/attest.test.ts',
  ),
];

const TRANSPORT: readonly Mutation[] = [
  world(['mac-without-view', 'the MAC of a cell does not cover its view'], 'mac-view', VIEWS),
  world(
    ['mac-without-writer', 'the MAC of a cell covers neither its writer nor its region'],
    'mac-writer',
    VIEWS,
  ),
];

export const MUTATIONS: readonly Mutation[] = [
  ...VIEW_CHANGES,
  ...QUORUMS,
  ...MEMORY,
  ...CONTENT,
  ...ATTESTATIONS,
  ...TRANSPORT,
];
