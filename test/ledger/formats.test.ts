import { createRequire } from 'node:module';
import { common, msp } from '@hyperledger/fabric-protos';
import { expect } from 'chai';
import fc from 'fast-check';
import { LedgerError } from '../../ledger/errors.ts';
import {
  type BlockHeader,
  type ChannelHeader,
  type Decoded,
  decodeBlock,
  decodeBlockData,
  decodeBlockHeader,
  decodeCertificate,
  decodeChannelHeader,
  decodeOrdererBlockMetadata,
  decodeSerializedIdentity,
  decodeSignatureHeader,
  encodeBlock,
  encodeBlockData,
  encodeBlockHeader,
  encodeCertificate,
  encodeChannelHeader,
  encodeEnvelope,
  encodeIdentifierHeader,
  encodeOrdererBlockMetadata,
  encodePayload,
  encodeSerializedIdentity,
  encodeSignatureHeader,
  FORMAT_LIMITS,
  HEADER_TYPES,
  headerDer,
  METADATA,
  type ParsedEnvelope,
  parseEnvelope,
  toHex,
} from '../../ledger/format/index.ts';
import { EMPTY, makeEnvelope } from './helpers.ts';

type FabricTimestamp = NonNullable<ReturnType<common.ChannelHeader['getTimestamp']>>;
/** The well-known type comes without TypeScript declarations. */
const { Timestamp } = createRequire(import.meta.url)(
  'google-protobuf/google/protobuf/timestamp_pb.js',
) as { Timestamp: new () => FabricTimestamp };

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

function unwrap<T>(result: Decoded<T>): T {
  if (result.kind === 'malformed') throw new Error(result.reason);
  return result.value;
}

function reasonOf(result: Decoded<unknown>): string {
  return result.kind === 'malformed' ? result.reason : 'accepted';
}

const smallBytes = fc.uint8Array({ maxLength: 200 });
const text = fc.string({ unit: 'binary', maxLength: 150 });
const int32 = fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, 0x7fff_ffff, -0x8000_0000));
const uint53 = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 127, 128, 2 ** 32, 2 ** 53 - 1));
const timestampMs = fc.oneof(
  fc.constant(0),
  fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
);
const channelHeader: fc.Arbitrary<ChannelHeader> = fc.record({
  type: int32,
  version: int32,
  timestampMs,
  channelId: text,
  txId: text,
  epoch: uint53,
  extension: smallBytes,
  tlsCertHash: smallBytes,
});
const signatureHeader = fc.record({ creator: smallBytes, nonce: smallBytes });
const blockHeader: fc.Arbitrary<BlockHeader> = fc.record({
  number: uint53,
  previousHash: smallBytes,
  dataHash: smallBytes,
});

function fabricChannelHeader(header: ChannelHeader): common.ChannelHeader {
  const out = new common.ChannelHeader();
  out.setType(header.type);
  out.setVersion(header.version);
  if (header.timestampMs !== 0) {
    const seconds = Math.floor(header.timestampMs / 1000);
    const timestamp = new Timestamp();
    timestamp.setSeconds(seconds);
    timestamp.setNanos((header.timestampMs - seconds * 1000) * 1_000_000);
    out.setTimestamp(timestamp);
  }
  out.setChannelId(header.channelId);
  out.setTxId(header.txId);
  out.setEpoch(header.epoch);
  out.setExtension$(header.extension);
  out.setTlsCertHash(header.tlsCertHash);
  return out;
}

function fabricSignatureHeader(header: {
  creator: Uint8Array;
  nonce: Uint8Array;
}): common.SignatureHeader {
  const out = new common.SignatureHeader();
  out.setCreator(header.creator);
  out.setNonce(header.nonce);
  return out;
}

function fabricEnvelope(
  channel: ChannelHeader,
  signer: { creator: Uint8Array; nonce: Uint8Array },
  data: Uint8Array,
  signature: Uint8Array,
): Uint8Array {
  const header = new common.Header();
  header.setChannelHeader(fabricChannelHeader(channel).serializeBinary());
  header.setSignatureHeader(fabricSignatureHeader(signer).serializeBinary());
  const payload = new common.Payload();
  payload.setHeader(header);
  payload.setData(data);
  const envelope = new common.Envelope();
  envelope.setPayload(payload.serializeBinary());
  envelope.setSignature(signature);
  return envelope.serializeBinary();
}

