/** Keeps the words of a call that has to outlive the process, secrets included, unreadable to whoever has only the database. */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';

export interface Seal {
  seal(text: string): string;
  /** null when it was not sealed with this key, or was changed. */
  open(sealed: string): string | null;
}

/** AES-256-GCM (NIST SP 800-38D) under a key derived (RFC 5869) from the core's own private key, which is beside the database, not in it. */
export function createSeal(key: KeyObject): Seal {
  const derived = hkdfSync('sha256', key.export({ format: 'der', type: 'pkcs8' }), '', 'dispatcher call', 32);
  // Bytes would be made a key again for each call, which takes three times as long as the sealing.
  const secret = createSecretKey(Buffer.from(derived));
  return {
    seal(text) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', secret, nonce);
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64');
    },
    open(sealed) {
      const bytes = Buffer.from(sealed, 'base64');
      if (bytes.length < 28) return null;
      const decipher = createDecipheriv('aes-256-gcm', secret, bytes.subarray(0, 12));
      decipher.setAuthTag(bytes.subarray(12, 28));
      try {
        return decipher.update(bytes.subarray(28), undefined, 'utf8') + decipher.final('utf8');
      } catch {
        return null;
      }
    },
  };
}
