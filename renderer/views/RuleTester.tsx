import { FlaskConical } from 'lucide-react';
import { useDeferredValue } from 'react';
import { useOperation, wireOf } from '../core.ts';
import { formatPercent } from '../format.ts';
import { EmptyState, ErrorState } from '../parts/States.tsx';
import { Badge } from '../parts/Status.tsx';

/** Type a text: every rule that matches, which one wins, and every score. Nothing is called. */
export function RuleTester({ text, onText }: { text: string; onText(text: string): void }) {
  const asked = useDeferredValue(text.trim());
  const test = useOperation('OS.rules.test', { text: asked }, { enabled: asked !== '', keep: true });
  const found = asked === '' ? undefined : test.data;
  return (
    <div className="flex min-h-0 flex-1 flex-col overflow-auto">
      <div className="border-b p-4">
        <input
          aria-label="Text to test"
          data-search
          value={text}
          onChange={(event) => onText(event.target.value)}
          placeholder="Type what somebody would say, for example: sync salesforce contacts"
          className="h-10 w-full rounded-md bg-canvas px-3 text-base outline-none hairline focus:outline-2 focus:outline-accent"
        />
      </div>
      {asked === '' ? (
        <EmptyState icon={FlaskConical} title="Try a text">
          It shows every rule that matches, in the order they are judged, and how sure the operator is of each route. Nothing is called.
        </EmptyState>
      ) : test.error ? (
        <div className="p-4">
          <ErrorState error={wireOf(test.error)} />
        </div>
      ) : (
        found && (
          <div className="grid gap-6 p-4 lg:grid-cols-2 lg:px-6">
            <section aria-label="Rules that match" className="min-w-0 space-y-2">
              <h2 className="font-medium text-ink-2 text-xs">Rules that match</h2>
              {found.rules.length === 0 ? (
                <p className="text-ink-3 text-xs">None. The routes' examples decide.</p>
              ) : (
                <ol className="divide-y rounded-lg hairline">
                  {found.rules.map((rule) => (
                    <li key={rule.order} className="flex items-center gap-3 px-3 py-2 text-xs">
                      <span className="w-10 shrink-0 text-right text-ink-3">{rule.priority}</span>
                      <span className="min-w-0 flex-1">
                        <code className="foreign block truncate font-mono text-ink">{rule.pattern}</code>
                        <span className="foreign text-ink-3">
                          found “{rule.matched}”{rule.line !== null && `, line ${rule.line}`}
                        </span>
                      </span>
                      <span className="shrink-0 font-medium">{rule.route}</span>
                      {rule.won && <Badge tone="ok">wins</Badge>}
                    </li>
                  ))}
                </ol>
              )}
            </section>
            <section aria-label="Scores" className="min-w-0 space-y-2">
              <h2 className="font-medium text-ink-2 text-xs">
                Scores{' '}
                {found.abstained && <span className="text-warn-ink">· not sure enough of any, so it would ask or take the fallback</span>}
              </h2>
              <ol className="space-y-2">
                {found.ranked.slice(0, 12).map((entry) => (
                  <li key={entry.route} className="space-y-1">
                    <div className="flex items-baseline gap-3 text-xs">
                      <span className="min-w-0 flex-1 truncate font-medium">{entry.route}</span>
                      <span className="shrink-0">{formatPercent(entry.confidence)}</span>
                    </div>
                    <div className="h-1 overflow-hidden rounded-full bg-raised">
                      <div className="h-full rounded-full bg-accent" style={{ width: `${Math.max(1, entry.confidence * 100)}%` }} />
                    </div>
                    <p className="foreign truncate text-2xs text-ink-3">{entry.reason}</p>
                  </li>
                ))}
              </ol>
            </section>
          </div>
        )
      )}
    </div>
  );
}
