import { MailCheck, MailQuestion, Send } from 'lucide-react';
import { useState } from 'react';
import type { Delivery } from '../../../shared/model.ts';
import { toastError } from '../../actions.ts';
import { useDeliveries, useFront, wireOf } from '../../core.ts';
import { formatCount, formatDuration, formatExact } from '../../format.ts';
import { Button } from '../../parts/Button.tsx';
import { CodeBlock } from '../../parts/CodeBlock.tsx';
import { Chips } from '../../parts/Field.tsx';
import { Fact, Facts, Pane, Part } from '../../parts/Panel.tsx';
import { EmptyState, ErrorState, LoadingState } from '../../parts/States.tsx';
import { Badge } from '../../parts/Status.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Countdown, Time, Unknown } from '../../parts/Values.tsx';
import { openQueue, toast, useUi } from '../../ui.ts';
import { DeliveryBadge } from './DeliveryLine.tsx';
import { emptyMessage, type Received, SignatureCheck } from './SignatureCheck.tsx';

/** What stands in the address while the signature check is open; deliveries have names of their own kind. */
const CHECK = 'check';
const states: readonly { value: Delivery['state'] | null; label: string }[] = [
  { value: null, label: 'All' },
  { value: 'pending', label: 'Pending' },
  { value: 'delivered', label: 'Delivered' },
  { value: 'dead', label: 'Given up' },
];

/** Results on their way to callback URLs: each try, the bytes that are sent, and a check for those who receive them. */
export function Callbacks({ open }: { open: string | null }) {
  const kept = useUi((ui) => ui.filters.callbacks) as Delivery['state'] | null | undefined;
  const setFilter = useUi((ui) => ui.setFilter);
  const state = kept ?? null;
  const query = useDeliveries(state);
  const [received, setReceived] = useState<Received>(emptyMessage);
  const rows = query.data ?? [];
  const delivery = rows.find((one) => one.id === open);

  return (
    <div className="flex min-h-0 flex-1">
      <div className={`min-w-0 flex-1 flex-col ${open ? 'hidden lg:flex' : 'flex'}`}>
        <div className="flex shrink-0 items-center gap-3 border-b px-4 py-2">
          <Chips label="State of the delivery" value={state} options={states} onChange={(next) => setFilter('callbacks', next)} />
          <span className="ml-auto">
            <Button size="sm" icon={MailCheck} onClick={() => openQueue('callbacks', CHECK)}>
              Check a signature
            </Button>
          </span>
        </div>
        <div className="min-h-0 flex-1">
          {query.isError ? (
            <div className="p-4">
              <ErrorState error={wireOf(query.error)} retry={() => void query.refetch()} />
            </div>
          ) : !query.data ? (
            <LoadingState what="Reading the callbacks" />
          ) : (
            <Table
              label="Callbacks"
              columns={columns}
              rows={rows}
              // One row more than there are asks for the next page.
              total={rows.length + Number(query.hasNextPage)}
              rowKey={(one) => one.id}
              selected={open}
              onSelect={(one) => openQueue('callbacks', one.id)}
              onNeed={() => !query.isFetchingNextPage && void query.fetchNextPage()}
              plainKeys
              empty={
                <EmptyState icon={Send} title={state === null ? 'Nobody asked for a callback yet' : 'None in this state'}>
                  A call with a callback URL has its result sent there, signed, once its job has ended.
                </EmptyState>
              }
            />
          )}
        </div>
      </div>
      {open === CHECK ? (
        <Pane label="Signature check" title="Check a signature" closeLabel="Close the check" onClose={() => openQueue('callbacks')}>
          <SignatureCheck received={received} onChange={setReceived} />
        </Pane>
      ) : open !== null && delivery ? (
        <DeliveryPane
          key={delivery.id}
          delivery={delivery}
          onCheck={(message) => {
            setReceived(message);
            openQueue('callbacks', CHECK);
          }}
        />
      ) : (
        open !== null &&
        query.data && (
          <Pane label="Callback" title="Callback" closeLabel="Close callback" onClose={() => openQueue('callbacks')}>
            <EmptyState icon={MailQuestion} title="It is not in this list">
              It may be older than what is loaded, or in another state than the one that is shown.
            </EmptyState>
          </Pane>
        )
      )}
    </div>
  );
}

const columns: readonly Column<Delivery>[] = [
  { id: 'state', label: 'State', width: '5.5rem', cell: (one) => <DeliveryBadge state={one.state} /> },
  {
    id: 'url',
    label: 'Callback URL',
    width: 'minmax(0,2fr)',
    cell: (one) => (
      <span className="font-mono text-xs" title={one.url}>
        {one.url}
      </span>
    ),
  },
  {
    id: 'job',
    label: 'Job',
    width: 'minmax(0,0.9fr)',
    hideBelow: 900,
    cell: (one) => <span className="font-mono text-2xs text-ink-2">{one.job}</span>,
  },
  {
    id: 'last',
    label: 'Last answer',
    width: 'minmax(0,1fr)',
    hideBelow: 620,
    cell: (one) => <LastAnswer delivery={one} />,
  },
  {
    id: 'tries',
    label: 'Tries',
    width: '3.5rem',
    align: 'right',
    cell: (one) => <span className="text-ink-2 text-xs">{formatCount(one.attempts.length)}</span>,
  },
  {
    id: 'next',
    label: 'Next try',
    width: '6.5rem',
    align: 'right',
    hideBelow: 480,
    cell: (one) => <span className="text-xs">{one.nextAt === null ? <Unknown what="none" /> : <Countdown at={one.nextAt} />}</span>,
  },
  {
    id: 'age',
    label: 'Age',
    width: '4.75rem',
    align: 'right',
    cell: (one) => (
      <span className="text-ink-3 text-xs">
        <Time at={one.createdAt} />
      </span>
    ),
  },
];

