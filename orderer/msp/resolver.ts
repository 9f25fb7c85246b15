/**
 * From the creator bytes of an envelope to an identity of the channel, or the reason why there is
 * none. A creator seen lately costs a comparison, a known one a hash and a look-up; a new one costs one
 * certificate and one signature check.
 */

import { hash, X509Certificate } from 'node:crypto';
import { decodeSerializedIdentity } from '../../ledger/format/index.ts';
import { ConfigError } from '../channel-config/errors.ts';
import type { ChannelConfig, MspConfig, NodeOu } from '../channel-config/types.ts';
import { LruMap } from '../lru.ts';
import { evaluate } from '../policy/evaluate.ts';
import type { MspRole, PolicyIdentity } from '../policy/types.ts';
import type { RefusalCode } from '../service.ts';
import {
  type Authority,
  type AuthoritySet,
  compileAuthorities,
  isIssuedBy,
} from './authorities.ts';
import {
  type Certificate,
  type PublicKey,
  parseCertificate,
  parseCertificatePem,
} from './certificate.ts';
import { MSP_LIMITS } from './limits.ts';
import { decodePem } from './pem.ts';
import { RecentCreators } from './recent-creators.ts';

const WRITERS = '/Channel/Writers';

/** A member of one of the channel's organizations. */
export interface WriterIdentity extends PolicyIdentity {
  readonly publicKey: PublicKey;
  /**
   * In which the certificate and all CAs above it are valid, milliseconds
   * since 1970, both ends inclusive.
   */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The channel's Writers policy is satisfied by this identity alone. */
  readonly mayWrite: boolean;
}

/**
 * `message`: what exactly, without a full stop; the standard sentence
 * around it is in orderer/errors.ts.
 */
export interface ResolveRefusal {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  readonly message: string;
}

export type Resolved =
  | { readonly kind: 'identity'; readonly identity: WriterIdentity }
  | ResolveRefusal;

export interface ResolverOptions {
  /** Identities that are remembered. */
  readonly cacheEntriesMax: number;
  /**
   * Refused creators that are remembered, apart from the good ones: a
   * flood of them evicts none of those.
   */
  readonly refusedEntriesMax?: number;
}

export class IdentityResolver {
  readonly #channel: string;
  readonly #policies: ChannelConfig['policies'];
  readonly #organizations = new Map<string, Organization>();
  readonly #recent = new RecentCreators<Resolved & { kind: 'identity' }>();
  readonly #known: LruMap<string, Resolved & { kind: 'identity' }>;
  readonly #refused: LruMap<string, ResolveRefusal>;

  /** Throws ConfigError when an organization's CAs, lists or units do not hold together. */
  constructor(
    config: Pick<ChannelConfig, 'channel' | 'policies' | 'msps'>,
    options: ResolverOptions,
  ) {
    this.#channel = config.channel;
    this.#policies = config.policies;
    for (const msp of config.msps) {
      if (!this.#organizations.has(msp.mspId)) {
        this.#organizations.set(msp.mspId, compileOrganization(msp));
      }
    }
    this.#known = new LruMap(options.cacheEntriesMax);
    this.#refused = new LruMap(options.refusedEntriesMax ?? MSP_LIMITS.refusedEntriesMax);
  }

  /**
   * `creator`: serialized msp.SerializedIdentity. Without `nowMs` the period of validity is
   * reported and not judged: then the answer for the same bytes never changes.
   */
  resolve(creator: Uint8Array, nowMs: number | undefined): Resolved {
    const recent = this.#recent.get(creator);
    if (recent !== undefined) return inTime(recent, nowMs);
    const key = hash('sha256', creator);
    const known = this.#known.get(key);
    if (known !== undefined) {
      this.#recent.set(creator, known);
      return inTime(known, nowMs);
    }
    const refused = this.#refused.get(key);
    if (refused !== undefined) return refused;
    const judged = this.#judge(creator);
    if (judged.kind === 'refused') {
      this.#refused.set(key, judged);
      return judged;
    }
    this.#known.set(key, judged);
    return inTime(judged, nowMs);
  }

  /** Whether the channel's Writers policy is satisfied by this identity alone. */
  mayWrite(identity: WriterIdentity): boolean {
    return identity.mayWrite;
  }

