import { CircleCheck, CircleX } from 'lucide-react';
import type { FormEvent } from 'react';
import { useState } from 'react';
import type { OutputOf } from '../../../shared/contract.ts';
import type { WireError } from '../../../shared/errors.ts';
import { useFront, wireOf } from '../../core.ts';
import { Button } from '../../parts/Button.tsx';
import { CodeBlock } from '../../parts/CodeBlock.tsx';
import { TextField } from '../../parts/Field.tsx';
import { ErrorState } from '../../parts/States.tsx';

/** What somebody received, as they paste it. */
export interface Received {
  id: string;
  timestamp: string;
  signature: string;
  body: string;
  secret: string;
}

export const emptyMessage: Received = { id: '', timestamp: '', signature: '', body: '', secret: '' };

/** Says whether a signature fits what was received, and if not, why not. */
export function SignatureCheck({ received, onChange }: { received: Received; onChange(received: Received): void }) {
  const front = useFront();
  const [verdict, setVerdict] = useState<OutputOf<'OS.callbacks.check'> | null>(null);
  const [failure, setFailure] = useState<WireError | null>(null);
  const [busy, setBusy] = useState(false);
  const set = (change: Partial<Received>) => {
    setVerdict(null);
    onChange({ ...received, ...change });
  };
  const check = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    const { secret, ...message } = received;
    await front
      .operate('OS.callbacks.check', { ...message, signature: message.signature.trim(), ...(secret.trim() && { secret: secret.trim() }) })
      .then(setVerdict, (caught) => setFailure(wireOf(caught)));
    setBusy(false);
  };
  return (
    <form onSubmit={check} className="space-y-3 p-4">
      <p className="text-ink-2 text-xs">Paste what the receiver got. Nothing of it is kept or sent anywhere.</p>
      <TextField label="webhook-id" mono required value={received.id} onChange={(id) => set({ id })} placeholder="msg_…" />
      <TextField
        label="webhook-timestamp"
        mono
        required
        value={received.timestamp}
        onChange={(timestamp) => set({ timestamp })}
        placeholder="Seconds since 1970"
      />
      <TextField
        label="webhook-signature"
        mono
        required
        value={received.signature}
        onChange={(signature) => set({ signature })}
        placeholder="v1,…"
      />
      <TextField label="Body, byte for byte" mono rows={4} value={received.body} onChange={(body) => set({ body })} placeholder="{…}" />
      <TextField
        label="Secret of the receiver"
        mono
        value={received.secret}
        onChange={(secret) => set({ secret })}
        placeholder="whsec_…"
        hint="Empty: the secret that this core signs with. With a secret, the signature it should have is shown too."
      />
      <Button type="submit" tone="primary" busy={busy}>
        Check
      </Button>
      {failure && <ErrorState error={failure} compact />}
      {verdict && (
        <div
          ref={(element) => element?.scrollIntoView({ block: 'nearest' })}
          role="status"
          className={`space-y-2 rounded-md p-3 text-sm ${verdict.ok ? 'bg-ok-soft' : 'bg-bad-soft'}`}
        >
          <p className="flex gap-2">
            {verdict.ok ? (
              <CircleCheck aria-hidden className="mt-0.5 size-4 shrink-0 text-ok-ink" />
            ) : (
              <CircleX aria-hidden className="mt-0.5 size-4 shrink-0 text-bad-ink" />
            )}
            <span className="foreign">{verdict.reason}</span>
          </p>
          {verdict.expected && !verdict.ok && <CodeBlock label="The signature it should have" text={verdict.expected} />}
        </div>
      )}
    </form>
  );
}
