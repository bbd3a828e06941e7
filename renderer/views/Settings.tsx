import { KeyRound, Trash2 } from 'lucide-react';
import type { ReactNode } from 'react';
import { useId, useState } from 'react';
import type { InputOf, Settings as SettingsState } from '../../shared/contract.ts';
import type { WireError } from '../../shared/errors.ts';
import type { Capability } from '../../shared/model.ts';
import { useFront, useLive, useOperation, wireOf } from '../core.ts';
import { Button, IconButton } from '../parts/Button.tsx';
import { CodeBlock, CopyButton } from '../parts/CodeBlock.tsx';
import { Chips } from '../parts/Field.tsx';
import { Panel, ViewHead } from '../parts/Panel.tsx';
import { EmptyState, ErrorState, LoadingView } from '../parts/States.tsx';
import { Badge } from '../parts/Status.tsx';
import { Bytes, Time } from '../parts/Values.tsx';
import { ask, type Theme, toast, useUi } from '../ui.ts';

/** Where things are kept and what may be changed; every value says what it means. */
export function Settings() {
  const settings = useOperation('OS.settings', {});
  const self = useLive('self');
  const theme = useUi((ui) => ui.theme);
  const set = useUi((ui) => ui.set);
  if (settings.error)
    return (
      <div className="p-6">
        <ErrorState error={wireOf(settings.error)} retry={() => void settings.refetch()} />
      </div>
    );
  if (!settings.data || !self) return <LoadingView title="Settings" what="Reading the settings" />;
  const { data } = settings;
  return (
    <div className="flex h-full min-h-0 flex-col">
      <ViewHead title="Settings">
        Dispatcher {self.version}
        {self.demo && ', with the demo services'}
        {self.mock && ', in mock mode'}
      </ViewHead>
      <div className="min-h-0 flex-1 overflow-auto border-t px-4 py-4 lg:px-6">
        <div className="mx-auto grid max-w-3xl gap-4">
          <Panel title="Appearance">
            <Row name="Theme" meaning="System follows what the desktop says, also when it changes at night.">
              <Chips<Theme>
                label="Theme"
                value={theme}
                onChange={(next) => set({ theme: next })}
                options={[
                  { value: 'system', label: 'System' },
                  { value: 'light', label: 'Light' },
                  { value: 'dark', label: 'Dark' },
                ]}
              />
            </Row>
          </Panel>
          <Limits
            key={`${data.limits?.perSecond} ${data.limits?.burst} ${data.healthIntervalMs} ${data.retentionDays} ${data.jobsKeptDays} ${data.jobsKeptMost}`}
            settings={data}
          />
          <Tokens />
          <Panel title="Where things are kept">
            <Row name="Registry" meaning="Every org, service and rule. Edit it here or in any editor; it is read again when it changes.">
              <Path text={data.registryFile} />
            </Row>
            <Row name="Home" meaning="Registry, database, key and checkpoints. Set DISPATCHER_HOME to move it.">
              <Path text={data.home} />
            </Row>
            <Row name="Database" meaning="Jobs and the audit chain, in one SQLite file with one writer.">
              <Path text={data.databaseFile} />
            </Row>
            <Row
              name="Public key"
              meaning="Crossings and checkpoints are signed with its other half (Ed25519). Give it to whoever wants to verify them."
            >
              <CodeBlock text={data.publicKey.trim()} label="Public key" />
            </Row>
            <Row
              name="Callbacks out are signed with"
              meaning="Receivers check it as Standard Webhooks. Name another secret in the registry."
            >
              <span className="foreign text-sm">{data.callbacks.signs}</span>
            </Row>
            <Row
              name="Callbacks in are checked with"
              meaning="An environment variable that the registry names. Without one they are refused."
            >
              <span className="foreign text-sm">{data.callbacks.checks ?? 'nothing, so they are refused'}</span>
            </Row>
          </Panel>
          <Panel title="This process">
            <Row name="Process" meaning="Memory and processor are in the top bar as well, so that the app never hides its own weight.">
              <span className="text-sm">
                {self.pid}, since <Time at={self.startedAt} />, <Bytes value={self.memoryBytes} />
              </span>
            </Row>
            <Row name="Address" meaning="The one door for programs. Only this machine can reach it.">
              {self.url ? <Path text={self.url} /> : <span className="text-ink-3 text-sm">no HTTP door is open</span>}
            </Row>
          </Panel>
        </div>
      </div>
    </div>
  );
}

function Row({ name, meaning, children }: { name: string; meaning: string; children: ReactNode }) {
  return (
    <div className="grid gap-x-6 gap-y-1.5 border-b py-3 first:pt-0 last:border-0 last:pb-0 sm:grid-cols-[minmax(0,1fr)_minmax(0,1.2fr)]">
      <div className="min-w-0">
        <div className="font-medium text-sm">{name}</div>
        <p className="text-ink-3 text-xs">{meaning}</p>
      </div>
      <div className="flex min-w-0 items-start sm:justify-end [&>*]:min-w-0">{children}</div>
    </div>
  );
}