  #judge(creator: Uint8Array): Resolved {
    const serialized = decodeSerializedIdentity(creator);
    if (serialized.kind !== 'ok') {
      return unknown(`the creator is not an msp.SerializedIdentity (${serialized.reason})`);
    }
    const { mspId, idBytes } = serialized.value;
    const organization = this.#organizations.get(mspId);
    if (organization === undefined) {
      return unknown(`${quote(mspId)} is not an organization of channel ${this.#channel}`);
    }
    const found = openCertificate(idBytes);
    if (typeof found === 'string') return unknown(found);
    const judged = judgeMember(organization, found.certificate, found.x509);
    if (judged.kind === 'refused') return judged;
    const { identity } = judged;
    const mayWrite = evaluate(this.#policies, WRITERS, [identity]);
    return { kind: 'identity', identity: { ...identity, mayWrite } };
  }
}

interface Organization {
  readonly mspId: string;
  readonly authorities: AuthoritySet;
  /** Digests of the listed admins' certificates. */
  readonly admins: ReadonlySet<string>;
  /** Undefined: roles by unit are off. */
  readonly roleUnits: ReadonlyMap<string, RoleUnit> | undefined;
  /** Units of which a member must have one; empty: no such rule. */
  readonly required: readonly { unit: string; certifiersDigest: string | undefined }[];
}

interface RoleUnit {
  readonly role: MspRole;
  /** Which CA must vouch for the unit; undefined: any of the organization. */
  readonly certifiersDigest: string | undefined;
}

function compileOrganization(msp: MspConfig): Organization {
  const authorities = compileAuthorities(msp);
  const path = `MSP ${msp.mspId}`;
  const certifiers = (ou: NodeOu): string | undefined => {
    if (ou.certificatePem === undefined) return undefined;
    const authority = authorities.byPem(ou.certificatePem);
    if (authority !== undefined) return authority.certifiersDigest;
    throw new ConfigError(path, `the certificate of unit ${quote(ou.unit)} is none of its CAs`);
  };
  const admins = new Set<string>();
  for (const [index, pem] of msp.adminsPem.entries()) {
    const parsed = parseCertificatePem(pem);
    if (parsed.kind !== 'ok') throw new ConfigError(`${path}/admins[${index}]`, parsed.reason);
    admins.add(hash('sha256', parsed.value.der));
  }
  let roleUnits: Map<string, RoleUnit> | undefined;
  if (msp.nodeOus !== undefined) {
    roleUnits = new Map();
    for (const role of ['client', 'peer', 'admin', 'orderer'] as const) {
      const ou = msp.nodeOus[role];
      if (ou !== undefined) roleUnits.set(ou.unit, { role, certifiersDigest: certifiers(ou) });
    }
  }
  const required = msp.organizationalUnits.map((ou) => ({
    unit: ou.unit,
    certifiersDigest: certifiers(ou),
  }));
  return { mspId: msp.mspId, authorities, admins, roleUnits, required };
}

/** The sentence when the bytes are no usable certificate. */
function openCertificate(
  idBytes: Uint8Array,
): { certificate: Certificate; x509: X509Certificate } | string {
  const der = decodePem(Buffer.from(idBytes).toString('latin1'), 'CERTIFICATE');
  if (der.kind !== 'ok') return `the certificate ${der.reason}`;
  const parsed = parseCertificate(der.value);
  if (parsed.kind !== 'ok') return `the certificate cannot be read (${parsed.reason})`;
  const certificate = parsed.value;
  if (certificate.ca) return 'a CA certificate cannot be used as an identity';
  if (certificate.publicKey === undefined) return 'its key is neither Ed25519 nor P-256';
  if (certificate.unknownCritical !== undefined) {
    return `the certificate has the critical extension ${certificate.unknownCritical}, which is not supported`;
  }
  try {
    const x509 = new X509Certificate(der.value);
    // A P-256 point that is not on the curve shows only when OpenSSL loads the key.
    if (x509.publicKey.asymmetricKeyType === undefined) return 'its key cannot be used';
    return { certificate, x509 };
  } catch {
    return 'the certificate or its key is not well-formed';
  }
}

