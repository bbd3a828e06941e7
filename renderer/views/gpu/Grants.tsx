/** Who may use models through the OpenAI-compatible door, with what and how long. */
import { Ban, CircleCheck, KeyRound, Plus, TimerOff } from 'lucide-react';
import { useMemo } from 'react';
import type { CortexState, Grant } from '../../../shared/cortex.ts';
import { toastError } from '../../actions.ts';
import { type Front, useFront } from '../../core.ts';
import { formatCount, formatExact } from '../../format.ts';
import { usePlainKeys } from '../../keys.ts';
import { Button } from '../../parts/Button.tsx';
import { CopyButton } from '../../parts/CodeBlock.tsx';
import { Fact, Facts, Pane, Part } from '../../parts/Panel.tsx';
import { EmptyState } from '../../parts/States.tsx';
import { Badge, EgressBadge } from '../../parts/Status.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Countdown, Time, useNow } from '../../parts/Values.tsx';
import { ask, openGpu, openGpuDialog, toast } from '../../ui.ts';
import { Name } from '../Plan.tsx';
import { Waiter } from './Line.tsx';

export function Grants({ cortex, open }: { cortex: CortexState; open: string | null }) {
  const grants = useMemo(() => [...cortex.grants].sort((a, b) => b.created_at - a.created_at), [cortex.grants]);
  const demo = useMemo(() => new Set(cortex.models.flatMap((model) => (model.demo ? [model.provider] : []))), [cortex.models]);
  const columns = useMemo(() => columnsFor(demo), [demo]);
  const waiting = cortex.queue.filter(({ holder }) => holder.kind === 'grant').sort((a, b) => a.position - b.position);
  const grant = grants.find((one) => one.id === open) ?? null;
  const add = () => openGpuDialog({ kind: 'grant' });
  usePlainKeys({ g: add });
  const button = (
    <Button size="sm" icon={Plus} keys="g" onClick={add}>
      New grant
    </Button>
  );
  return (
    <div className="flex min-h-0 flex-1">
      <div className={`min-w-0 flex-1 flex-col ${open ? 'hidden lg:flex' : 'flex'}`}>
        <p className="shrink-0 border-b px-4 py-2.5 text-ink-3 text-xs">
          A grant keeps its models in memory and ends with its task, its time, or the sovereign switch.
        </p>
        {waiting.length > 0 && (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
          <section aria-label="Grants in line" tabIndex={0} className="max-h-48 shrink-0 overflow-auto border-b bg-canvas">
            <ol aria-label="Waiting for a grant" className="divide-y">
              {waiting.map((waiter) => (
                <Waiter key={waiter.id} waiter={waiter} />
              ))}
            </ol>
          </section>
        )}
        <div className="min-h-0 flex-1">
          <Table
            label="Grants"
            columns={columns}
            rows={grants}
            rowKey={(one) => one.id}
            selected={open}
            onSelect={(one) => openGpu('grants', one.id)}
            plainKeys
            empty={
              <EmptyState icon={KeyRound} title="Nobody has a grant" action={button}>
                With one, any OpenAI client uses the models bound to it, at this machine's address and with a key of its own.
              </EmptyState>
            }
          />
        </div>
      </div>
      {grant ? (
        <GrantPane key={grant.id} grant={grant} demo={demo} />
      ) : (
        open !== null && (
          <Pane label="Grant details" title="Grant" closeLabel="Close grant" onClose={() => openGpu('grants')}>
            <EmptyState icon={KeyRound} title="There is no such grant any more" />
          </Pane>
        )
      )}
    </div>
  );
}

function columnsFor(demo: ReadonlySet<string>): readonly Column<Grant>[] {
  return [
    { id: 'state', label: 'State', width: '6rem', cell: (one) => <GrantState grant={one} /> },
    {
      id: 'task',
      label: 'Task',
      width: 'minmax(7rem,1.4fr)',
      cell: (one) => (
        <bdi className="block truncate font-medium" title={one.task}>
          {one.task}
        </bdi>
      ),
    },
    {
      id: 'models',
      label: 'Models',
      width: 'minmax(8rem,1.6fr)',
      hideBelow: 560,
      cell: (one) => {
        const [first] = one.models;
        return (
          first && (
            <span className="flex min-w-0 items-center gap-1.5">
              <Name provider={first.provider} tier={first.tier} demo={demo.has(first.provider)} />
              {one.models.length > 1 && <span className="text-2xs text-ink-3">+{one.models.length - 1}</span>}
            </span>
          )
        );
      },
    },
    {
      id: 'caller',
      label: 'Asked by',
      width: 'minmax(4rem,0.8fr)',
      hideBelow: 760,
      cell: (one) => <bdi className="text-ink-2 text-xs">{one.caller}</bdi>,
    },
    {
      id: 'requests',
      label: 'Requests',
      width: '5rem',
      align: 'right',
      hideBelow: 640,
      cell: (one) => formatCount(one.requests),
    },
    {
      id: 'ends',
      label: 'Ends',
      width: '7.5rem',
      align: 'right',
      cell: (one) => (
        <span className="text-ink-2 text-xs">{one.revoked ? <Time at={one.revoked.at} /> : <Ends at={one.expires_at} />}</span>
      ),
    },
  ];
}

