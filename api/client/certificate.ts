/**
 * Reads X.509 certificates (RFC 5280) as far as the client and the auditor need them: names, key,
 * validity, the extensions that govern chains, and the signed bytes. It checks no signature;
 * `scripts/verify/x509.ts` does.
 */
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Decoded } from '../../ledger/format/index.ts';
import {
  bitStringOctets,
  DER_TAG,
  type DerElement,
  DerError,
  expectTag,
  readChildren,
  readOnly,
  readTimeMs,
} from './der.ts';
import { readPem } from './pem.ts';

export interface PublicKey {
  readonly algorithm: 'ed25519' | 'p256';
  /** Ed25519: 32 raw bytes (RFC 8032). P-256: 65 bytes, uncompressed SEC 1 point. */
  readonly bytes: Uint8Array;
}

export type CertificateSignatureAlgorithm = 'ed25519' | 'ecdsa-sha256' | 'other';

export interface Certificate {
  readonly serialHex: string;
  /**
   * Names as their DER bytes in hex: chains compare them byte by byte, as Go's crypto/x509 does.
   */
  readonly issuerHex: string;
  readonly subjectHex: string;
  /** First common name of the subject, for people; empty when there is none. */
  readonly commonName: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly publicKey: PublicKey;
  /** What the issuer signed. */
  readonly signedBytes: Uint8Array;
  readonly signatureAlgorithm: CertificateSignatureAlgorithm;
  readonly signature: Uint8Array;
  /** Basic constraints say that it is a certificate authority. */
  readonly isCa: boolean;
  readonly pathLengthMax: number | undefined;
  /** Undefined when there is no key-usage extension. */
  readonly maySignCertificates: boolean | undefined;
  /**
   * Critical extensions that nobody here understands: such a certificate must be
   * refused (RFC 5280 section 4.2).
   */
  readonly unknownCritical: readonly string[];
}

/** Object identifiers, content bytes in hex. */
const OID = {
  ed25519: '2b6570',
  ecPublicKey: '2a8648ce3d0201',
  prime256v1: '2a8648ce3d030107',
  ecdsaWithSha256: '2a8648ce3d040302',
  commonName: '550403',
  keyUsage: '551d0f',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  extendedKeyUsage: '551d25',
} as const;

function oidOf(element: DerElement | undefined): string {
  return bytesToHex(expectTag(element, DER_TAG.OID).content);
}

/** SubjectPublicKeyInfo of an Ed25519 (RFC 8410) or P-256 (RFC 5480) key. */
function readPublicKeyInfo(info: DerElement): PublicKey {
  const [algorithm, key] = readChildren(expectTag(info, DER_TAG.SEQUENCE));
  const [oid, parameters] = readChildren(expectTag(algorithm, DER_TAG.SEQUENCE));
  const bytes = bitStringOctets(key);
  if (oidOf(oid) === OID.ed25519) {
    if (parameters !== undefined || bytes.length !== 32) throw new DerError('odd Ed25519 key');
    return { algorithm: 'ed25519', bytes };
  }
  if (oidOf(oid) === OID.ecPublicKey && oidOf(parameters) === OID.prime256v1) {
    if (bytes.length !== 65 || bytes[0] !== 4) throw new DerError('P-256 key not uncompressed');
    return { algorithm: 'p256', bytes };
  }
  throw new DerError('the key is neither Ed25519 nor P-256');
}

export function signatureAlgorithmOf(identifier: DerElement): CertificateSignatureAlgorithm {
  const oid = oidOf(readChildren(identifier)[0]);
  if (oid === OID.ed25519) return 'ed25519';
  return oid === OID.ecdsaWithSha256 ? 'ecdsa-sha256' : 'other';
}

function commonNameOf(name: DerElement): string {
  for (const set of readChildren(name)) {
    for (const attribute of readChildren(set)) {
      const [oid, value] = readChildren(attribute);
      if (value !== undefined && oidOf(oid) === OID.commonName) {
        return new TextDecoder().decode(value.content);
      }
    }
  }
  return '';
}

interface Extensions {
  isCa: boolean;
  pathLengthMax: number | undefined;
  maySignCertificates: boolean | undefined;
  unknownCritical: string[];
}

