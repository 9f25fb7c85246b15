import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { expect } from 'chai';
import {
  type Block,
  type ConsenterKey,
  type ConsenterSignature,
  checkBlockBody,
  checkBlockLinks,
  checkCertificate,
  dataHash,
  encodeCertificate,
  encodeIdentifierHeader,
  encodeOrdererBlockMetadata,
  faultsOf,
  HEADER_TYPES,
  headerHash,
  quorumOf,
  signatureFault,
  signedBytes,
} from '../../ledger/format/index.ts';
import { sha256 } from '../support/hash.ts';
import { EMPTY, makeBlock, makeEnvelope, makeGenesis, verifyWithNode } from './helpers.ts';

interface Member {
  key: ConsenterKey;
  secret: KeyObject;
}

function makeMember(number: number): Member {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'jwk' }).x ?? '';
  return {
    secret: privateKey,
    key: { number, algorithm: 'ed25519', publicKey: new Uint8Array(Buffer.from(raw, 'base64url')) },
  };
}

const members = [3, 7, 8, 20].map(makeMember);
const keys = members.map(({ key }) => key);
const value = encodeOrdererBlockMetadata({ lastConfigIndex: 0, consenterMetadata: EMPTY });

function signBlock(block: Block, member: Member, signedValue = value): ConsenterSignature {
  const nonce = Uint8Array.of(member.key.number);
  const header = encodeIdentifierHeader(member.key.number, nonce);
  const message = signedBytes(signedValue, header, block.header);
  return {
    identifier: member.key.number,
    nonce,
    signature: new Uint8Array(sign(null, message, member.secret)),
  };
}

async function check(
  block: Block,
  signatures: ConsenterSignature[],
  signedValue = value,
): Promise<string> {
  const metadata = block.metadata.with(0, encodeCertificate({ value: signedValue, signatures }));
  const result = await checkCertificate({ header: block.header, metadata }, keys, verifyWithNode);
  return result.kind === 'ok' ? result.signers.join() : result.reason;
}

describe('ledger/format: certificates', () => {
  const { block } = makeBlock(makeGenesis().header);

  it('computes the quorum so that two of them share a correct consenter', () => {
    const expected = [1, 2, 2, 3, 4, 4, 5, 6, 6, 7];
    expect(expected.map((_, index) => quorumOf(index + 1))).to.deep.equal(expected);
    for (let n = 1; n <= 100; n += 1) {
      expect(2 * quorumOf(n) - n).to.be.greaterThan(faultsOf(n));
      expect(quorumOf(n)).to.be.at.most(n - faultsOf(n));
    }
  });

  it('accepts a quorum and all', async () => {
    const all = members.map((member) => signBlock(block, member));
    expect(await check(block, all.slice(0, 3))).to.equal('3,7,8');
    expect(await check(block, all.toReversed())).to.equal('20,8,7,3');
  });

  it('refuses too few, repeated, unknown and wrong signatures, surplus ones included', async () => {
    const all = members.map((member) => signBlock(block, member));
    expect(await check(block, [])).to.match(/0 signatures, 3 of 4/);
    expect(await check(block, all.slice(0, 2))).to.match(/2 signatures, 3 of 4/);
    expect(await check(block, [all[0]!, all[1]!, all[1]!])).to.match(/consenter 7 signed more/);
    const stranger = signBlock(block, makeMember(4));
    expect(await check(block, [...all, stranger])).to.match(/unknown consenter 4/);
    const broken = { ...all[3]!, signature: all[3]!.signature.map((byte, i) => byte ^ +(i === 9)) };
    expect(await check(block, all.with(3, broken))).to.match(/consenter 20 does not fit/);
    const short = { ...all[0]!, signature: all[0]!.signature.subarray(1) };
    expect(await check(block, all.with(0, short))).to.match(/63 bytes instead of 64/);
    const borrowed = { ...all[0]!, identifier: 7 };
    expect(await check(block, [borrowed, all[0]!, all[2]!])).to.match(/consenter 7 does not fit/);
  });

  it('refuses signatures over another header or another value', async () => {
    const other = makeBlock(makeGenesis().header, 2).block;
    const forOther = members.map((member) => signBlock(other, member));
    expect(await check(block, forOther)).to.match(/does not fit the block/);
    const later = encodeOrdererBlockMetadata({ lastConfigIndex: 1, consenterMetadata: EMPTY });
    const forValue = members.map((member) => signBlock(block, member));
    expect(await check(block, forValue, later)).to.match(/does not fit the block/);
    const future = encodeOrdererBlockMetadata({ lastConfigIndex: 2, consenterMetadata: EMPTY });
    const signed = members.map((member) => signBlock(block, member, future));
    expect(await check(block, signed, future)).to.match(/names block 2 as its newest config/);
    expect(await check(block, forValue, EMPTY)).to.match(/no last_config/);
  });

  it('refuses a block without certificate, and block 0', async () => {
    expect((await checkCertificate(block, keys, verifyWithNode)).kind).to.equal('invalid');
    expect((await checkCertificate(makeGenesis(), keys, verifyWithNode)).kind).to.equal('invalid');
    expect((await checkCertificate(block, [], verifyWithNode)).kind).to.equal('invalid');
  });
});