function judgeMember(
  organization: Organization,
  certificate: Certificate,
  x509: X509Certificate,
): ResolveRefusal | { kind: 'member'; identity: Omit<WriterIdentity, 'mayWrite'> } {
  const { mspId } = organization;
  const issuer = organization.authorities
    .candidates(certificate.issuer)
    .find((authority) => isIssuedBy(certificate, x509, authority));
  if (issuer === undefined) return unknown(`the certificate was not issued by a CA of ${mspId}`);
  if (issuer.revoked) {
    return revoked(`the CA that issued the certificate was revoked by ${mspId}`);
  }
  if (issuer.revokedSerials.has(certificate.serial)) {
    return revoked(`certificate ${certificate.serial} is on a revocation list of ${mspId}`);
  }
  const certificateDigest = hash('sha256', certificate.der);
  const roles = rolesOf(organization, certificate, certificateDigest, issuer);
  if (typeof roles === 'string') return unknown(roles);
  const { publicKey } = certificate;
  if (publicKey === undefined) return unknown('its key is neither Ed25519 nor P-256');
  return {
    kind: 'member',
    identity: {
      mspId,
      // Copied: a view would keep the whole certificate alive in the cache.
      publicKey: { algorithm: publicKey.algorithm, bytes: publicKey.bytes.slice() },
      notBeforeMs: Math.max(certificate.notBeforeMs, issuer.notBeforeMs),
      notAfterMs: Math.min(certificate.notAfterMs, issuer.notAfterMs),
      certificateDigest,
      roles,
      units: certificate.units,
      certifiersDigest: issuer.certifiersDigest,
    },
  };
}

/**
 * Source: fabric msp/mspimplvalidate.go `validateIdentityOUsV143`. The sentence
 * when the units break its rules.
 */
function rolesOf(
  organization: Organization,
  certificate: Certificate,
  certificateDigest: string,
  issuer: Authority,
): ReadonlySet<MspRole> | string {
  const { mspId, required, roleUnits } = organization;
  const vouched = (certifiersDigest: string | undefined): boolean =>
    certifiersDigest === undefined || certifiersDigest === issuer.certifiersDigest;
  if (
    required.length > 0 &&
    !required.some((ou) => certificate.units.includes(ou.unit) && vouched(ou.certifiersDigest))
  ) {
    return `the certificate has none of the organizational units that ${mspId} asks for`;
  }
  const roles = new Set<MspRole>(['member']);
  const isListedAdmin = organization.admins.has(certificateDigest);
  if (isListedAdmin) roles.add('admin');
  if (roleUnits === undefined) return roles;
  let units = 0;
  for (const unit of certificate.units) {
    const found = roleUnits.get(unit);
    if (found === undefined) continue;
    if (!vouched(found.certifiersDigest)) {
      return `the CA of the certificate may not vouch for unit ${quote(unit)} in ${mspId}`;
    }
    units += 1;
    roles.add(found.role);
  }
  if (units > 1) return `the certificate has more than one role unit of ${mspId}`;
  if (units === 0 && !isListedAdmin) {
    const names = [...roleUnits.keys()].join(', ');
    return `the certificate has none of the role units (OU) of ${mspId}: ${names}`;
  }
  return roles;
}

function inTime(resolved: Resolved & { kind: 'identity' }, nowMs: number | undefined): Resolved {
  if (nowMs === undefined) return resolved;
  const { notBeforeMs, notAfterMs } = resolved.identity;
  if (nowMs > notAfterMs) return expired(`it expired on ${iso(notAfterMs)}`);
  if (nowMs < notBeforeMs) return expired(`it is valid from ${iso(notBeforeMs)} on`);
  return resolved;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function quote(name: string): string {
  const { quotedCharactersMax } = MSP_LIMITS;
  const cut = name.length > quotedCharactersMax;
  return `${JSON.stringify(name.slice(0, quotedCharactersMax))}${cut ? '...' : ''}`;
}

function unknown(message: string): ResolveRefusal {
  return { kind: 'refused', code: 'unknown_writer', message };
}

function revoked(message: string): ResolveRefusal {
  return { kind: 'refused', code: 'revoked_certificate', message };
}

function expired(message: string): ResolveRefusal {
  return { kind: 'refused', code: 'expired_certificate', message };
}
