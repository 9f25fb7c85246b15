/**
 * The CAs of one organization, made ready once: parsed, chained to the roots, revocation lists
 * checked. After that an identity costs one signature check. Rules as in Fabric's MSP (fabric
 * msp/mspimplsetup.go, mspimplvalidate.go) and RFC 5280 section 6. Expiry is not judged here: it is
 * reported as the time in which the whole chain is valid.
 */

import { createHash, type KeyObject, verify, X509Certificate } from 'node:crypto';
import { ConfigError } from '../channel-config/errors.ts';
import type { MspConfig } from '../channel-config/types.ts';
import {
  type Certificate,
  parseCertificatePem,
  parseRevocationListPem,
  type RevocationList,
} from './certificate.ts';
import { MSP_LIMITS } from './limits.ts';

/** A CA whose certificate leads to a root of its organization. */
export interface Authority {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  /** The CA above; undefined at a root. */
  readonly parent: Authority | undefined;
  /** In which this certificate and all above it are valid, milliseconds since 1970. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 (hex) over its DER and that of all above it: Fabric's certifiers identifier. */
  readonly certifiersDigest: string;
  /** It, or a CA above it, is on a revocation list. */
  readonly revoked: boolean;
  /** Serial numbers on the lists that it signed. */
  readonly revokedSerials: ReadonlySet<string>;
}

export interface AuthoritySet {
  /** CAs that may have issued an identity with this issuer name (hex DER). */
  candidates(issuer: string): readonly Authority[];
  /** The CA with this certificate. */
  byPem(pem: string): Authority | undefined;
}

/** Algorithms of list signatures, to Node's digest names; null: the key decides (Ed25519). */
const LIST_DIGESTS: ReadonlyMap<string, string | null> = new Map([
  ['1.3.101.112', null],
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
]);

interface Draft {
  readonly certificate: Certificate;
  readonly x509: X509Certificate;
  readonly key: KeyObject;
  readonly root: boolean;
  readonly path: string;
}

/** Throws ConfigError for CAs and lists that do not hold together. */
export function compileAuthorities(msp: MspConfig): AuthoritySet {
  const drafts = [
    ...msp.rootCertsPem.map((pem, index) => draftOf(msp, pem, `root_certs[${index}]`, true)),
    ...msp.intermediateCertsPem.map((pem, index) =>
      draftOf(msp, pem, `intermediate_certs[${index}]`, false),
    ),
  ];
  const lists = msp.revokedPem.map((pem, index) => listOf(msp, pem, index, drafts));
  const done = linkToRoots(msp, drafts, lists);
  /**
   * CAs that have CAs below them issue no identities: Fabric wants the
   * leaves of the CA tree to do that.
   */
  const internal = new Set<Authority>();
  for (const authority of done.values()) {
    checkPathLengths(msp, authority);
    if (authority.parent !== undefined) internal.add(authority.parent);
  }
  const bySubject = new Map<string, Authority[]>();
  for (const authority of done.values()) {
    if (internal.has(authority)) continue;
    const { subject } = authority.certificate;
    bySubject.set(subject, [...(bySubject.get(subject) ?? []), authority]);
  }
  const all = [...done.values()];
  return {
    candidates: (issuer) => bySubject.get(issuer) ?? [],
    byPem: (pem) => {
      const wanted = parseCertificatePem(pem);
      if (wanted.kind !== 'ok') return undefined;
      const { der } = wanted.value;
      return all.find((authority) => Buffer.compare(authority.certificate.der, der) === 0);
    },
  };
}

/** Names, key identifiers, CA rights and signature: whether `issuer` issued the certificate. */
export function isIssuedBy(
  certificate: Certificate,
  x509: X509Certificate,
  issuer: Pick<Authority, 'certificate' | 'key'>,
): boolean {
  const above = issuer.certificate;
  if (certificate.issuer !== above.subject || !above.ca || !above.mayCertify) return false;
  const { authorityKeyId } = certificate;
  const { subjectKeyId } = above;
  if (authorityKeyId !== undefined && subjectKeyId !== undefined) {
    if (authorityKeyId !== subjectKeyId) return false;
  }
  try {
    return x509.verify(issuer.key);
  } catch {
    return false;
  }
}

