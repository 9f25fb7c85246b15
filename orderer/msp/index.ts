/**
 * orderer/msp: membership as Fabric's MSPs define it. `certificate.ts`, `der.ts` and `pem.ts` are
 * browser-safe and imported by name from elsewhere; this index needs Node.
 */
export {
  type Certificate,
  type PublicKey,
  parseCertificate,
  parseCertificatePem,
} from './certificate.ts';
export { MSP_LIMITS } from './limits.ts';
export {
  IdentityResolver,
  type Resolved,
  type ResolveRefusal,
  type ResolverOptions,
  type WriterIdentity,
} from './resolver.ts';
