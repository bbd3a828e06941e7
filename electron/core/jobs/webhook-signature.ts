/**
 * Signatures of webhooks, made and checked. Two forms, both HMAC-SHA256 over bytes as they are sent:
 * - Standard Webhooks 1.0.0, symmetric: `v1,<base64>` over `<id>.<timestamp>.<body>`, keyed with what `whsec_` is the base64 of.
 * - plain, for tools that can make an HMAC with a text as its key and no more, such as the Crypto node of n8n or a function of Node-RED:
 *   `sha256=<hex>` over `<timestamp>.<body>`, keyed with the whole text of the secret, `whsec_` included.
 * A signature of one form says nothing in the other, because their keys differ.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** How far the clock of a sender may be from ours. */
const TOLERANCE_S = 300;

export interface WebhookSecret {
  /** `whsec_` and base64. */
  text: string;
  /** 24 to 64 bytes. */
  key: Buffer;
}

/** What is signed. `timestamp`: seconds since the epoch, as text, because that is what is signed. */
export interface Message {
  timestamp: string;
  body: string | Buffer;
}

export interface IdentifiedMessage extends Message {
  id: string;
}

/** What is wrong with a message. `timestamp`: the signature is right, and the message too old or from the future. */
export interface SignatureFault {
  is: 'malformed' | 'signature' | 'timestamp';
  message: string;
}

export function newWebhookSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

/** One secret, or several with white space between while one takes over from another; the first is the newest. null: one of them is none. */
export function readWebhookSecrets(text: string): WebhookSecret[] | null {
  const secrets: WebhookSecret[] = [];
  for (const one of text.trim().split(/\s+/)) {
    const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(one)?.[1];
    if (encoded === undefined) return null;
    const key = Buffer.from(encoded, 'base64');
    if (key.length < 24 || key.length > 64 || key.toString('base64') !== encoded) return null;
    secrets.push({ text: one, key });
  }
  return secrets;
}

/** The header `webhook-signature`: one signature for each secret. */
export function signWebhook(secrets: readonly WebhookSecret[], message: IdentifiedMessage): string {
  return secrets.map(({ key }) => standardSignature(key, message)).join(' ');
}

/** null: one of the secrets signed it, within five minutes of `now` (milliseconds since the epoch). Signatures of other versions are passed over. */
export function verifyWebhook(
  secrets: readonly WebhookSecret[],
  received: IdentifiedMessage & { signature: string },
  now: number,
): SignatureFault | null {
  // A dot would let a part of the id be read as the timestamp.
  if (!/^[!-\-/-~]{1,200}$/.test(received.id))
    return malformed('webhook-id is missing, or has more in it than visible ASCII without dots.');
  const given = received.signature.split(' ').filter((one) => one.startsWith('v1,'));
  if (given.length === 0) return malformed('webhook-signature has no signature of the form v1,<base64>.');
  return judge(received.timestamp, now, () =>
    secrets.some(({ key }) => {
      const signature = standardSignature(key, received);
      return given.some((one) => equal(one, signature));
    }),
  );
}

/** The header `x-dispatcher-signature`. */
export function signPlainly(secret: WebhookSecret, { timestamp, body }: Message): string {
  return `sha256=${createHmac('sha256', secret.text).update(`${timestamp}.`).update(body).digest('hex')}`;
}

/** As `verifyWebhook`, for the plain form. */
export function verifyPlainly(
  secrets: readonly WebhookSecret[],
  received: Message & { signature: string },
  now: number,
): SignatureFault | null {
  if (!/^sha256=[0-9a-f]{64}$/.test(received.signature))
    return malformed('x-dispatcher-signature is not of the form sha256=<64 lower-case hex digits>.');
  return judge(received.timestamp, now, () => secrets.some((secret) => equal(received.signature, signPlainly(secret, received))));
}

function standardSignature(key: Buffer, { id, timestamp, body }: IdentifiedMessage): string {
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`;
}

function judge(timestamp: string, now: number, signed: () => boolean): SignatureFault | null {
  if (!/^\d{1,12}$/.test(timestamp)) return malformed('The timestamp is not a whole number of seconds since 1970.');
  if (!signed()) return { is: 'signature', message: 'The signature is not that of this message under the secret that is set.' };
  const early = Number(timestamp) - Math.floor(now / 1000);
  if (Math.abs(early) <= TOLERANCE_S) return null;
  const off = early > 0 ? `${early} s ahead of our clock` : `${-early} s old`;
  return { is: 'timestamp', message: `The signature is right, but the timestamp is ${off}; more than ${TOLERANCE_S} s are refused.` };
}

/** Takes as long whatever the texts are; only their lengths, which everybody knows, can be told from it. */
function equal(given: string, signature: string): boolean {
  const a = Buffer.from(given);
  const b = Buffer.from(signature);
  return a.length === b.length && timingSafeEqual(a, b);
}

const malformed = (message: string): SignatureFault => ({ is: 'malformed', message });
