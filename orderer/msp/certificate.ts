/**
 * X.509 certificates and revocation lists (RFC 5280) as far as membership needs them. Parsing
 * only: signatures are checked in `chain.ts`. Total and browser-safe, so that client and
 * auditor read consenter keys with it.
 */

import { type Decoded, toHex } from '../../ledger/format/index.ts';
import {
  type DerNode,
  openDer,
  readBitString,
  readBoolean,
  readDer,
  readOid,
  readText,
  readTime,
  TAG,
} from './der.ts';
import { decodePem } from './pem.ts';

/**
 * The signature keys that Sluice knows: 32 raw bytes, or 65 bytes of an uncompressed SEC1 point.
 */
export interface PublicKey {
  readonly algorithm: 'ed25519' | 'p256';
  readonly bytes: Uint8Array;
}

export interface Certificate {
  readonly der: Uint8Array;
  /** Content of the INTEGER, hex. */
  readonly serial: string;
  /** DER of the names, hex: equal names have equal bytes. */
  readonly issuer: string;
  readonly subject: string;
  readonly commonName: string;
  /** Organizational units of the subject, in order. */
  readonly units: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Undefined for keys that are neither Ed25519 nor P-256 (a CA may have one). */
  readonly publicKey: PublicKey | undefined;
  readonly ca: boolean;
  readonly pathLengthMax: number | undefined;
  /** Key usage; true when the extension is absent: then no use is excluded. */
  readonly mayCertify: boolean;
  readonly maySignLists: boolean;
  readonly subjectKeyId: string | undefined;
  readonly authorityKeyId: string | undefined;
  /** First critical extension that nothing here understands. */
  readonly unknownCritical: string | undefined;
}

export interface RevocationList {
  /** What is signed. */
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: string;
  readonly signature: Uint8Array;
  readonly issuer: string;
  readonly authorityKeyId: string | undefined;
  /** Serial numbers in the form of `Certificate.serial`. */
  readonly serials: ReadonlySet<string>;
}

const OID = {
  commonName: '2.5.4.3',
  organizationalUnit: '2.5.4.11',
  ed25519: '1.3.101.112',
  ecPublicKey: '1.2.840.10045.2.1',
  prime256v1: '1.2.840.10045.3.1.7',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
} as const;

/** Critical extensions that do not change what an identity may do here. */
const HARMLESS_EXTENSIONS: ReadonlySet<string> = new Set([
  '2.5.29.17', // subject alternative name
  '2.5.29.31', // CRL distribution points
  '2.5.29.32', // certificate policies, without a policy to enforce
  '2.5.29.37', // extended key usage: identities sign, Fabric accepts any
]);

/** Bits of KeyUsage, counted from the most significant (RFC 5280 section 4.2.1.3). */
const KEY_CERT_SIGN_BIT = 5;
const CRL_SIGN_BIT = 6;

export function parseCertificatePem(pem: string): Decoded<Certificate> {
  const der = decodePem(pem, 'CERTIFICATE');
  return der.kind === 'ok' ? parseCertificate(der.value) : der;
}

export function parseCertificate(der: Uint8Array): Decoded<Certificate> {
  return total(() => certificateOf(der));
}

export function parseRevocationListPem(pem: string): Decoded<RevocationList> {
  const der = decodePem(pem, 'X509 CRL');
  return der.kind === 'ok' ? total(() => revocationListOf(der.value)) : der;
}

function total<T>(parse: () => T): Decoded<T> {
  try {
    return { kind: 'ok', value: parse() };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: 'malformed', reason };
  }
}

function certificateOf(der: Uint8Array): Certificate {
  const outer = openDer(readDer(der, TAG.sequence).content);
  const tbs = openDer(outer.next(TAG.sequence).content);
  tbs.optional(0xa0); // version
  const serial = toHex(tbs.next(TAG.integer).content);
  tbs.next(TAG.sequence); // signature algorithm, compared with the outer one by OpenSSL
  const issuer = toHex(tbs.next(TAG.sequence).raw);
  const validity = openDer(tbs.next(TAG.sequence).content);
  const notBeforeMs = readTime(validity.next());
  const notAfterMs = readTime(validity.next());
  const subjectNode = tbs.next(TAG.sequence);
  const publicKey = publicKeyOf(tbs.next(TAG.sequence));
  tbs.optional(0x81);
  tbs.optional(0x82);
  const extensionsNode = tbs.optional(0xa3);
  outer.next(TAG.sequence);
  outer.next(TAG.bitString);
  return {
    der,
    serial,
    issuer,
    subject: toHex(subjectNode.raw),
    commonName: attributes(subjectNode, OID.commonName)[0] ?? '',
    units: attributes(subjectNode, OID.organizationalUnit),
    notBeforeMs,
    notAfterMs,
    publicKey,
    ...extensionsOf(extensionsNode),
  };
}

function attributes(name: DerNode, oid: string): string[] {
  const values: string[] = [];
  const sets = openDer(name.content);
  while (!sets.done()) {
    const pairs = openDer(sets.next(TAG.set).content);
    while (!pairs.done()) {
      const pair = openDer(pairs.next(TAG.sequence).content);
      const type = readOid(pair.next(TAG.oid).content);
      const value = pair.next();
      if (type === oid) values.push(readText(value));
    }
  }
  return values;
}