function LastAnswer({ delivery }: { delivery: Delivery }) {
  const last = delivery.attempts.at(-1);
  if (!last) return <Unknown what="not tried yet" />;
  return (
    <span className={`text-xs ${last.error ? 'text-bad-ink' : 'text-ink-2'}`} title={last.error ?? undefined}>
      {last.error ?? last.status}
    </span>
  );
}

function DeliveryPane({ delivery, onCheck }: { delivery: Delivery; onCheck(message: Received): void }) {
  const front = useFront();
  const [busy, setBusy] = useState(false);
  const [chosen, setChosen] = useState<number | null>(null);
  const last = delivery.attempts.length - 1;
  const shown = delivery.attempts[chosen ?? last];
  const timestamp = shown ? String(Math.floor(shown.at / 1000)) : null;
  const redeliver = async () => {
    setBusy(true);
    await front.operate('OS.callbacks.redeliver', { id: delivery.id }).then(
      (sent) => {
        const tried = sent.attempts.at(-1);
        if (sent.state === 'delivered') toast('ok', 'Delivered', `The receiver answered ${tried?.status ?? 'nothing'}.`);
        else toast('info', 'Sent again', tried?.error ?? 'It is on its way.');
      },
      (caught) => toastError('It was not sent again', caught),
    );
    setBusy(false);
  };
  return (
    <Pane
      label="Callback details"
      title={
        <>
          <DeliveryBadge state={delivery.state} />
          <span className="min-w-0 truncate" title={delivery.url}>
            {URL.parse(delivery.url)?.host ?? delivery.url}
          </span>
        </>
      }
      aside={
        <Button
          size="sm"
          icon={Send}
          busy={busy}
          disabled={delivery.state === 'pending'}
          title={delivery.state === 'pending' ? 'It is on its way already' : undefined}
          onClick={() => void redeliver()}
        >
          Send again
        </Button>
      }
      closeLabel="Close callback"
      onClose={() => openQueue('callbacks')}
    >
      <div className="p-4">
        <Facts>
          <Fact name="URL" mono>
            {delivery.url}
          </Fact>
          <Fact name="Job" mono>
            <button type="button" className="text-accent-ink hover:underline" onClick={() => openQueue('jobs', delivery.job)}>
              {delivery.job}
            </button>
          </Fact>
          <Fact name="Since">
            <Time at={delivery.createdAt} /> <span className="text-ink-3">{formatExact(delivery.createdAt)}</span>
          </Fact>
          <Fact name="Next try">{delivery.nextAt === null ? <Unknown what="none" /> : <Countdown at={delivery.nextAt} />}</Fact>
        </Facts>
      </div>
      <Part title={`Tries (${delivery.attempts.length})`}>
        {delivery.attempts.length === 0 ? (
          <p className="text-ink-3 text-xs">It was not tried yet.</p>
        ) : (
          <ol className="text-xs">
            {delivery.attempts.map((attempt, index) => (
              <li key={attempt.at}>
                <button
                  type="button"
                  aria-pressed={attempt === shown}
                  title={`${formatExact(attempt.at)}. Show what was sent then.`}
                  onClick={() => setChosen(index)}
                  className="-mx-1.5 flex w-[calc(100%+12px)] items-center gap-2 rounded-md px-1.5 py-1 text-left hover:bg-raised aria-pressed:bg-raised"
                >
                  <span className="w-5 shrink-0 text-right text-ink-3">{index + 1}</span>
                  {attempt.status !== null && <Badge tone={attempt.error ? 'bad' : 'ok'}>{attempt.status}</Badge>}
                  <span className="foreign min-w-0 flex-1 text-ink-2">{attempt.error ?? 'taken'}</span>
                  <span className="shrink-0 text-ink-3">{formatDuration(attempt.durationMs)}</span>
                  <span className="w-16 shrink-0 text-right text-ink-3">
                    <Time at={attempt.at} />
                  </span>
                </button>
              </li>
            ))}
          </ol>
        )}
      </Part>
      <Part
        title={shown ? `What was sent at try ${(chosen ?? last) + 1}` : 'What will be sent'}
        aside={
          timestamp && (
            <button
              type="button"
              className="text-2xs text-accent-ink hover:underline"
              onClick={() => onCheck({ ...emptyMessage, id: delivery.id, timestamp, body: delivery.body })}
            >
              Check a signature of it
            </button>
          )
        }
      >
        <div className="space-y-2">
          <CodeBlock
            label="Headers"
            text={[
              `POST ${delivery.url}`,
              'content-type: application/json',
              `webhook-id: ${delivery.id}`,
              `webhook-timestamp: ${timestamp ?? '(seconds since 1970 when it is sent)'}`,
              'webhook-signature: v1,(base64 of the HMAC-SHA256)',
            ].join('\n')}
          />
          <p className="text-2xs text-ink-3">
            Signed are these bytes, with the key behind whsec_: {formatCount(new TextEncoder().encode(delivery.body).length)} of them are
            the body.
          </p>
          <CodeBlock label="Signed bytes" text={`${delivery.id}.${timestamp ?? '(timestamp)'}.${delivery.body}`} />
        </div>
      </Part>
    </Pane>
  );
}