function Path({ text }: { text: string }) {
  return (
    <span className="flex min-w-0 items-center gap-1">
      <code className="selectable min-w-0 break-all font-mono text-2xs text-ink-2">{text}</code>
      <CopyButton text={text} />
    </span>
  );
}

function NumberField({
  label,
  value,
  unit,
  min,
  max,
  disabled = false,
  onChange,
}: {
  label: string;
  value: string;
  unit: string;
  min: number;
  max: number;
  disabled?: boolean;
  onChange(value: string): void;
}) {
  const id = useId();
  return (
    <label htmlFor={id} className="flex items-center gap-2 text-ink-2 text-xs">
      <span className="sr-only">{label}</span>
      <input
        id={id}
        type="number"
        inputMode="numeric"
        min={min}
        max={max}
        disabled={disabled}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        className="h-8 w-24 rounded-md bg-canvas px-2 text-right text-ink text-sm outline-none hairline focus:outline-2 focus:outline-accent disabled:opacity-50"
      />
      <span className="w-14">{unit}</span>
    </label>
  );
}

function Limits({ settings }: { settings: SettingsState }) {
  const front = useFront();
  const [on, setOn] = useState(settings.limits !== null);
  const [perSecond, setPerSecond] = useState(String(settings.limits?.perSecond ?? 100));
  const [burst, setBurst] = useState(String(settings.limits?.burst ?? 200));
  const [seconds, setSeconds] = useState(String(settings.healthIntervalMs / 1000));
  const [days, setDays] = useState(String(settings.retentionDays));
  const [jobDays, setJobDays] = useState(String(settings.jobsKeptDays));
  const [jobMost, setJobMost] = useState(String(settings.jobsKeptMost));
  const [failure, setFailure] = useState<WireError | null>(null);
  const [saving, setSaving] = useState(false);

  const limits = on ? { perSecond: Number(perSecond), burst: Number(burst) } : null;
  const changes: InputOf<'OS.settings.set'> = {
    ...(JSON.stringify(limits) !== JSON.stringify(settings.limits) && { limits }),
    ...(Number(seconds) * 1000 !== settings.healthIntervalMs && { healthIntervalMs: Math.round(Number(seconds) * 1000) }),
    ...(Number(days) !== settings.retentionDays && { retentionDays: Number(days) }),
    ...(Number(jobDays) !== settings.jobsKeptDays && { jobsKeptDays: Number(jobDays) }),
    ...(Number(jobMost) !== settings.jobsKeptMost && { jobsKeptMost: Number(jobMost) }),
  };
  const changed = Object.keys(changes).length > 0;
  const save = async () => {
    setSaving(true);
    setFailure(null);
    await front.operate('OS.settings.set', changes).then(
      (saved) => {
        front.queries.setQueryData(['op', 'OS.settings', {}], saved);
        toast('ok', 'Settings saved');
      },
      (caught) => setFailure(wireOf(caught)),
    );
    setSaving(false);
  };
  return (
    <Panel
      title="Limits and watching"
      aside={
        <Button size="sm" tone="primary" disabled={!changed} busy={saving} onClick={save}>
          Save settings
        </Button>
      }
    >
      {failure && (
        <div className="mb-3">
          <ErrorState error={failure} compact />
        </div>
      )}
      <Row
        name="Calls a caller may make"
        meaning={`Counted per token, through every door together. Above the burst a call is refused and told how long to wait. ${settings.limitsFrom === 'settings' ? 'Set here.' : 'Taken from the registry until it is set here.'}`}
      >
        <div className="flex flex-col items-end gap-2">
          <Chips
            label="Limit calls"
            value={on ? 'on' : 'off'}
            onChange={(next) => setOn(next === 'on')}
            options={[
              { value: 'on', label: 'Limited' },
              { value: 'off', label: 'Unlimited' },
            ]}
          />
          <NumberField label="Calls a second" unit="a second" value={perSecond} min={1} max={1e6} disabled={!on} onChange={setPerSecond} />
          <NumberField label="Burst" unit="burst" value={burst} min={1} max={1e6} disabled={!on} onChange={setBurst} />
        </div>
      </Row>
      <Row
        name="Health is probed every"
        meaning="Each service by itself, a little earlier or later, so that they are not all asked at once."
      >
        <NumberField label="Seconds between probes" unit="seconds" value={seconds} min={1} max={3600} onChange={setSeconds} />
      </Row>
      <Row
        name="Audit rows are kept"
        meaning="Never less than 90 days. This version keeps everything; the value is what a later one may prune to."
      >
        <NumberField label="Days audit rows are kept" unit="days" value={days} min={90} max={3650} onChange={setDays} />
      </Row>
      <Row name="Ended jobs are kept" meaning="So long, and so many. What the audit says of them stays longer.">
        <div className="flex flex-col items-end gap-2">
          <NumberField label="Days ended jobs are kept" unit="days" value={jobDays} min={1} max={3650} onChange={setJobDays} />
          <NumberField label="Ended jobs kept at most" unit="jobs" value={jobMost} min={1000} max={1e8} onChange={setJobMost} />
        </div>
      </Row>
    </Panel>
  );
}

