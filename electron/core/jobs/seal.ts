/** Keeps the words of a call that has to outlive the process, secrets included, unreadable to whoever has only the database. */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomFillSync } from 'node:crypto';

export interface Seal {
  seal(text: string): string;
  /** null when it was not sealed with this key, or was changed. */
  open(sealed: string): string | null;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** AES-256-GCM (NIST SP 800-38D) under a key derived (RFC 5869) from the core's own private key, which is beside the database, not in it. */
export function createSeal(key: KeyObject): Seal {
  const derived = hkdfSync('sha256', key.export({ format: 'der', type: 'pkcs8' }), '', 'dispatcher call', 32);
  // Bytes would be made a key again for each call, which takes three times as long as the sealing.
  const secret = createSecretKey(Buffer.from(derived));
  // Drawn one by one, the random bytes would take as long as the sealing.
  const nonces = Buffer.alloc(NONCE_BYTES * 256);
  let drawn = nonces.length;
  function nextNonce(): Buffer {
    if (drawn === nonces.length) {
      randomFillSync(nonces);
      drawn = 0;
    }
    drawn += NONCE_BYTES;
    return nonces.subarray(drawn - NONCE_BYTES, drawn);
  }

  return {
    seal(text) {
      const nonce = nextNonce();
      const cipher = createCipheriv('aes-256-gcm', secret, nonce);
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64');
    },
    open(sealed) {
      const bytes = Buffer.from(sealed, 'base64');
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return null;
      const decipher = createDecipheriv('aes-256-gcm', secret, bytes.subarray(0, NONCE_BYTES));
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      try {
        return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
      } catch {
        return null;
      }
    },
  };
}
