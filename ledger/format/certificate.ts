/**
 * The block certificate: `common.Metadata` in the SIGNATURES slot, written as
 * Fabric v3's BFT orderer writes it.
 *
 *   Metadata { value = OrdererBlockMetadata, signatures = [ MetadataSignature { signature, identifier_header } ] }
 *
 * Every consenter signs value || IdentifierHeader{identifier, nonce} || header DER.
 */
import { type BlockHeader, headerDer } from './block.ts';
import { FORMAT_LIMITS } from './limits.ts';
import { type Decoded, decoded, EMPTY, WireReader } from './wire-reader.ts';
import { bytesSize, integerSize, presentSize, requireInteger, WireWriter } from './wire-writer.ts';

export interface ConsenterSignature {
  /** The consenter's number in the channel configuration. */
  identifier: number;
  nonce: Uint8Array;
  /** Ed25519: 64 bytes; P-256: DER, low S. */
  signature: Uint8Array;
}

export interface CertificateBody {
  /** Serialized `common.OrdererBlockMetadata`. */
  value: Uint8Array;
  signatures: ConsenterSignature[];
}

export interface OrdererBlockMetadata {
  /** Number of the newest configuration block at or before this block. */
  lastConfigIndex: number;
  consenterMetadata: Uint8Array;
}

const UINT32_MAX = 0xffff_ffff;

/** `last_config` is always present, even when its index is 0. */
export function encodeOrdererBlockMetadata(metadata: OrdererBlockMetadata): Uint8Array {
  const { lastConfigIndex, consenterMetadata } = metadata;
  requireInteger(lastConfigIndex, 0, Number.MAX_SAFE_INTEGER, 'LastConfig.index');
  const lastConfigSize = integerSize(lastConfigIndex);
  const writer = new WireWriter(presentSize(lastConfigSize) + bytesSize(consenterMetadata.length));
  writer.openField(1, lastConfigSize);
  writer.integerField(1, lastConfigIndex);
  writer.bytesField(2, consenterMetadata);
  return writer.finish();
}

export function decodeOrdererBlockMetadata(bytes: Uint8Array): Decoded<OrdererBlockMetadata> {
  const reader = new WireReader(bytes);
  const outerEnd = reader.enterMessage(1, 'OrdererBlockMetadata.last_config');
  let lastConfigIndex = 0;
  if (outerEnd >= 0) {
    lastConfigIndex = reader.uint64Field(1, 'LastConfig.index');
    reader.leave(outerEnd, 'LastConfig', 1);
  }
  const consenterMetadata = reader.bytesField(2, 'OrdererBlockMetadata.consenter_metadata');
  reader.finish('OrdererBlockMetadata', 2);
  if (outerEnd < 0) reader.fail('malformed OrdererBlockMetadata: no last_config');
  return decoded(reader, { lastConfigIndex, consenterMetadata });
}

/** `common.IdentifierHeader`. */
export function encodeIdentifierHeader(identifier: number, nonce: Uint8Array): Uint8Array {
  requireInteger(identifier, 0, UINT32_MAX, 'IdentifierHeader.identifier');
  const writer = new WireWriter(integerSize(identifier) + bytesSize(nonce.length));
  writer.integerField(1, identifier);
  writer.bytesField(2, nonce);
  return writer.finish();
}

/** What a consenter signs. */
export function signedBytes(
  value: Uint8Array,
  identifierHeader: Uint8Array,
  header: BlockHeader,
): Uint8Array {
  const der = headerDer(header);
  const out = new Uint8Array(value.length + identifierHeader.length + der.length);
  out.set(value, 0);
  out.set(identifierHeader, value.length);
  out.set(der, value.length + identifierHeader.length);
  return out;
}

/** The SIGNATURES metadata entry. */
export function encodeCertificate(certificate: CertificateBody): Uint8Array {
  const headers = certificate.signatures.map((entry) =>
    encodeIdentifierHeader(entry.identifier, entry.nonce),
  );
  const sizes = certificate.signatures.map(
    (entry, index) =>
      bytesSize(entry.signature.length) + bytesSize((headers[index] ?? EMPTY).length),
  );
  let size = bytesSize(certificate.value.length);
  for (const entrySize of sizes) size += presentSize(entrySize);
  const writer = new WireWriter(size);
  writer.bytesField(1, certificate.value);
  certificate.signatures.forEach((entry, index) => {
    writer.openField(2, sizes[index] ?? 0);
    writer.bytesField(2, entry.signature);
    writer.bytesField(3, headers[index] ?? EMPTY);
  });
  return writer.finish();
}

/**
 * Reads a SIGNATURES metadata entry. A `signature_header` is refused: BFT certificates leave
 * it empty, and nothing signs it.
 */
export function decodeCertificate(bytes: Uint8Array): Decoded<CertificateBody> {
  const reader = new WireReader(bytes);
  const value = reader.bytesField(1, 'Metadata.value');
  const signatures: ConsenterSignature[] = [];
  for (;;) {
    const outerEnd = reader.enterMessage(2, 'Metadata.signatures');
    if (outerEnd < 0) break;
    if (signatures.length === FORMAT_LIMITS.certificateSignaturesMax) {
      reader.fail(
        `malformed Metadata.signatures: more than ${FORMAT_LIMITS.certificateSignaturesMax}`,
      );
      break;
    }
    signatures.push(readSignature(reader));
    reader.leave(outerEnd, 'MetadataSignature', 3);
  }
  reader.finish('Metadata', 2);
  return decoded(reader, { value, signatures });
}

function readSignature(reader: WireReader): ConsenterSignature {
  const signatureHeader = reader.bytesField(1, 'MetadataSignature.signature_header');
  if (signatureHeader.length > 0) {
    reader.fail(
      'malformed MetadataSignature.signature_header: a BFT certificate names its signer in identifier_header only',
    );
  }
  const signature = reader.bytesField(2, 'MetadataSignature.signature');
  const outerEnd = reader.enterBytes(3, 'MetadataSignature.identifier_header');
  if (outerEnd < 0) {
    reader.fail('malformed MetadataSignature: no identifier_header');
    return { identifier: 0, nonce: EMPTY, signature };
  }
  const identifier = reader.uint32Field(1, 'IdentifierHeader.identifier');
  const nonce = reader.bytesField(2, 'IdentifierHeader.nonce');
  reader.leave(outerEnd, 'IdentifierHeader', 2);
  if (
    nonce.length > FORMAT_LIMITS.smallBytesMax ||
    signature.length > FORMAT_LIMITS.smallBytesMax
  ) {
    reader.fail('malformed MetadataSignature: nonce or signature too long');
  }
  return { identifier, nonce, signature };
}
