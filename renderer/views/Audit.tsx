import { BadgeCheck, Download, FlaskConical, ScrollText, ShieldAlert, ShieldCheck, X } from 'lucide-react';
import { useState } from 'react';
import type { AuditEntry, VerifyReport } from '../../shared/model.ts';
import { useFront, useLive, useOperation, wireOf } from '../core.ts';
import { formatCount, formatDuration, formatExact } from '../format.ts';
import { Button, IconButton } from '../parts/Button.tsx';
import { CodeBlock, CopyButton } from '../parts/CodeBlock.tsx';
import { JsonTree } from '../parts/JsonTree.tsx';
import { Fact, Facts, ViewHead } from '../parts/Panel.tsx';
import { EmptyState, ErrorState, LoadingView } from '../parts/States.tsx';
import { Badge, doorWord } from '../parts/Status.tsx';
import { type Column, Table } from '../parts/Table.tsx';
import type { Tone } from '../parts/tone.ts';
import { Time } from '../parts/Values.tsx';
import { holderWords } from '../plan.ts';
import { toast, useUi } from '../ui.ts';
import { useHeld } from './Plan.tsx';

const PAGE = 100;
const EXPORT_PAGE = 500;
const kindTone: Record<AuditEntry['kind'], Tone> = { intent: 'accent', outcome: 'ok', rejected: 'bad', replayed: 'quiet', change: 'warn' };

type Finding =
  | { kind: 'verify'; report: VerifyReport; at: number }
  | { kind: 'drill'; report: VerifyReport; changed: { seq: number; column: string } };

/** The chain, newest first: verify it, export it, and see with a drill on a copy that a changed byte is found. */
export function Audit() {
  const front = useFront();
  const item = useUi((ui) => ui.item);
  const go = useUi((ui) => ui.go);
  const [busy, setBusy] = useState<'verify' | 'drill' | 'export' | null>(null);
  const [finding, setFinding] = useState<Finding | null>(null);
  const [older, setOlder] = useState<{ entries: AuditEntry[]; cursor: string | null } | null>(null);
  const newest = useOperation('OS.audit', { limit: PAGE }, { keep: true });
  const live = useLive('counts');

  const first = newest.data?.entries ?? [];
  const oldest = first.at(-1)?.seq ?? Number.POSITIVE_INFINITY;
  const entries = [...first, ...(older?.entries.filter((entry) => entry.seq < oldest) ?? [])];
  const total = newest.data?.total ?? entries.length;
  const cursor = older ? older.cursor : (newest.data?.cursor ?? null);
  const listed = entries.find((entry) => String(entry.seq) === item);
  // A row that is named by its number may be far down: it is read by itself.
  const wanted = item !== null && /^\d{1,15}$/.test(item) ? Number(item) : null;
  const lone = useOperation(
    'OS.audit',
    { limit: 1, cursor: String((wanted ?? 0) + 1) },
    { enabled: wanted !== null && !listed && newest.data !== undefined, staleMs: Number.POSITIVE_INFINITY },
  );
  const selected = listed ?? lone.data?.entries.find((entry) => entry.seq === wanted) ?? null;

  const work = async (what: NonNullable<typeof busy>, run: () => Promise<void>) => {
    setBusy(what);
    await run().catch((caught: unknown) => toast('bad', 'That did not work', wireOf(caught).message));
    setBusy(null);
  };
  const verify = () =>
    work('verify', async () => {
      const report = await front.operate('OS.audit.verify', {});
      setFinding({ kind: 'verify', report, at: Date.now() });
    });
  const drill = () =>
    work('drill', async () => {
      const { report, changed } = await front.operate('OS.audit.drill', {});
      setFinding({ kind: 'drill', report, changed });
    });
  const more = async () => {
    if (cursor === null) return;
    const page = await front.operate('OS.audit', { limit: PAGE, cursor }).catch(() => null);
    if (page) setOlder((before) => ({ entries: [...(before?.entries ?? []), ...page.entries], cursor: page.cursor }));
  };
  const save = () =>
    work('export', async () => {
      const lines: string[] = [];
      let at: string | undefined;
      do {
        const page = await front.operate('OS.audit', { limit: EXPORT_PAGE, ...(at !== undefined && { cursor: at }) });
        for (const entry of page.entries) lines.push(JSON.stringify(entry));
        at = page.cursor ?? undefined;
      } while (at !== undefined);
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([`${lines.reverse().join('\n')}\n`], { type: 'application/x-ndjson' }));
      link.download = `dispatcher-audit-${formatExact(Date.now()).slice(0, 10)}.jsonl`;
      link.click();
      URL.revokeObjectURL(link.href);
      toast('ok', `${formatCount(lines.length)} rows exported`, link.download);
    });

  if (newest.error && !newest.data) {
    return (
      <>
        <ViewHead title="Audit" />
        <div className="p-6">
          <ErrorState error={wireOf(newest.error)} retry={() => void newest.refetch()} />
        </div>
      </>
    );
  }
  if (!newest.data) return <LoadingView title="Audit" what="Reading the chain" />;

  return (
    <div className="flex h-full min-h-0 flex-col">
      <ViewHead
        title="Audit"
        actions={
          <>
            <Button size="sm" icon={Download} busy={busy === 'export'} disabled={total === 0} onClick={save}>
              Export
            </Button>
            <Button
              size="sm"
              icon={FlaskConical}
              busy={busy === 'drill'}
              disabled={total === 0}
              onClick={drill}
              title="Changes one byte in a copy and shows that it is found"
            >
              Tamper drill
            </Button>
            <Button size="sm" tone="primary" icon={BadgeCheck} busy={busy === 'verify'} onClick={verify}>
              Verify chain
            </Button>
          </>
        }
      >
        {formatCount(Math.max(total, live?.audit ?? 0))} rows, each bound to the one before it
      </ViewHead>
      {finding && <FindingBar finding={finding} onClose={() => setFinding(null)} />}
      <div className="flex min-h-0 flex-1 border-t bg-surface">
        <div className="min-w-0 flex-1">
          <Table
            label="Audit chain"
            columns={selected ? columns.filter((column) => column.id !== 'hash' && column.id !== 'caller') : columns}
            rows={entries}
            rowKey={(row) => String(row.seq)}
            total={cursor === null ? entries.length : total}
            selected={item}
            onSelect={(row) => go('audit', String(row.seq))}
            onNeed={more}
            minWidth={selected ? 340 : 640}
            empty={
              <EmptyState icon={ScrollText} title="Nothing is on record yet">
                Every dispatch leaves two rows here: what was meant, before it happens, and what came of it.
              </EmptyState>
            }
          />
        </div>
        {selected && (
          <aside aria-label={`Audit row ${selected.seq}`} className="w-[min(28rem,50%)] shrink-0 overflow-auto border-l">
            <Receipt key={selected.seq} entry={selected} />
          </aside>
        )}
      </div>
    </div>
  );
}