function publicKeyOf(spki: DerNode): PublicKey | undefined {
  const cursor = openDer(spki.content);
  const algorithm = openDer(cursor.next(TAG.sequence).content);
  const oid = readOid(algorithm.next(TAG.oid).content);
  const { bytes, unusedBits } = readBitString(cursor.next(TAG.bitString));
  if (unusedBits !== 0) return undefined;
  if (oid === OID.ed25519 && bytes.length === 32) return { algorithm: 'ed25519', bytes };
  if (oid !== OID.ecPublicKey) return undefined;
  const curve = algorithm.optional(TAG.oid);
  if (curve === undefined || readOid(curve.content) !== OID.prime256v1) return undefined;
  return bytes.length === 65 && bytes[0] === 4 ? { algorithm: 'p256', bytes } : undefined;
}

type Extensions = Pick<
  Certificate,
  | 'ca'
  | 'pathLengthMax'
  | 'mayCertify'
  | 'maySignLists'
  | 'subjectKeyId'
  | 'authorityKeyId'
  | 'unknownCritical'
>;

function extensionsOf(node: DerNode | undefined): Extensions {
  const found = new Map<string, Uint8Array>();
  let unknownCritical: string | undefined;
  const known: ReadonlySet<string> = new Set(Object.values(OID));
  for (const { oid, critical, value } of node === undefined ? [] : extensionList(node)) {
    if (found.has(oid)) throw new Error(`extension ${oid} appears twice`);
    found.set(oid, value);
    if (critical && !known.has(oid) && !HARMLESS_EXTENSIONS.has(oid)) unknownCritical ??= oid;
  }
  const usage = found.get(OID.keyUsage);
  const keyId = found.get(OID.subjectKeyId);
  return {
    ...basicConstraintsOf(found.get(OID.basicConstraints)),
    mayCertify: usage === undefined || bit(usage, KEY_CERT_SIGN_BIT),
    maySignLists: usage === undefined || bit(usage, CRL_SIGN_BIT),
    subjectKeyId: keyId === undefined ? undefined : toHex(readDer(keyId, TAG.octetString).content),
    authorityKeyId: authorityKeyIdOf(found.get(OID.authorityKeyId)),
    unknownCritical,
  };
}

function extensionList(node: DerNode): { oid: string; critical: boolean; value: Uint8Array }[] {
  const list: { oid: string; critical: boolean; value: Uint8Array }[] = [];
  const items = openDer(readDer(node.content, TAG.sequence).content);
  while (!items.done()) {
    const item = openDer(items.next(TAG.sequence).content);
    const oid = readOid(item.next(TAG.oid).content);
    const flag = item.optional(TAG.boolean);
    const value = item.next(TAG.octetString).content;
    list.push({ oid, critical: flag !== undefined && readBoolean(flag), value });
  }
  return list;
}

function basicConstraintsOf(
  value: Uint8Array | undefined,
): Pick<Certificate, 'ca' | 'pathLengthMax'> {
  if (value === undefined) return { ca: false, pathLengthMax: undefined };
  const cursor = openDer(readDer(value, TAG.sequence).content);
  const flag = cursor.optional(TAG.boolean);
  const length = cursor.optional(TAG.integer);
  const ca = flag !== undefined && readBoolean(flag);
  if (length === undefined) return { ca, pathLengthMax: undefined };
  const [only] = length.content;
  if (length.content.length !== 1 || only === undefined || only > 127) {
    throw new Error('path length is out of range');
  }
  return { ca, pathLengthMax: only };
}

function authorityKeyIdOf(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  const id = openDer(readDer(value, TAG.sequence).content).optional(0x80);
  return id === undefined ? undefined : toHex(id.content);
}

function bit(extension: Uint8Array, index: number): boolean {
  const { bytes } = readBitString(readDer(extension, TAG.bitString));
  return ((bytes[index >> 3] ?? 0) & (0x80 >> (index & 7))) !== 0;
}

function revocationListOf(der: Uint8Array): RevocationList {
  const outer = openDer(readDer(der, TAG.sequence).content);
  const tbsNode = outer.next(TAG.sequence);
  const algorithm = openDer(outer.next(TAG.sequence).content);
  const signatureAlgorithm = readOid(algorithm.next(TAG.oid).content);
  const { bytes: signature } = readBitString(outer.next(TAG.bitString));
  const tbs = openDer(tbsNode.content);
  tbs.optional(TAG.integer);
  const inner = openDer(tbs.next(TAG.sequence).content);
  if (readOid(inner.next(TAG.oid).content) !== signatureAlgorithm) {
    throw new Error('the two signature algorithms differ');
  }
  const issuer = toHex(tbs.next(TAG.sequence).raw);
  readTime(tbs.next());
  if (tbs.peek() === TAG.utcTime || tbs.peek() === TAG.generalizedTime) readTime(tbs.next());
  const serials = new Set<string>();
  const revoked = tbs.optional(TAG.sequence);
  const entries = openDer(revoked?.content ?? new Uint8Array(0));
  while (!entries.done()) {
    const entry = openDer(entries.next(TAG.sequence).content);
    serials.add(toHex(entry.next(TAG.integer).content));
  }
  const extensions = tbs.optional(0xa0);
  const list = extensions === undefined ? [] : extensionList(extensions);
  // A delta or partial list says so in a critical extension: read as a whole
  // one it would forget revocations.
  const unknown = list.find((extension) => extension.critical);
  if (unknown !== undefined) throw new Error(`unknown critical extension ${unknown.oid}`);
  const authority = list.find((extension) => extension.oid === OID.authorityKeyId);
  return {
    tbs: tbsNode.raw,
    signatureAlgorithm,
    signature,
    issuer,
    authorityKeyId: authorityKeyIdOf(authority?.value),
    serials,
  };
}
