/**
 * Who may do what, as Fabric states it: a tree of named policies beside the tree of configuration
 * groups. Browser-safe: plain data, no Node imports.
 */

/** Roles of Fabric's `MSPRole`. Every valid identity of an organization is a `member`. */
export type MspRole = 'member' | 'admin' | 'client' | 'peer' | 'orderer';

/** What an identity must be to satisfy one leaf of a signature policy (Fabric `MSPPrincipal`). */
export type Principal =
  | { readonly kind: 'role'; readonly mspId: string; readonly role: MspRole }
  /** Exactly this certificate. */
  | {
      readonly kind: 'identity';
      readonly mspId: string;
      readonly identityPem: string;
      /** As `PolicyIdentity.certificateDigest`; `principalDigest(identityPem)`. */
      readonly certificateDigest: string;
    }
  | {
      readonly kind: 'organization-unit';
      readonly mspId: string;
      readonly unit: string;
      /** SHA-256 (hex) of the chain of CA certificates that vouches for the unit. */
      readonly certifiersDigest: string;
    }
  /** All of them at once, by one identity. */
  | { readonly kind: 'combined'; readonly principals: readonly Principal[] };

/** Rule over the policy's principals; `principal` is an index into them. */
export type SignatureRule =
  | { readonly kind: 'signed-by'; readonly principal: number }
  | { readonly kind: 'n-out-of'; readonly n: number; readonly rules: readonly SignatureRule[] };

export type Policy =
  | {
      readonly kind: 'signature';
      readonly rule: SignatureRule;
      readonly principals: readonly Principal[];
    }
  /** So many of the direct sub-groups' policies of that name must hold. */
  | {
      readonly kind: 'implicit-meta';
      readonly rule: 'ANY' | 'ALL' | 'MAJORITY';
      readonly subPolicy: string;
    };

/** Policies of one configuration group, and those of the groups below it, by name. */
export interface PolicyTree {
  readonly policies: ReadonlyMap<string, Policy>;
  readonly groups: ReadonlyMap<string, PolicyTree>;
}

/** What the evaluator needs to know of an identity whose signature was checked elsewhere. */
export interface PolicyIdentity {
  readonly mspId: string;
  readonly roles: ReadonlySet<MspRole>;
  /** SHA-256 of the certificate's DER, hex: two identities with the same are one. */
  readonly certificateDigest: string;
  /** Organizational units of the certificate's subject. */
  readonly units: readonly string[];
  /** SHA-256 (hex) of the CA certificates above the identity's own, nearest first. */
  readonly certifiersDigest: string;
}
