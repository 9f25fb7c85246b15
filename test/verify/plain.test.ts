import { expect } from 'chai';
import fc from 'fast-check';
import { buildEnvelope, transactionIdOf, type Writer } from '../../api/client/index.ts';
import {
  encodeEnvelope,
  encodePayload,
  encodeSerializedIdentity,
  idOfWords,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { ChainAudit } from '../../scripts/verify/audit.ts';
import { CreatorMemory } from '../../scripts/verify/creators.ts';
import { VERIFY_LIMITS } from '../../scripts/verify/limits.ts';
import { PlainTransactions } from '../../scripts/verify/plain.ts';
import type { SignatureVerifier } from '../../scripts/verify/signatures.ts';
import { createCreatorJudge } from '../../scripts/verify/x509.ts';
import { createTestChain, issueWriter, mustDecode, type TestChain } from '../support/chain.ts';
import { trustOf } from './memory-source.ts';

/** With a verifier every transaction is checked thoroughly, and this one finds no fault with a signature. */
const CREDULOUS: SignatureVerifier = {
  checked: 0,
  verify: () => Promise.resolve(true),
  ready: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

describe('auditor: plain transactions', () => {
  for (const algorithm of ['ed25519', 'p256'] as const) {
    describe(algorithm, () => {
      let chain: TestChain;
      let good: Uint8Array[];

      before(async () => {
        chain = await createTestChain({ consenters: 1, algorithm });
        const second = await issueWriter(chain.authority, 'second.org1.test', algorithm);
        const build = (text: string, writer: Writer) =>
          buildEnvelope({ channel: 'main', data: new TextEncoder().encode(text), writer }).envelope;
        good = ['a', 'b', 'c'].flatMap((text) => [build(text, chain.writer), build(text, second)]);
      });

      /** Both ways of one block; the findings of one must be those of the other. */
      async function expectSame(envelopes: readonly Uint8Array[]): Promise<number> {
        const number = chain.append(envelopes);
        const block = mustDecode(chain.blocks[number]);
        chain.blocks.splice(number);
        const trust = trustOf(chain.blocks[0]);
        const judgeCreator = createCreatorJudge(trust.organizations);
        const outcomes = [undefined, CREDULOUS].map(async (verifier) => {
          const audit = new ChainAudit({ trust, verifier, judgeCreator });
          await audit.check(mustDecode(chain.blocks[0]), true).copy;
          const { idWords, copy, transactions } = audit.check(block, true);
          return { idWords, copy: await copy, transactions: await transactions };
        });
        const [quick, thorough] = await Promise.all(outcomes);
        expect(quick).to.deep.equal(thorough);
        return (quick?.transactions.length ?? 0) + (quick?.copy.length ?? 0);
      }

      it('are all of them that are as they should be', async () => {
        expect(await expectSame(good)).to.equal(0);
        const trust = trustOf(chain.blocks[0]);
        const memory = new CreatorMemory(createCreatorJudge(trust.organizations));
        const plain = new PlainTransactions('main', memory);
        for (const envelope of good) {
          const words = new Uint32Array(10);
          expect(plain.recognizes(envelope, words, 2)).to.equal(true);
          expect(idOfWords(words, 2)).to.equal(transactionIdOf(envelope));
        }
      });

      it('hide no finding: any byte changed', async () => {
        const property = fc.asyncProperty(
          fc.nat({ max: good.length - 1 }),
          fc.nat(),
          fc.integer({ min: 1, max: 255 }),
          async (which, at, mask) => {
            const envelopes = good.map((envelope) => envelope.slice());
            const changed = envelopes[which] as Uint8Array;
            changed[at % changed.length]! ^= mask;
            await expectSame(envelopes);
          },
        );
        await fc.assert(property, { numRuns: 150 });
      });

      it('hide no finding: repeated, of other nonces, of other parts', async () => {
        const parsed = parseEnvelope(good[0] as Uint8Array);
        if (parsed.kind === 'malformed') throw new Error(parsed.reason);
        const { channelHeader, signatureHeader, data, signature } = parsed.value;
        const build = (
          header: Partial<typeof channelHeader>,
          signed: Partial<typeof signatureHeader> = {},
        ) => {
          const payload = encodePayload(
            { ...channelHeader, ...header },
            { ...signatureHeader, ...signed },
            data,
          );
          const unnamed = encodeEnvelope(payload, signature);
          if ('txId' in header) return unnamed;
          const named = { ...channelHeader, ...header, txId: transactionIdOf(unnamed) ?? '' };
          return encodeEnvelope(
            encodePayload(named, { ...signatureHeader, ...signed }, data),
            signature,
          );
        };
        const nonce = (length: number) => ({ nonce: new Uint8Array(length).fill(length) });
        expect(await expectSame([...good, ...good.slice(2)])).to.equal(good.length - 2);
        expect(
          await expectSame([0, 1, 23, 24, 25, 64, 65, 4096].map((n) => build({}, nonce(n)))),
        ).to.equal(0);
        const long = encodeSerializedIdentity({
          mspId: 'Org1MSP',
          idBytes: new Uint8Array(VERIFY_LIMITS.creatorBytesCachedMax),
        });
        const bad = [
          build({ channelId: '' }),
          build({ channelId: 'mai' }),
          build({ channelId: 'maim' }),
          build({ type: 0 }),
          build({ type: 1 }),
          build({ type: 2 }),
          build({ type: -1 }),
          build({ txId: '' }),
          build({ txId: channelHeader.txId.toUpperCase() }),
          build({ txId: `${channelHeader.txId}0` }),
          build({}, { creator: new Uint8Array(0) }),
          build({}, { creator: signatureHeader.creator.subarray(1) }),
          build({}, { creator: long }),
          encodeEnvelope(encodePayload(channelHeader, signatureHeader, data), new Uint8Array(0)),
          encodeEnvelope(
            encodePayload(channelHeader, signatureHeader, data),
            signature.subarray(1),
          ),
        ];
        for (const envelope of bad) await expectSame([...good.slice(1), envelope]);
        await expectSame(bad);
      });
    });
  }

  it('need no verdict twice for one creator, and give each its own', () => {
    const asked: string[] = [];
    const memory = new CreatorMemory((creator) => {
      const reason = new TextDecoder().decode(creator);
      asked.push(reason);
      return { kind: 'invalid', reason };
    });
    const say = (text: string) => {
      const bytes = new TextEncoder().encode(`--${text}--`);
      const { verdict } = memory.of(bytes, 2, bytes.length - 2) ?? {};
      return verdict?.kind === 'invalid' ? verdict.reason : undefined;
    };
    // Of 64 bytes every other is looked at: these two are one to the eye, and are told apart nevertheless.
    const twins = ['xy'.repeat(32), `${'xy'.repeat(31)}xz`];
    for (const text of ['a', 'b', 'a', '', ...twins, ...twins]) expect(say(text)).to.equal(text);
    expect(asked).to.deep.equal(['a', 'b', '', ...twins, ...twins]);
    const long = new Uint8Array(VERIFY_LIMITS.creatorBytesCachedMax + 1);
    expect(memory.of(long, 0, long.length)).to.equal(undefined);
  });
});
