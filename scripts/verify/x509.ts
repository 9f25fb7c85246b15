/**
 * Was this creator's certificate issued by an organization of the genesis configuration? The auditor's own answer: own DER
 * reader, @noble for the signatures, nothing of the replica's certificate code.
 *
 * Followed as Fabric's MSP does it (msp/mspimpl.go, RFC 5280 section 6): names compared as bytes, basic constraints, key usage, path
 * length, revocation lists of the genesis block. Not judged: validity periods, since the time of ordering is not on the chain.
 */
import { p256 } from '@noble/curves/nist.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import {
  type Certificate,
  type CertificateSignatureAlgorithm,
  decodeCertificatePem,
  type PublicKey,
  signatureAlgorithmOf,
} from '../../api/client/certificate.ts';
import {
  bitStringOctets,
  DER_TAG,
  DerError,
  expectTag,
  readChildren,
  readOnly,
} from '../../api/client/der.ts';
import type { TrustedOrganization } from '../../api/client/genesis.ts';
import { readPem } from '../../api/client/pem.ts';
import { decodeSerializedIdentity } from '../../ledger/format/index.ts';
import { verifyEd25519Noble } from '../../ledger/signature/index.ts';
import { VERIFY_LIMITS } from './limits.ts';

export type CreatorVerdict =
  | {
      readonly kind: 'ok';
      readonly mspId: string;
      readonly publicKey: PublicKey;
      readonly notBeforeMs: number;
      readonly notAfterMs: number;
    }
  | { readonly kind: 'invalid'; readonly reason: string };

/**
 * A certificate authority's signature. ECDSA may have a high S here, as X.509 allows and Fabric accepts in certificates; only
 * signatures of transactions and blocks are held to low S.
 */
function verifyIssuerSignature(
  signed: {
    signedBytes: Uint8Array;
    signature: Uint8Array;
    algorithm: CertificateSignatureAlgorithm;
  },
  issuer: PublicKey,
): boolean {
  try {
    if (signed.algorithm === 'ed25519' && issuer.algorithm === 'ed25519') {
      return verifyEd25519Noble(issuer.bytes, signed.signedBytes, signed.signature);
    }
    if (signed.algorithm === 'ecdsa-sha256' && issuer.algorithm === 'p256') {
      const options = { prehash: true, lowS: false, format: 'der' } as const;
      return p256.verify(signed.signature, signed.signedBytes, issuer.bytes, options);
    }
  } catch {
    // @noble throws on a signature that is not even well-formed.
  }
  return false;
}

interface RevocationList {
  readonly issuerHex: string;
  readonly serials: ReadonlySet<string>;
}

function readRevocationList(der: Uint8Array, authorities: readonly Certificate[]): RevocationList {
  const [tbs, algorithm, signature] = readChildren(readOnly(der, DER_TAG.SEQUENCE));
  const signedBytes = expectTag(tbs, DER_TAG.SEQUENCE).bytes;
  const fields = readChildren(expectTag(tbs, DER_TAG.SEQUENCE));
  if (fields[0]?.tag === DER_TAG.INTEGER) fields.shift();
  const [, issuer, , ...rest] = fields;
  const issuerHex = bytesToHex(expectTag(issuer, DER_TAG.SEQUENCE).bytes);
  const signed = {
    signedBytes,
    signature: bitStringOctets(signature),
    algorithm: signatureAlgorithmOf(expectTag(algorithm, DER_TAG.SEQUENCE)),
  };
  const issued = authorities.some(
    (authority) =>
      authority.subjectHex === issuerHex && verifyIssuerSignature(signed, authority.publicKey),
  );
  if (!issued) throw new DerError('a revocation list that no authority of the organization signed');
  const revoked = rest.find((field) => field.tag === DER_TAG.SEQUENCE);
  const serials = new Set<string>();
  for (const entry of revoked === undefined ? [] : readChildren(revoked)) {
    serials.add(bytesToHex(expectTag(readChildren(entry)[0], DER_TAG.INTEGER).content));
  }
  return { issuerHex, serials };
}

interface Authorities {
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  readonly revocations: readonly RevocationList[];
}