/** What Fabric's types make of the bytes, layer by layer; undefined when they cannot be read. */
function remarshal(input: Uint8Array): Uint8Array | undefined {
  try {
    const envelope = common.Envelope.deserializeBinary(input);
    const payload = common.Payload.deserializeBinary(envelope.getPayload_asU8());
    const header = payload.getHeader();
    if (header !== undefined) {
      const channel = common.ChannelHeader.deserializeBinary(header.getChannelHeader_asU8());
      const signer = common.SignatureHeader.deserializeBinary(header.getSignatureHeader_asU8());
      header.setChannelHeader(channel.serializeBinary());
      header.setSignatureHeader(signer.serializeBinary());
    }
    envelope.setPayload(payload.serializeBinary());
    return envelope.serializeBinary();
  } catch {
    return undefined;
  }
}

describe('ledger/format: envelopes against fabric-protos', () => {
  it('reads what Fabric’s types write, and writes the same bytes', () => {
    fc.assert(
      fc.property(
        channelHeader,
        signatureHeader,
        smallBytes,
        smallBytes,
        (channel, signer, data, signature) => {
          const theirs = fabricEnvelope(channel, signer, data, signature);
          const parsed = unwrap(parseEnvelope(theirs));
          expect(parsed.channelHeader).to.deep.equal(channel);
          expect(parsed.signatureHeader).to.deep.equal(signer);
          expect(parsed.data).to.deep.equal(data);
          expect(parsed.signature).to.deep.equal(signature);
          const ours = encodeEnvelope(encodePayload(channel, signer, data), signature);
          expect(toHex(ours)).to.equal(toHex(theirs));
          expect(parsed.payload).to.deep.equal(encodePayload(channel, signer, data));
        },
      ),
    );
  });

  it('writes headers and identities that Fabric’s types read', () => {
    fc.assert(
      fc.property(channelHeader, signatureHeader, text, (channel, signer, mspId) => {
        const theirs = common.ChannelHeader.deserializeBinary(encodeChannelHeader(channel));
        expect(theirs.getChannelId()).to.equal(channel.channelId);
        expect(theirs.getEpoch()).to.equal(channel.epoch);
        expect(theirs.getType()).to.equal(channel.type);
        expect(unwrap(decodeChannelHeader(theirs.serializeBinary()))).to.deep.equal(channel);
        const header = fabricSignatureHeader(signer).serializeBinary();
        expect(unwrap(decodeSignatureHeader(header))).to.deep.equal(signer);
        expect(encodeSignatureHeader(signer)).to.deep.equal(new Uint8Array(header));
        const identity = new msp.SerializedIdentity();
        identity.setMspid(mspId);
        identity.setIdBytes(signer.creator);
        const mine = { mspId, idBytes: signer.creator };
        expect(encodeSerializedIdentity(mine)).to.deep.equal(
          new Uint8Array(identity.serializeBinary()),
        );
        expect(unwrap(decodeSerializedIdentity(identity.serializeBinary()))).to.deep.equal(mine);
      }),
    );
  });

  it('accepts exactly the bytes that re-marshal to themselves', function () {
    this.timeout(20_000);
    const { envelope } = makeEnvelope('mutated', { bytes: 3 });
    const edit = fc.record({
      position: fc.nat(envelope.length),
      remove: fc.nat(3),
      insert: fc.uint8Array({ maxLength: 3 }),
    });
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        let mutated = [...envelope];
        for (const { position, remove, insert } of edits) {
          mutated = mutated.toSpliced(position, remove, ...insert);
        }
        const input = Uint8Array.from(mutated);
        const ours = parseEnvelope(input);
        const theirs = remarshal(input);
        const same = theirs !== undefined && toHex(theirs) === toHex(input);
        if (ours.kind === 'ok') {
          accepted += 1;
          expect(same, `accepted ${toHex(input)}`).to.equal(true);
        } else {
          expect(ours.reason).to.match(/^(malformed |not canonical: )/);
          const limit = /no payload|no header|2\^53|Timestamp|UTF-8/.test(ours.reason);
          expect(same && !limit, `refused ${toHex(input)}: ${ours.reason}`).to.equal(false);
        }
      }),
      { numRuns: 2500 },
    );
    expect(accepted).to.be.greaterThan(10);
  });

  it('answers any bytes with data', () => {
    const decoders: ((input: Uint8Array) => Decoded<unknown>)[] = [
      parseEnvelope,
      decodeChannelHeader,
      decodeSignatureHeader,
      decodeSerializedIdentity,
      decodeBlock,
      decodeBlockData,
      decodeBlockHeader,
      decodeCertificate,
      decodeOrdererBlockMetadata,
    ];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (input) => {
        for (const decode of decoders) {
          const { kind } = decode(input);
          expect(kind === 'ok' || kind === 'malformed').to.equal(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('returns views of a Buffer as plain Uint8Array, without copying', () => {
    const { envelope } = makeEnvelope('buffer');
    const buffer = Buffer.concat([Buffer.from('xx'), envelope]).subarray(2);
    const parsed: ParsedEnvelope = unwrap(parseEnvelope(buffer));
    expect(parsed.payload.constructor).to.equal(Uint8Array);
    expect(parsed.payload.buffer).to.equal(buffer.buffer);
  });
});

describe('ledger/format: refused encodings', () => {
  const cases: [string, string, RegExp][] = [
    ['nothing', '', /^malformed Envelope: no payload$/],
    ['only a signature', '1201aa', /^malformed Envelope: no payload$/],
    ['a payload without header', '0a03 1201aa', /^malformed Payload: no header$/],
    ['a truncated tag', '80', /^malformed Envelope/],
    ['a length past the end', '0a05 0a', /^malformed Envelope.payload: its length/],
    ['a truncated length', '0aff', /^malformed Envelope.payload: truncated varint$/],
    ['a varint above 64 bits', `0a${'ff'.repeat(9)}02`, /^malformed .* longer than 64 bits$/],
    ['a length above 32 bits', '0a8080808010', /^malformed Envelope.payload: its length/],
    ['a payload that is explicitly empty', '0a00', /^not canonical: .*present but empty$/],
    ['a needlessly long length', '0a8200 0a00', /^not canonical: .*needless bytes$/],
    ['fields out of order', '1201aa 0a020a00', /^not canonical: .*out of order/],
    ['a field twice', '0a020a00 0a020a00', /^not canonical: .*field 1 repeated/],
    ['an unknown field', '0a020a00 1a00', /^not canonical: .*unknown field 3$/],
    ['an unknown field before', '1a00 0a020a00', /^not canonical: .*unknown field 3$/],
    ['a wrong wire type', '0801', /^not canonical: .*wire type 0$/],
    ['a group', '0b0c', /^not canonical: .*group$/],
    ['a wire type that does not exist', '0a020a00 1e', /^malformed .*wire type 6$/],
    ['field number 0', '0a020a00 0000', /^malformed .*field number$/],
    ['a truncated fixed-width field', '0a020a00 1d0000', /^malformed .*fixed-width/],
    ['a tag with needless bytes', '8a00020a00', /^not canonical: .*needless bytes$/],
    ['an explicit zero type', '0a06 0a04 0a02 0800', /^not canonical: ChannelHeader.type/],
    ['a type above 32 bits', '0a0a 0a08 0a06 088080808010', /^not canonical: ChannelHeader.type/],
    ['an epoch above 2^53', '0a0d 0a0b 0a09 30ffffffffffffff1f', /^malformed ChannelHeader.epoch/],
    ['text that is not UTF-8', '0a07 0a05 0a03 2201ff', /^malformed .*not UTF-8$/],
    ['an overlong UTF-8 form', '0a08 0a06 0a04 2202c080', /^malformed .*not UTF-8$/],
    ['a year after 9999', '0a0c 0a0a 0a08 1a06 0880e0bcbf8f', /^malformed|not canonical/],
    [
      'nanoseconds above a second',
      '0a0c 0a0a 0a08 1a06 108094ebdc03',
      /^malformed Timestamp.nanos/,
    ],
    ['negative nanoseconds', '0a11 0a0f 0a0d 1a0b 10ffffffffffffffffff01', /^malformed Timestamp/],
  ];
  for (const [name, hex, reason] of cases) {
    it(name, () => expect(reasonOf(parseEnvelope(bytes(hex)))).to.match(reason));
  }

  it('accepts a timestamp that is present and empty, as Go writes it', () => {
    const parsed = unwrap(parseEnvelope(bytes('0a06 0a04 0a02 1a00')));
    expect(parsed.channelHeader.timestampMs).to.equal(0);
  });

  it('accepts negative numbers in their ten bytes', () => {
    const parsed = unwrap(parseEnvelope(bytes('0a0f 0a0d 0a0b 08ffffffffffffffffff01')));
    expect(parsed.channelHeader.type).to.equal(-1);
  });

  it('bounds the number of entries', () => {
    const entries = (count: number): Uint8Array =>
      new Uint8Array(2 * count).fill(0x0a).map((_, i) => (i % 2 === 0 ? 0x0a : 0));
    expect(decodeBlockData(entries(FORMAT_LIMITS.blockEntriesMax)).kind).to.equal('ok');
    const more = decodeBlockData(entries(FORMAT_LIMITS.blockEntriesMax + 1));
    expect(reasonOf(more)).to.match(/^malformed BlockData: more than/);
    const signature = '1206 1201aa 1a010a'.replaceAll(' ', '');
    expect(decodeCertificate(bytes(signature)).kind).to.equal('malformed');
    const one = { identifier: 1, nonce: EMPTY, signature: Uint8Array.of(1) };
    const many = Array.from({ length: FORMAT_LIMITS.certificateSignaturesMax + 1 }, () => one);
    const certificate = encodeCertificate({ value: EMPTY, signatures: many });
    expect(reasonOf(decodeCertificate(certificate))).to.match(/more than 256/);
  });

  it('throws for values that have no encoding', () => {
    const header = { number: 0, previousHash: EMPTY, dataHash: EMPTY };
    for (const number of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => encodeBlockHeader({ ...header, number })).to.throw(LedgerError);
      expect(() => headerDer({ ...header, number })).to.throw(LedgerError);
    }
    expect(() => encodeIdentifierHeader(2 ** 32, EMPTY)).to.throw(LedgerError);
    expect(() => encodeSerializedIdentity({ mspId: '\ud800', idBytes: EMPTY })).to.throw(
      LedgerError,
    );
  });
});

describe('ledger/format: blocks against fabric-protos', () => {
  it('reads and writes the same bytes', () => {
    const list = fc.array(smallBytes, { maxLength: 5 });
    fc.assert(
      fc.property(blockHeader, list, list, (header, data, metadata) => {
        const block = new common.Block();
        const theirHeader = new common.BlockHeader();
        theirHeader.setNumber(header.number);
        theirHeader.setPreviousHash(header.previousHash);
        theirHeader.setDataHash(header.dataHash);
        const theirData = new common.BlockData();
        theirData.setDataList(data);
        const theirMetadata = new common.BlockMetadata();
        theirMetadata.setMetadataList(metadata);
        block.setHeader(theirHeader);
        block.setData(theirData);
        block.setMetadata(theirMetadata);
        const theirs = new Uint8Array(block.serializeBinary());
        expect(unwrap(decodeBlock(theirs))).to.deep.equal({ header, data, metadata });
        expect(encodeBlock({ header, data, metadata })).to.deep.equal(theirs);
        const headerBytes = new Uint8Array(theirHeader.serializeBinary());
        expect(encodeBlockHeader(header)).to.deep.equal(headerBytes);
        expect(unwrap(decodeBlockHeader(headerBytes))).to.deep.equal(header);
        expect(encodeBlockData(data)).to.deep.equal(new Uint8Array(theirData.serializeBinary()));
      }),
    );
  });

  it('refuses a block that lacks a part', () => {
    expect(reasonOf(decodeBlock(bytes('1200 1a00')))).to.match(/repeated, out of order|no header/);
    expect(reasonOf(decodeBlock(bytes('0a00 1a00')))).to.match(/out of order|no BlockData/);
    expect(reasonOf(decodeBlock(bytes('0a00 1200')))).to.equal('malformed Block: no BlockMetadata');
    expect(decodeBlock(bytes('0a00 1200 1a00')).kind).to.equal('ok');
  });

  it('writes the header as DER', () => {
    const hash = new Uint8Array(2).fill(0xee);
    const der = (number: number, previousHash = hash): string =>
      toHex(headerDer({ number, previousHash, dataHash: hash }));
    expect(der(0, EMPTY)).to.equal('30090201000400'.concat('0402eeee'));
    expect(der(127)).to.equal('300b02017f0402eeee0402eeee');
    expect(der(128)).to.equal('300c020200800402eeee0402eeee');
    expect(der(0x1_0000_0000)).to.equal('300f020501000000000402eeee0402eeee');
    expect(der(2 ** 53 - 1)).to.equal('301102071fffffffffffff0402eeee0402eeee');
    expect(der(1, new Uint8Array(200).fill(1)).slice(0, 18)).to.equal(
      '3081d202010104 81c8'.replace(' ', ''),
    );
    expect(der(1, new Uint8Array(300).fill(1)).slice(0, 22)).to.equal(
      '3082013702010104 82012c'.replace(' ', ''),
    );
  });

  it('numbers header types and metadata slots as Fabric does', () => {
    const { HeaderType, BlockMetadataIndex } = common;
    for (const [name, value] of Object.entries(HEADER_TYPES)) {
      expect(HeaderType[name as keyof typeof HeaderType], name).to.equal(value);
    }
    for (const [name, value] of Object.entries(METADATA)) {
      expect(BlockMetadataIndex[name as keyof typeof BlockMetadataIndex], name).to.equal(value);
    }
  });
});

describe('ledger/format: certificates against fabric-protos', () => {
  it('reads and writes the same bytes', () => {
    const signature = fc.record({
      identifier: fc.oneof(fc.nat(), fc.constantFrom(0xffff_ffff, 1)).filter((n) => n > 0),
      nonce: smallBytes,
      signature: smallBytes,
    });
    fc.assert(
      fc.property(
        uint53,
        smallBytes,
        fc.array(signature, { maxLength: 5 }),
        (lastConfigIndex, consenterMetadata, signatures) => {
          const lastConfig = new common.LastConfig();
          lastConfig.setIndex(lastConfigIndex);
          const orderer = new common.OrdererBlockMetadata();
          orderer.setLastConfig(lastConfig);
          orderer.setConsenterMetadata(consenterMetadata);
          const value = new Uint8Array(orderer.serializeBinary());
          const fields = { lastConfigIndex, consenterMetadata };
          expect(encodeOrdererBlockMetadata(fields)).to.deep.equal(value);
          expect(unwrap(decodeOrdererBlockMetadata(value))).to.deep.equal(fields);
          const metadata = new common.Metadata();
          metadata.setValue(value);
          metadata.setSignaturesList(
            signatures.map((entry) => {
              const identifierHeader = new common.IdentifierHeader();
              identifierHeader.setIdentifier(entry.identifier);
              identifierHeader.setNonce(entry.nonce);
              const out = new common.MetadataSignature();
              out.setSignature(entry.signature);
              out.setIdentifierHeader(identifierHeader.serializeBinary());
              return out;
            }),
          );
          const theirs = new Uint8Array(metadata.serializeBinary());
          expect(unwrap(decodeCertificate(theirs))).to.deep.equal({ value, signatures });
          expect(encodeCertificate({ value, signatures })).to.deep.equal(theirs);
        },
      ),
    );
  });

  it('refuses a signature_header and a missing last_config', () => {
    const signature = new common.MetadataSignature();
    signature.setSignatureHeader(Uint8Array.of(1));
    signature.setSignature(Uint8Array.of(2));
    const metadata = new common.Metadata();
    metadata.setSignaturesList([signature]);
    const refused = decodeCertificate(metadata.serializeBinary());
    expect(reasonOf(refused)).to.match(/^malformed MetadataSignature.signature_header/);
    expect(reasonOf(decodeOrdererBlockMetadata(EMPTY))).to.match(/no last_config/);
  });
});
