/** The few functions of sodium-native that Sluice calls; the package ships no types. */
declare module 'sodium-native' {
  const sodium: {
    /** Writes the 64-byte signature. Throws when a length is wrong. */
    crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey64: Uint8Array): void;
    /** Throws when the key is not 32 bytes or the signature is shorter than 64. */
    crypto_sign_verify_detached(
      signature: Uint8Array,
      message: Uint8Array,
      publicKey32: Uint8Array,
    ): boolean;
    /** Writes the public key (32 bytes) and the secret key (64 bytes: seed and public key). */
    crypto_sign_seed_keypair(
      publicKey32: Uint8Array,
      secretKey64: Uint8Array,
      seed32: Uint8Array,
    ): void;
  };
  export default sodium;
}
