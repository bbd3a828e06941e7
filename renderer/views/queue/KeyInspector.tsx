import type { KeyUse } from '../../../shared/model.ts';
import { formatExact } from '../../format.ts';
import { CopyButton } from '../../parts/CodeBlock.tsx';
import { Fact, Facts, Part } from '../../parts/Panel.tsx';
import { Badge } from '../../parts/Status.tsx';
import type { Tone } from '../../parts/tone.ts';
import { Countdown, Time, useNow } from '../../parts/Values.tsx';

type Use = KeyUse['uses'][number];
const tones: Record<Use['outcome'], Tone> = { attached: 'accent', replayed: 'ok', mismatch: 'bad' };
const meanings: Record<Use['outcome'], string> = {
  attached: 'It was the same request while this job ran, and got its answer.',
  replayed: 'It was the same request after this job succeeded, and got the same answer. Nothing ran.',
  mismatch: 'It was another request under the same key, and was refused.',
};

/** Under which key a job ran, and what came of every later call under that key. */
export function KeyInspector({ use }: { use: KeyUse }) {
  const now = useNow();
  return (
    <Part title="Idempotency">
      <div className="space-y-3">
        <Facts>
          <Fact name="Key" mono>
            <span className="flex items-start gap-1">
              <span className="min-w-0 flex-1">{use.key}</span>
              <span className="-my-1.5">
                <CopyButton text={use.key} label="Copy key" />
              </span>
            </span>
          </Fact>
          <Fact name="Chosen by">{use.content ? 'its content: the same request has the same key' : 'the caller'}</Fact>
          <Fact name="Request" mono>
            <span title="SHA-256 of the canonical JSON of what was asked">{use.bodyHash}</span>
          </Fact>
          <Fact name="Holds">
            {use.expiresAt > now ? (
              <>
                It ends <Countdown at={use.expiresAt} /> <span className="text-ink-3">{formatExact(use.expiresAt)}</span>
              </>
            ) : (
              <>
                It ended <Time at={use.expiresAt} />
              </>
            )}
          </Fact>
        </Facts>
        {use.uses.length === 0 ? (
          <p className="text-ink-3 text-xs">No other call came under this key.</p>
        ) : (
          <ol aria-label="Later calls under this key" className="space-y-2 text-xs">
            {use.uses.map((one) => (
              <li key={one.crossing} className="space-y-0.5">
                <div className="flex items-center gap-2">
                  <Badge tone={tones[one.outcome]}>{one.outcome}</Badge>
                  <code className="min-w-0 flex-1 truncate font-mono text-2xs text-ink-2">{one.crossing}</code>
                  <span className="text-ink-3">
                    <Time at={one.at} />
                  </span>
                </div>
                <p className="text-ink-2">
                  {meanings[one.outcome]}
                  {one.differed.length > 0 && (
                    <>
                      {' '}
                      Different:{' '}
                      {one.differed.map((path, index) => (
                        <span key={path}>
                          {index > 0 && ', '}
                          <code className="foreign font-mono text-bad-ink">{path}</code>
                        </span>
                      ))}
                    </>
                  )}
                </p>
              </li>
            ))}
          </ol>
        )}
      </div>
    </Part>
  );
}