const capabilities: { value: Capability; meaning: string }[] = [
  { value: 'read', meaning: 'see routes, health, jobs and audit' },
  { value: 'dispatch', meaning: 'call services and cancel jobs' },
  { value: 'admin', meaning: 'change registry, switch, tokens and breakers' },
];

function Tokens() {
  const front = useFront();
  const tokens = useOperation('OS.tokens', {});
  const [name, setName] = useState('');
  const [chosen, setChosen] = useState<Capability[]>(['read', 'dispatch']);
  const [secret, setSecret] = useState<{ name: string; secret: string } | null>(null);
  const [failure, setFailure] = useState<WireError | null>(null);
  const [busy, setBusy] = useState(false);

  const create = async (event: React.FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    await front.operate('OS.tokens.create', { name: name.trim(), capabilities: chosen }).then(
      (made) => {
        setSecret({ name: made.token.name, secret: made.secret });
        setName('');
        void tokens.refetch();
      },
      (caught) => setFailure(wireOf(caught)),
    );
    setBusy(false);
  };
  const revoke = async (id: string, of: string) => {
    if (
      !(await ask({
        title: `Revoke the token ${of}?`,
        body: 'Programs that use it are refused from now on. This cannot be undone.',
        action: 'Revoke',
        tone: 'danger',
      }))
    )
      return;
    await front.operate('OS.tokens.revoke', { id }).then(
      () => void tokens.refetch(),
      (caught) => toast('bad', 'The token was not revoked', wireOf(caught).message),
    );
  };

  return (
    <Panel title="Tokens" flush>
      <form onSubmit={create} className="flex flex-wrap items-center gap-3 border-b p-3">
        <input
          aria-label="Name of the new token"
          value={name}
          maxLength={60}
          onChange={(event) => setName(event.target.value)}
          placeholder="What is it for? For example: n8n"
          className="h-8 min-w-40 flex-1 rounded-md bg-canvas px-2.5 text-sm outline-none hairline focus:outline-2 focus:outline-accent"
        />
        <fieldset aria-label="What it may do" className="flex gap-3">
          {capabilities.map(({ value, meaning }) => (
            <label key={value} title={meaning} className="flex items-center gap-1.5 text-ink-2 text-xs">
              <input
                type="checkbox"
                checked={chosen.includes(value)}
                onChange={(event) => setChosen(event.target.checked ? [...chosen, value] : chosen.filter((one) => one !== value))}
                className="size-3.5 accent-accent"
              />
              {value}
            </label>
          ))}
        </fieldset>
        <Button type="submit" size="sm" icon={KeyRound} busy={busy} disabled={name.trim() === '' || chosen.length === 0}>
          Create token
        </Button>
      </form>
      {failure && (
        <div className="border-b p-3">
          <ErrorState error={failure} compact />
        </div>
      )}
      {secret && (
        <div role="status" className="space-y-2 border-b bg-ok-soft p-3">
          <p className="text-sm">
            <strong className="font-semibold text-ok-ink">Token {secret.name} is made.</strong> Copy its secret now; it is not shown again.
          </p>
          <div className="flex items-center gap-1">
            <code className="selectable min-w-0 flex-1 break-all rounded-md bg-surface p-2 font-mono text-xs">{secret.secret}</code>
            <CopyButton text={secret.secret} label="Copy secret" />
            <Button size="sm" onClick={() => setSecret(null)}>
              Done
            </Button>
          </div>
        </div>
      )}
      {tokens.error ? (
        <div className="p-3">
          <ErrorState error={wireOf(tokens.error)} compact />
        </div>
      ) : tokens.data?.tokens.length === 0 ? (
        <div className="h-52">
          <EmptyState icon={KeyRound} title="No tokens besides your own">
            Make one for each program that calls, so that the audit says who it was and you can take it back.
          </EmptyState>
        </div>
      ) : (
        <ul className="divide-y">
          {tokens.data?.tokens.map((token) => (
            <li key={token.id} className="flex items-center gap-3 px-3 py-2 text-sm">
              <span className="foreign min-w-0 flex-1 truncate font-medium">{token.name}</span>
              {token.capabilities.map((capability) => (
                <Badge key={capability}>{capability}</Badge>
              ))}
              <span className="w-36 shrink-0 text-right text-ink-3 text-xs">
                {token.lastUsedAt === null ? (
                  'never used'
                ) : (
                  <>
                    used <Time at={token.lastUsedAt} />
                  </>
                )}
              </span>
              <IconButton label={`Revoke ${token.name}`} icon={Trash2} onClick={() => revoke(token.id, token.name)} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