function FindingBar({ finding, onClose }: { finding: Finding; onClose(): void }) {
  const { report } = finding;
  const good = finding.kind === 'drill' ? !report.ok : report.ok;
  const Icon = good ? ShieldCheck : ShieldAlert;
  return (
    <div role="status" className={`flex items-start gap-3 border-t px-4 py-2.5 text-sm lg:px-6 ${good ? 'bg-ok-soft' : 'bg-bad-soft'}`}>
      <Icon aria-hidden className={`mt-0.5 size-4 shrink-0 ${good ? 'text-ok-ink' : 'text-bad-ink'}`} />
      <div className="min-w-0 flex-1">
        {finding.kind === 'verify' && report.ok && (
          <p>
            <strong className="font-semibold text-ok-ink">The chain is whole.</strong> {formatCount(report.rows)} rows were hashed again
            from their columns in {formatDuration(report.durationMs)}; {formatCount(report.checkpoints)} signed{' '}
            {report.checkpoints === 1 ? 'checkpoint agrees' : 'checkpoints agree'}.
            {report.segments > 0 && ` ${formatCount(report.segments)} ${report.segments === 1 ? 'day is' : 'days are'} sealed.`}
            {report.pruned !== null &&
              ` Rows 1 to ${formatCount(report.pruned.lastSeq)} were pruned by ${report.pruned.by}, which is on record and signed.`}
          </p>
        )}
        {finding.kind === 'verify' && !report.ok && (
          <p>
            <strong className="font-semibold text-bad-ink">
              The chain is broken{report.fault?.seq != null && ` at row ${report.fault.seq}`}.
            </strong>{' '}
            <span className="foreign">{report.fault?.message}</span>
          </p>
        )}
        {finding.kind === 'drill' && (
          <p>
            <strong className={`font-semibold ${good ? 'text-ok-ink' : 'text-bad-ink'}`}>
              {good ? 'The change was found.' : 'The change was NOT found.'}
            </strong>{' '}
            In a copy, one byte of column <code className="font-mono text-xs">{finding.changed.column}</code> of row {finding.changed.seq}{' '}
            was changed. Verify says: <span className="foreign">{report.fault?.message ?? 'all is well'}</span>
          </p>
        )}
        {report.head && (
          <p className="flex items-center gap-1 text-ink-3 text-xs">
            Head <code className="truncate font-mono text-2xs">{report.head}</code>
            <CopyButton text={report.head} label="Copy head" />
          </p>
        )}
      </div>
      <IconButton label="Close" icon={X} onClick={onClose} />
    </div>
  );
}