describe('ledger/format: forms of P-256 signatures', () => {
  const r = '0201 01'.replace(' ', '');
  const cases: [string, string, RegExp | undefined][] = [
    ['smallest', `3006${r}${r}`, undefined],
    ['wrong tag', `3106${r}${r}`, /SEQUENCE/],
    ['wrong length', `3007${r}${r}`, /SEQUENCE/],
    ['trailing byte inside', `3007${r}${r}00`, /after S/],
    ['negative R', `3006020180${r}`, /an R/],
    ['zero S', `3006${r}020100`, /an S/],
    ['needless zero', `300702020001${r}`, /an R/],
    ['empty S', `3006${r}0200 00`.replace(' ', ''), /an S/],
    ['R past the end', `3006022001${r.slice(2)}01`, /an R/],
    ['too short', '3000', /no DER/],
  ];
  for (const [name, hex, expected] of cases) {
    it(name, () => {
      const fault = signatureFault('p256', new Uint8Array(Buffer.from(hex, 'hex')));
      if (expected === undefined) expect(fault).to.equal(undefined);
      else expect(fault).to.match(expected);
    });
  }
});

describe('ledger/format: links', () => {
  const genesis = makeGenesis();

  it('accepts a chain', () => {
    expect(checkBlockLinks(genesis, undefined, sha256).kind).to.equal('ok');
    const { block } = makeBlock(genesis.header, 3);
    expect(checkBlockLinks(block, genesis.header, sha256).kind).to.equal('ok');
    expect(checkBlockBody(block, sha256).kind).to.equal('ok');
  });

  function blockOf(data: Uint8Array[]): Block {
    const previousHash = headerHash(genesis.header, sha256);
    return {
      header: { number: 1, previousHash, dataHash: dataHash(data, sha256) },
      data,
      metadata: [EMPTY, EMPTY, EMPTY, EMPTY, EMPTY],
    };
  }

  function faultOf(data: Uint8Array[]): string {
    const result = checkBlockLinks(blockOf(data), genesis.header, sha256);
    return result.kind === 'ok' ? 'ok' : result.reason;
  }

  it('wants transactions, canonical and signed', () => {
    const { envelope } = makeEnvelope('a');
    expect(faultOf([])).to.match(/has no transactions/);
    expect(faultOf([Uint8Array.from([...envelope, 0x1a, 0x00])])).to.match(
      /transaction 0 of block 1: not canonical/,
    );
    expect(faultOf([envelope, EMPTY])).to.match(/transaction 1 of block 1: malformed/);
    const unsigned = makeEnvelope('b', { signature: EMPTY }).envelope;
    expect(faultOf([unsigned])).to.match(/no signature/);
  });

  it('wants a configuration transaction alone in its block', () => {
    const config = makeEnvelope('c', { type: HEADER_TYPES.CONFIG }).envelope;
    expect(faultOf([config])).to.equal('ok');
    expect(faultOf([makeEnvelope('d').envelope, config])).to.match(/must stand alone/);
  });

  it('wants a genesis block with a configuration and without history', () => {
    const entry = makeEnvelope('e').envelope;
    const plain = { ...genesis, data: [entry] };
    plain.header = { ...genesis.header, dataHash: dataHash([entry], sha256) };
    expect(checkBlockLinks(plain, undefined, sha256).kind).to.equal('invalid');
    const linked = { ...genesis, header: { ...genesis.header, previousHash: new Uint8Array(32) } };
    expect(checkBlockLinks(linked, undefined, sha256).kind).to.equal('invalid');
    const bare = { ...genesis, metadata: genesis.metadata.with(0, EMPTY) };
    expect(checkBlockLinks(bare, undefined, sha256).kind).to.equal('invalid');
  });
});