function readBasicConstraints(value: Uint8Array, into: Extensions): void {
  const fields = readChildren(readOnly(value, DER_TAG.SEQUENCE));
  const [first] = fields;
  into.isCa = first?.tag === DER_TAG.BOOLEAN && first.content[0] === 0xff;
  const length = fields.find((field) => field.tag === DER_TAG.INTEGER);
  if (length === undefined) return;
  if (length.content.length !== 1 || (length.content[0] ?? 0x80) > 0x7f) {
    throw new DerError('path length out of range');
  }
  into.pathLengthMax = length.content[0];
}

function readExtensions(wrapper: DerElement | undefined): Extensions {
  const found: Extensions = {
    isCa: false,
    pathLengthMax: undefined,
    maySignCertificates: undefined,
    unknownCritical: [],
  };
  if (wrapper === undefined) return found;
  const seen = new Set<string>();
  for (const extension of readChildren(readOnly(wrapper.content, DER_TAG.SEQUENCE))) {
    const fields = readChildren(expectTag(extension, DER_TAG.SEQUENCE));
    const oid = oidOf(fields[0]);
    if (seen.has(oid)) throw new DerError(`extension ${oid} twice`);
    seen.add(oid);
    const critical = fields[1]?.tag === DER_TAG.BOOLEAN && fields[1].content[0] === 0xff;
    const value = expectTag(fields[fields.length - 1], DER_TAG.OCTET_STRING).content;
    if (oid === OID.basicConstraints) readBasicConstraints(value, found);
    else if (oid === OID.keyUsage) {
      // Bit 5, keyCertSign; octet 0 of the content counts the unused bits.
      found.maySignCertificates =
        ((readOnly(value, DER_TAG.BIT_STRING).content[1] ?? 0) & 0x04) !== 0;
    } else if (critical && oid !== OID.subjectAltName && oid !== OID.extendedKeyUsage) {
      found.unknownCritical.push(oid);
    }
  }
  return found;
}

function readCertificateDer(der: Uint8Array): Certificate {
  const [tbs, algorithm, signature] = readChildren(readOnly(der, DER_TAG.SEQUENCE));
  const fields = readChildren(expectTag(tbs, DER_TAG.SEQUENCE));
  if (fields[0]?.tag === DER_TAG.CONTEXT_0) fields.shift();
  const [serial, innerAlgorithm, issuer, validity, subject, keyInfo] = fields;
  const outer = expectTag(algorithm, DER_TAG.SEQUENCE);
  const inner = expectTag(innerAlgorithm, DER_TAG.SEQUENCE);
  if (bytesToHex(outer.bytes) !== bytesToHex(inner.bytes)) {
    throw new DerError('the two signature algorithms differ');
  }
  const [notBefore, notAfter] = readChildren(expectTag(validity, DER_TAG.SEQUENCE));
  const subjectName = expectTag(subject, DER_TAG.SEQUENCE);
  return {
    serialHex: bytesToHex(expectTag(serial, DER_TAG.INTEGER).content),
    issuerHex: bytesToHex(expectTag(issuer, DER_TAG.SEQUENCE).bytes),
    subjectHex: bytesToHex(subjectName.bytes),
    commonName: commonNameOf(subjectName),
    notBeforeMs: readTimeMs(notBefore),
    notAfterMs: readTimeMs(notAfter),
    publicKey: readPublicKeyInfo(expectTag(keyInfo, DER_TAG.SEQUENCE)),
    signedBytes: expectTag(tbs, DER_TAG.SEQUENCE).bytes,
    signatureAlgorithm: signatureAlgorithmOf(outer),
    signature: bitStringOctets(signature),
    ...readExtensions(fields.find((field) => field.tag === DER_TAG.CONTEXT_3)),
  };
}

/** Decodes one certificate from DER. Total: bad bytes come back as `malformed`. */
export function decodeCertificateDer(der: Uint8Array): Decoded<Certificate> {
  try {
    return { kind: 'ok', value: readCertificateDer(der) };
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return { kind: 'malformed', reason: `not an X.509 certificate: ${error.message}` };
  }
}

/**
 * Decodes the first CERTIFICATE block of PEM bytes, as in `msp.SerializedIdentity.id_bytes`. Total.
 */
export function decodeCertificatePem(pem: Uint8Array | string): Decoded<Certificate> {
  const text = typeof pem === 'string' ? pem : new TextDecoder().decode(pem);
  const block = readPem(text).find(({ label }) => label === 'CERTIFICATE');
  if (block === undefined) return { kind: 'malformed', reason: 'no CERTIFICATE block in the PEM' };
  return decodeCertificateDer(block.der);
}