const columns: Column<AuditEntry>[] = [
  { id: 'seq', label: 'Row', width: '64px', align: 'right', cell: (row) => <span className="text-ink-2">{row.seq}</span> },
  {
    id: 'kind',
    label: 'Kind',
    width: '76px',
    cell: (row) => (
      <Badge tone={row.kind !== 'outcome' || row.outcome === 'ok' ? kindTone[row.kind] : row.outcome === 'cancelled' ? 'quiet' : 'bad'}>
        {row.kind}
      </Badge>
    ),
  },
  {
    id: 'route',
    label: 'Route',
    width: 'minmax(0,1.2fr)',
    cell: (row) => row.route ?? <span className="text-ink-3">{row.kind === 'change' ? row.outcome : 'no route'}</span>,
  },
  {
    id: 'outcome',
    label: 'Outcome',
    width: 'minmax(0,1fr)',
    hideBelow: 440,
    cell: (row) =>
      row.kind === 'intent' ? (
        <span className="text-ink-3">about to call</span>
      ) : row.outcome === 'ok' ? (
        <span className="text-ok-ink">ok</span>
      ) : row.kind === 'change' ? null : (
        <span className={row.outcome === 'cancelled' ? 'text-ink-2' : 'text-bad-ink'} title={row.outcome ?? undefined}>
          {row.outcome}
        </span>
      ),
  },
  {
    id: 'caller',
    label: 'Caller',
    width: 'minmax(0,1fr)',
    cell: (row) => <Caller entry={row} />,
  },
  {
    id: 'at',
    label: 'When',
    width: '88px',
    align: 'right',
    cell: (row) => (
      <span className="text-ink-2">
        <Time at={row.at} />
      </span>
    ),
  },
  {
    id: 'hash',
    label: 'Hash',
    width: '84px',
    hideBelow: 760,
    cell: (row) => <code className="font-mono text-2xs text-ink-3">{row.hash.slice(0, 10)}</code>,
  },
];

/** Who called, and through which door; a grant by its task. */
function Caller({ entry: { caller, door } }: { entry: AuditEntry }) {
  const held = useHeld();
  const who = caller.startsWith('grant_') ? holderWords({ holder: { kind: 'grant', id: caller }, caller }, held) : caller;
  return (
    <span className="text-ink-2" title={`${caller} by ${doorWord(door)}`}>
      {who} {door !== caller && <span className="text-ink-3">by {doorWord(door)}</span>}
    </span>
  );
}

/** One row as what it says and what binds it, with its other half: intent and outcome of the same crossing. */
function Receipt({ entry }: { entry: AuditEntry }) {
  const go = useUi((ui) => ui.go);
  const pair = useOperation('OS.audit', { job: entry.job ?? '', limit: 10 }, { enabled: entry.job !== null });
  const other = pair.data?.entries.find((one) => one.seq !== entry.seq && one.crossing === entry.crossing) ?? null;
  const receipt = () => JSON.stringify(other ? [entry, other].sort((a, b) => a.seq - b.seq) : [entry], null, 2);
  return (
    <div className="space-y-4 p-4">
      <header className="flex items-center gap-2">
        <h2 className="min-w-0 flex-1 font-semibold text-base">
          Row {entry.seq} <span className="font-normal text-ink-3">· {entry.kind}</span>
        </h2>
        <CopyButton text={receipt} label="Copy receipt" />
        <IconButton label="Close row" icon={X} onClick={() => go('audit', null)} />
      </header>
      <Facts>
        <Fact name="When">{formatExact(entry.at)}</Fact>
        <Fact name="Route">{entry.route ?? 'none'}</Fact>
        {entry.outcome !== null && <Fact name={entry.kind === 'change' ? 'What' : 'Outcome'}>{entry.outcome}</Fact>}
        <Fact name="Caller">
          <Caller entry={entry} />
        </Fact>
        {entry.job !== null && (
          <Fact name="Job">
            <button type="button" className="font-mono text-2xs text-accent-ink hover:underline" onClick={() => go('queue', entry.job)}>
              {entry.job}
            </button>
          </Fact>
        )}
        {other && (
          <Fact name={other.kind === 'intent' ? 'Intent' : 'Outcome'}>
            <button type="button" className="text-accent-ink hover:underline" onClick={() => go('audit', String(other.seq))}>
              row {other.seq}
            </button>
          </Fact>
        )}
        <Fact name="Previous" mono>
          {entry.previous}
        </Fact>
        <Fact name="Hash" mono>
          {entry.hash}
        </Fact>
        {entry.digest && (
          <Fact name="Digest" mono>
            {entry.digest}
          </Fact>
        )}
      </Facts>
      <section className="space-y-1.5">
        <h3 className="font-medium text-2xs text-ink-3">Detail, secrets redacted</h3>
        <Detail text={entry.detail} />
      </section>
    </div>
  );
}

function Detail({ text }: { text: string }) {
  try {
    const value: unknown = JSON.parse(text);
    return <JsonTree value={value} label="Detail" />;
  } catch {
    // Cut at 8 KiB: no longer JSON, still what was recorded.
    return <CodeBlock text={text} label="Detail" />;
  }
}