function readAuthorities(organization: TrustedOrganization): Authorities {
  const decode = (pem: Uint8Array): Certificate => {
    const decoded = decodeCertificatePem(pem);
    if (decoded.kind === 'ok') return decoded.value;
    throw new DerError(`authority of ${organization.mspId}: ${decoded.reason}`);
  };
  const roots = organization.rootCertificates.map(decode);
  const intermediates = organization.intermediateCertificates.map(decode);
  const revocations = organization.revocationLists.map((pem) => {
    const block = readPem(new TextDecoder().decode(pem))[0];
    if (block === undefined) throw new DerError('a revocation list that is not PEM');
    return readRevocationList(block.der, [...roots, ...intermediates]);
  });
  return { roots, intermediates, revocations };
}

function isRevoked(certificate: Certificate, { revocations }: Authorities): boolean {
  return revocations.some(
    ({ issuerHex, serials }) =>
      issuerHex === certificate.issuerHex && serials.has(certificate.serialHex),
  );
}

function mayIssue(authority: Certificate, casBelow: number): boolean {
  return (
    authority.isCa &&
    authority.maySignCertificates !== false &&
    authority.unknownCritical.length === 0 &&
    (authority.pathLengthMax === undefined || authority.pathLengthMax >= casBelow)
  );
}

/** Looks for a path from `certificate` to a root; `casBelow` authorities lie between it and the leaf. */
function chains(certificate: Certificate, authorities: Authorities, casBelow: number): boolean {
  if (casBelow >= VERIFY_LIMITS.chainLengthMax || isRevoked(certificate, authorities)) return false;
  const signed = { ...certificate, algorithm: certificate.signatureAlgorithm };
  const issued = (authority: Certificate) =>
    authority.subjectHex === certificate.issuerHex &&
    mayIssue(authority, casBelow) &&
    verifyIssuerSignature(signed, authority.publicKey);
  return (
    authorities.roots.some(issued) ||
    authorities.intermediates.some(
      (authority) => issued(authority) && chains(authority, authorities, casBelow + 1),
    )
  );
}

function judge(
  creator: Uint8Array,
  organizations: ReadonlyMap<string, Authorities>,
): CreatorVerdict {
  const identity = decodeSerializedIdentity(creator);
  if (identity.kind === 'malformed') return { kind: 'invalid', reason: identity.reason };
  const { mspId, idBytes } = identity.value;
  const authorities = organizations.get(mspId);
  if (authorities === undefined) {
    return {
      kind: 'invalid',
      reason: `organization ${JSON.stringify(mspId)} is not in the genesis configuration`,
    };
  }
  const decoded = decodeCertificatePem(idBytes);
  if (decoded.kind === 'malformed') return { kind: 'invalid', reason: decoded.reason };
  const certificate = decoded.value;
  const refuse = (reason: string): CreatorVerdict => ({
    kind: 'invalid',
    reason: `certificate ${JSON.stringify(certificate.commonName)} of ${mspId}: ${reason}`,
  });
  if (certificate.isCa) return refuse('an authority may not sign transactions');
  if (certificate.unknownCritical.length > 0) return refuse('unknown critical extension');
  if (isRevoked(certificate, authorities)) return refuse('revoked by the genesis configuration');
  if (!chains(certificate, authorities, 0)) return refuse(`not issued by an authority of ${mspId}`);
  const { publicKey, notBeforeMs, notAfterMs } = certificate;
  return { kind: 'ok', mspId, publicKey, notBeforeMs, notAfterMs };
}

/**
 * Makes the judge of creators (`SignatureHeader.creator`) for one configuration; remembers its last
 * `creatorsCachedMax` verdicts. Throws `DerError` when the configuration's own certificates cannot be read.
 */
export function createCreatorJudge(
  organizations: readonly TrustedOrganization[],
): (creator: Uint8Array) => CreatorVerdict {
  const authorities = new Map(organizations.map((org) => [org.mspId, readAuthorities(org)]));
  const cache = new Map<string, CreatorVerdict>();
  return (creator) => {
    const key = Buffer.from(creator.buffer, creator.byteOffset, creator.length).toString('latin1');
    const known = cache.get(key);
    if (known !== undefined) return known;
    const verdict = judge(creator, authorities);
    if (cache.size >= VERIFY_LIMITS.creatorsCachedMax) {
      const oldest = cache.keys().next().value;
      if (oldest !== undefined) cache.delete(oldest);
    }
    if (creator.length <= VERIFY_LIMITS.creatorBytesCachedMax) cache.set(key, verdict);
    return verdict;
  };
}