function Ends({ at }: { at: number }) {
  const now = useNow();
  return at > now ? <Countdown at={at} /> : <Time at={at} />;
}

function GrantState({ grant }: { grant: Grant }) {
  const now = useNow();
  const state = grant.revoked ? 'revoked' : grant.expires_at <= now ? 'expired' : 'active';
  const look = {
    active: { icon: CircleCheck, word: 'Active', className: 'text-ok-ink' },
    expired: { icon: TimerOff, word: 'Expired', className: 'text-ink-3' },
    revoked: { icon: Ban, word: 'Revoked', className: 'text-ink-3' },
  }[state];
  return (
    <span className={`inline-flex items-center gap-1.5 align-middle ${look.className}`} title={grant.revoked?.why}>
      <look.icon aria-hidden className="size-3.5 shrink-0" strokeWidth={2} />
      {look.word}
    </span>
  );
}

function GrantPane({ grant, demo }: { grant: Grant; demo: ReadonlySet<string> }) {
  const front = useFront();
  const now = useNow();
  const active = !grant.revoked && grant.expires_at > now;
  return (
    <Pane
      label="Grant details"
      closeLabel="Close grant"
      onClose={() => openGpu('grants')}
      title={
        <>
          <span role="status" className="shrink-0 text-xs">
            <GrantState grant={grant} />
          </span>
          <bdi className="min-w-0 truncate" title={grant.task}>
            {grant.task}
          </bdi>
        </>
      }
      aside={
        active && (
          <Button size="sm" icon={Ban} onClick={() => void revoke(front, grant)}>
            Revoke
          </Button>
        )
      }
    >
      <div className="space-y-3 p-4">
        {grant.revoked && (
          <p className="foreign rounded-md bg-raised px-3 py-2 text-xs">
            Revoked <Time at={grant.revoked.at} />: {grant.revoked.why}
          </p>
        )}
        <Facts>
          <Fact name="Asked by">{grant.caller}</Fact>
          <Fact name="Address" mono>
            <span className="flex items-center gap-1">
              {grant.base_url}
              <span className="-my-1.5">
                <CopyButton text={grant.base_url} label="Copy address" />
              </span>
            </span>
          </Fact>
          <Fact name="Key">shown once, when it was made</Fact>
          <Fact name="Made">
            <Time at={grant.created_at} /> <span className="text-ink-3">{formatExact(grant.created_at)}</span>
          </Fact>
          {!grant.revoked && (
            <Fact name={active ? 'Ends' : 'Ended'}>
              <Ends at={grant.expires_at} /> <span className="text-ink-3">{formatExact(grant.expires_at)}</span>
            </Fact>
          )}
          <Fact name="Requests">{formatCount(grant.requests)}</Fact>
          <Fact name="Defaults">
            temperature {grant.settings.temperature}, top_p {grant.settings.top_p}, at most {formatCount(grant.settings.max_tokens)} tokens
            an answer
          </Fact>
          <Fact name="Grant" mono>
            {grant.id}
          </Fact>
        </Facts>
      </div>
      <Part title="Models">
        <ul aria-label="Models of the grant" className="space-y-2 text-xs">
          {grant.models.map((one) => (
            <li key={`${one.provider} ${one.tier}`} className="space-y-0.5">
              <p className="flex flex-wrap items-center gap-2">
                <Name provider={one.provider} tier={one.tier} demo={demo.has(one.provider)} />
                <EgressBadge egress={one.egress} />
              </p>
              <p className="selectable break-all font-mono text-2xs text-ink-3">{one.model}</p>
              <p className="text-ink-2">{one.capabilities.join(', ')}</p>
            </li>
          ))}
        </ul>
      </Part>
      {grant.tools.length > 0 && (
        <Part title="Tools, while the model is warm">
          <p className="flex flex-wrap gap-1">
            {grant.tools.map((tool) => (
              <Badge key={tool}>{tool}</Badge>
            ))}
          </p>
        </Part>
      )}
      {grant.reasons.length > 0 && (
        <Part title="Why these">
          <ul className="list-disc space-y-0.5 pl-4 text-ink-2 text-xs marker:text-ink-3">
            {grant.reasons.map((reason) => (
              <li key={reason} className="foreign">
                {reason}
              </li>
            ))}
          </ul>
        </Part>
      )}
    </Pane>
  );
}

async function revoke(front: Front, grant: Grant): Promise<void> {
  const yes = await ask({
    title: `Revoke the grant “${grant.task}”?`,
    body: 'Its key is worthless from now on, and what streams under it is cut off. Its models may be evicted after that.',
    action: 'Revoke',
    tone: 'danger',
  });
  if (!yes) return;
  await front.operate('OS.grants.revoke', { id: grant.id }).then(
    () => toast('ok', 'The grant is revoked'),
    (caught) => toastError('The grant was not revoked', caught),
  );
}