function draftOf(msp: MspConfig, pem: string, name: string, root: boolean): Draft {
  const path = `MSP ${msp.mspId}/${name}`;
  const parsed = parseCertificatePem(pem);
  if (parsed.kind !== 'ok') throw new ConfigError(path, `is not a certificate: ${parsed.reason}`);
  const certificate = parsed.value;
  if (!certificate.ca || !certificate.mayCertify) {
    throw new ConfigError(path, 'is not a CA: it needs CA:TRUE and the key usage keyCertSign');
  }
  if (certificate.unknownCritical !== undefined) {
    throw new ConfigError(
      path,
      `has the critical extension ${certificate.unknownCritical}, which is not supported`,
    );
  }
  try {
    const x509 = new X509Certificate(certificate.der);
    return { certificate, x509, key: x509.publicKey, root, path };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(path, `has an unusable key or encoding: ${reason}`);
  }
}

/**
 * Grows the tree downwards from the roots until nothing more fits; what is left over leads nowhere.
 */
function linkToRoots(
  msp: MspConfig,
  drafts: readonly Draft[],
  lists: readonly SignedList[],
): Map<Draft, Authority> {
  const done = new Map<Draft, Authority>();
  for (const draft of drafts) if (draft.root) done.set(draft, authorityOf(draft, undefined, lists));
  let waiting = drafts.filter((draft) => !draft.root);
  while (waiting.length > 0) {
    const ready = [...done.values()];
    for (const draft of waiting) {
      const parent = ready.find((above) => isIssuedBy(draft.certificate, draft.x509, above));
      if (parent !== undefined) done.set(draft, authorityOf(draft, parent, lists));
    }
    const rest = waiting.filter((draft) => !done.has(draft));
    const [lost] = rest;
    if (lost !== undefined && rest.length === waiting.length) {
      throw new ConfigError(lost.path, `does not lead to a root CA of ${msp.mspId}`);
    }
    waiting = rest;
  }
  return done;
}

/** RFC 5280 section 4.2.1.9: how many CAs may stand between a CA and an identity. */
function checkPathLengths(msp: MspConfig, authority: Authority): void {
  let below = 0;
  for (let at: Authority | undefined = authority; at !== undefined; at = at.parent) {
    const { pathLengthMax, commonName } = at.certificate;
    if (below >= MSP_LIMITS.chainDepthMax) {
      throw new ConfigError(`MSP ${msp.mspId}`, `more than ${below} CAs in one chain`);
    }
    if (pathLengthMax !== undefined && below > pathLengthMax) {
      throw new ConfigError(
        `MSP ${msp.mspId}`,
        `CA ${JSON.stringify(commonName)} allows ${pathLengthMax} CAs below it, found ${below}`,
      );
    }
    below += 1;
  }
}

function authorityOf(
  draft: Draft,
  parent: Authority | undefined,
  lists: readonly SignedList[],
): Authority {
  const { certificate, key } = draft;
  const digest = createHash('sha256');
  digest.update(certificate.der);
  for (let above = parent; above !== undefined; above = above.parent) {
    digest.update(above.certificate.der);
  }
  const serials = lists.filter((item) => item.signer === draft).map((item) => item.list.serials);
  return {
    certificate,
    key,
    parent,
    notBeforeMs: Math.max(certificate.notBeforeMs, parent?.notBeforeMs ?? 0),
    notAfterMs: Math.min(certificate.notAfterMs, parent?.notAfterMs ?? Number.MAX_SAFE_INTEGER),
    certifiersDigest: digest.digest('hex'),
    revoked:
      parent !== undefined && (parent.revoked || parent.revokedSerials.has(certificate.serial)),
    revokedSerials: new Set(serials.flatMap((set) => [...set])),
  };
}

interface SignedList {
  readonly list: RevocationList;
  readonly signer: Draft;
}

/**
 * A list that nobody vouches for is an error: skipping it would silently un-revoke what it names.
 */
function listOf(msp: MspConfig, pem: string, index: number, drafts: readonly Draft[]): SignedList {
  const path = `MSP ${msp.mspId}/revocation_list[${index}]`;
  const parsed = parseRevocationListPem(pem);
  if (parsed.kind !== 'ok') {
    throw new ConfigError(path, `is not a revocation list: ${parsed.reason}`);
  }
  const list = parsed.value;
  const digest = LIST_DIGESTS.get(list.signatureAlgorithm);
  if (digest === undefined) {
    throw new ConfigError(path, `signature algorithm ${list.signatureAlgorithm} is not supported`);
  }
  const signer = drafts.find(
    ({ certificate, key }) =>
      certificate.subject === list.issuer &&
      certificate.maySignLists &&
      verifies(digest, list, key),
  );
  if (signer === undefined) {
    throw new ConfigError(path, `is not signed by a CA of ${msp.mspId} that may sign lists`);
  }
  return { list, signer };
}

function verifies(digest: string | null, list: RevocationList, key: KeyObject): boolean {
  try {
    return verify(digest, list.tbs, key, list.signature);
  } catch {
    return false;
  }
}
