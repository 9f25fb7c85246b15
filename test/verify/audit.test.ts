import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { buildEnvelope, type TrustRoot } from '../../api/client/index.ts';
import { sign } from '../../api/client/keys.ts';
import {
  dataHash,
  encodeBlock,
  encodeEnvelope,
  encodePayload,
  HEADER_TYPES,
  parseEnvelope,
} from '../../ledger/format/index.ts';
import { createTestAuthority } from '../support/certificates.ts';
import { createTestChain, issueWriter, mustDecode, type TestChain } from '../support/chain.ts';
import { sha256 } from '../support/hash.ts';
import { audit, memorySource, trustOf } from './memory-source.ts';

const VECTORS =
  process.env.SLUICE_VECTORS ?? join(process.cwd(), '..', 'shared', 'vectors', 'fabric-bft');

function flip(bytes: Uint8Array, at: number, mask: number): Uint8Array {
  const changed = bytes.slice();
  changed[at] = (changed[at] ?? 0) ^ mask;
  return changed;
}

describe('auditor: one chain', () => {
  describe("written by Fabric's own BFT orderer", () => {
    let blocks: Uint8Array[];
    before(function () {
      if (!existsSync(VECTORS)) this.skip();
      blocks = readdirSync(VECTORS)
        .filter((name) => name.endsWith('.block'))
        .sort()
        .map((name) => new Uint8Array(readFileSync(join(VECTORS, name))));
    });

    it('is green: every certificate, every transaction', async () => {
      const outcome = await audit(trustOf(blocks[0]), [memorySource('fabric', blocks)]);
      expect(outcome.findings).to.deep.equal([]);
      expect(outcome).to.include({ blocks: 41, transactions: 41, signatures: 40 * 4 });
    });

    it('shows any changed byte, in its block', async () => {
      const trust = trustOf(blocks[0]);
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 0, max: 2 }),
          fc.nat(),
          fc.integer({ min: 1, max: 255 }),
          async (number, at, mask) => {
            const changed = blocks.slice(0, 3);
            const block = changed[number] as Uint8Array;
            changed[number] = flip(block, at % block.length, mask);
            const { faults } = await audit(trust, [memorySource('fabric', changed)]);
            expect(faults[0]?.block).to.equal(number);
          },
        ),
        { numRuns: 25 },
      );
    });
  });

  describe('made here', () => {
    let chain: TestChain;
    let trust: TrustRoot;
    before(async () => {
      chain = await createTestChain({ consenters: 4, blocks: 3, transactions: 2 });
      trust = trustOf(chain.blocks[0]);
    });

    /** The chain with one more block of these envelopes; the chain itself stays as it is. */
    function extended(envelopes: readonly Uint8Array[], signers?: readonly number[]): Uint8Array[] {
      const length = chain.blocks.length;
      chain.append(envelopes, signers);
      return [...chain.blocks.slice(0, length), ...chain.blocks.splice(length)];
    }

    async function placesWith(
      envelopes: readonly Uint8Array[],
      signers?: readonly number[],
    ): Promise<readonly string[]> {
      return (await audit(trust, [memorySource('a', extended(envelopes, signers))])).places;
    }

    it('is green, Ed25519 and P-256, one consenter and many', async () => {
      expect((await audit(trust, [memorySource('a', chain.blocks)])).findings).to.deep.equal([]);
      for (const options of [
        { consenters: 1 },
        { consenters: 6 },
        { consenters: 4, algorithm: 'p256' },
      ] as const) {
        const other = await createTestChain({ ...options, blocks: 1 });
        const outcome = await audit(trustOf(other.blocks[0]), [memorySource('a', other.blocks)]);
        expect(outcome.findings).to.deep.equal([]);
      }
    });

    it('shows any changed bit, in its block', async () => {
      const small = await createTestChain({ consenters: 1, blocks: 3 });
      const root = trustOf(small.blocks[0]);
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 0, max: 3 }),
          fc.nat(),
          fc.integer({ min: 0, max: 7 }),
          async (number, at, bit) => {
            const blocks = [...small.blocks];
            const block = blocks[number] as Uint8Array;
            blocks[number] = flip(block, at % block.length, 1 << bit);
            const { faults } = await audit(root, [memorySource('a', blocks)]);
            expect(faults[0]?.block).to.equal(number);
          },
        ),
        { numRuns: 50 },
      );
    });

    it('names the transaction whose bytes were changed', async () => {
      const blocks = [...chain.blocks];
      const block = chain.decoded(2);
      const parsed = parseEnvelope(block.data[1] as Uint8Array);
      if (parsed.kind === 'malformed') throw new Error(parsed.reason);
      const { payload, signature } = parsed.value;
      const envelope = encodeEnvelope(flip(payload, payload.length - 1, 1), signature);
      blocks[2] = encodeBlock({ ...block, data: [block.data[0] as Uint8Array, envelope] });
      const { places } = await audit(trust, [memorySource('a', blocks)]);
      expect(places).to.deep.equal(['bad_block@2', 'bad_signature@2/1']);
    });

    it('names a missing block, and one that stands elsewhere', async () => {
      const [zero, one, two, three] = chain.blocks;
      const gap = await audit(trust, [memorySource('a', [zero, undefined, two, three])]);
      expect(gap.places).to.deep.equal(['missing_block@1']);
      const swapped = await audit(trust, [memorySource('a', [zero, two, one, three])]);
      expect(swapped.places).to.include('bad_block@1').and.to.include('bad_block@2');
    });

    it('refuses certificates of too few, of one twice, of strangers, of nobody', async () => {
      const { envelope } = chain.envelope('x');
      for (const signers of [[1, 2], [1, 2, 2], [1, 2, 9], []]) {
        expect(await placesWith([envelope], signers)).to.deep.equal(['bad_certificate@4']);
      }
      for (const signers of [
        [2, 3, 4],
        [4, 1, 3],
        [1, 2, 3, 4],
      ]) {
        expect(await placesWith([envelope], signers)).to.deep.equal([]);
      }
      const strangers = await createTestChain();
      const blocks = extended([envelope]);
      const block = mustDecode(blocks[4]);
      const metadata = [strangers.certify(block.header), ...block.metadata.slice(1)];
      blocks[4] = encodeBlock({ ...block, metadata });
      const { places } = await audit(trust, [memorySource('a', blocks)]);
      expect(places).to.deep.equal(['bad_certificate@4']);
    });

    it('finds a transaction that stands twice, in one block or two', async () => {
      const { envelope } = chain.envelope('again');
      expect(await placesWith([envelope, envelope])).to.deep.equal(['duplicate_transaction@4/1']);
      const before = chain.decoded(1).data[1] as Uint8Array;
      expect(await placesWith([envelope, before])).to.deep.equal(['duplicate_transaction@4/1']);
    });

    it('finds what a quorum should never have ordered', async () => {
      const stranger = await issueWriter(await createTestAuthority('ca.org1.test'), 'stranger');
      const data = new TextEncoder().encode('x');
      const build = (changes: Partial<Parameters<typeof buildEnvelope>[0]>) =>
        buildEnvelope({ channel: 'main', data, writer: chain.writer, ...changes }).envelope;
      const parsed = parseEnvelope(build({}));
      if (parsed.kind === 'malformed') throw new Error(parsed.reason);
      const { channelHeader, signatureHeader, signature, payload } = parsed.value;
      const wrongId = encodePayload(
        { ...channelHeader, txId: 'ab'.repeat(32) },
        signatureHeader,
        data,
      );
      const cases: [string, Uint8Array][] = [
        ['bad_creator', build({ writer: stranger })],
        ['bad_creator', build({ writer: { ...chain.writer, mspId: 'Org9MSP' } })],
        ['wrong_channel', build({ channel: 'other' })],
        ['unexpected_type', build({ type: HEADER_TYPES.CONFIG_UPDATE })],
        ['unexpected_type', build({ type: HEADER_TYPES.CONFIG })],
        ['bad_tx_id', encodeEnvelope(wrongId, sign(chain.writer.privateKey, wrongId))],
        ['bad_signature', encodeEnvelope(payload, flip(signature, 5, 1))],
        ['bad_signature', encodeEnvelope(payload, signature.subarray(1))],
      ];
      for (const [code, envelope] of cases) {
        expect(await placesWith([envelope])).to.deep.equal([`${code}@4/0`]);
      }
    });

    it('follows neither a genesis block that was changed nor another chain', async () => {
      const other = await createTestChain({ blocks: 1 });
      const { places } = await audit(trust, [memorySource('a', other.blocks)]);
      expect(places[0]).to.equal('wrong_genesis@0');
      expect(places).to.include('bad_certificate@1');
    });

    it('finds data that its header does not cover', async () => {
      const blocks = [...chain.blocks];
      const block = chain.decoded(3);
      const data = [...block.data].reverse();
      blocks[3] = encodeBlock({ ...block, data });
      const swapped = await audit(trust, [memorySource('a', blocks)]);
      expect(swapped.places).to.deep.equal(['bad_block@3']);
      // And a header made to fit, which nobody signed.
      const header = { ...block.header, dataHash: dataHash(data, sha256) };
      blocks[3] = encodeBlock({ ...block, header, data });
      const forged = await audit(trust, [memorySource('a', blocks)]);
      expect(forged.places).to.deep.equal(['bad_certificate@3']);
    });

    it('checks a range, its first block by certificate alone', async () => {
      const source = memorySource('a', chain.blocks);
      const outcome = await audit(trust, [source], { from: 2, to: 2 });
      expect(outcome).to.include({ blocks: 1 });
      expect(outcome.findings).to.deep.equal([]);
    });

    it('without signatures finds accidents, and not forgeries', async () => {
      const blocks = extended([chain.envelope('x').envelope], [1, 2]);
      const few = await audit(trust, [memorySource('a', blocks)], { signatures: false });
      expect(few.places).to.deep.equal(['bad_certificate@4']);
      expect(few.signatures).to.equal(0);
      const parsed = parseEnvelope(chain.envelope('x').envelope);
      if (parsed.kind === 'malformed') throw new Error(parsed.reason);
      const { payload, signature } = parsed.value;
      const forged = extended([encodeEnvelope(payload, flip(signature, 5, 1))]);
      const outcome = await audit(trust, [memorySource('a', forged)], { signatures: false });
      expect(outcome.places).to.deep.equal([]);
    });
  });
});
