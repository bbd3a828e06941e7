/** Where models come from: servers that can be found, units that cannot be read, and what asks the devices. */
import { FileWarning, Radar, SearchX } from 'lucide-react';
import { useEffect, useState } from 'react';
import type { OutputOf } from '../../../shared/contract.ts';
import type { CortexState, Discovered } from '../../../shared/cortex.ts';
import type { WireError } from '../../../shared/errors.ts';
import type { GpuState } from '../../../shared/model.ts';
import { toastError } from '../../actions.ts';
import { useFront, wireOf } from '../../core.ts';
import { formatCount } from '../../format.ts';
import { Button } from '../../parts/Button.tsx';
import { CodeBlock } from '../../parts/CodeBlock.tsx';
import { TextField } from '../../parts/Field.tsx';
import { Memory } from '../../parts/Model.tsx';
import { Panel, Scroll } from '../../parts/Panel.tsx';
import { EmptyState, ErrorState, Sweep } from '../../parts/States.tsx';
import { Badge, StatusDot } from '../../parts/Status.tsx';
import { openGpu, toast } from '../../ui.ts';

/** What stands in the address when it is to be looked at once. */
export const LOOK = 'look';

export function Servers({ cortex, gpu, open }: { cortex: CortexState; gpu: GpuState; open: string | null }) {
  return (
    <Scroll label="Servers">
      <div className="mx-auto max-w-4xl space-y-4 p-4 lg:px-6">
        <Discover look={open === LOOK} />
        <Invalid cortex={cortex} />
        <Probes gpu={gpu} />
      </div>
    </Scroll>
  );
}

function Discover({ look }: { look: boolean }) {
  const front = useFront();
  const [looking, setLooking] = useState(false);
  const [result, setResult] = useState<OutputOf<'OS.discover'> | null>(null);
  const [failure, setFailure] = useState<WireError | null>(null);
  const discover = async () => {
    setLooking(true);
    setFailure(null);
    await front.operate('OS.discover', {}).then(setResult, (caught) => setFailure(wireOf(caught)));
    setLooking(false);
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each time it is asked for
  useEffect(() => {
    if (!look) return;
    openGpu('servers');
    void discover();
  }, [look]);
  return (
    <Panel
      title="Servers on this machine"
      flush
      aside={
        <Button size="sm" icon={Radar} busy={looking} onClick={() => void discover()}>
          {result ? 'Look again' : 'Look for servers'}
        </Button>
      }
    >
      {looking && <Sweep wide />}
      {failure && (
        <div className="p-3">
          <ErrorState error={failure} compact retry={() => void discover()} />
        </div>
      )}
      {result === null ? (
        !failure && (
          <p className="p-4 text-ink-3 text-xs">
            {looking
              ? 'Asking the well-known ports of this machine…'
              : 'Asks the well-known ports of Ollama, llama-swap, llama.cpp, vLLM and others on this machine, and proposes entries for the registry. Nothing is written before you say so.'}
          </p>
        )
      ) : result.found.length === 0 ? (
        <EmptyState icon={SearchX} title="No model server answered">
          {lookedWords(result.looked)}
        </EmptyState>
      ) : (
        <>
          <ul aria-label="Found servers" className="divide-y">
            {result.found.map((one) => (
              <Found
                key={one.endpoint}
                found={one}
                onAdded={() =>
                  setResult({ ...result, found: result.found.map((other) => (other === one ? { ...one, known: true } : other)) })
                }
              />
            ))}
          </ul>
          <p className="border-t px-3 py-2 text-2xs text-ink-3">{lookedWords(result.looked)}</p>
        </>
      )}
    </Panel>
  );
}

/** `Looked at 127.0.0.1, ports 11434 and 8080`: fifteen addresses that differ in nothing else are hard to read. */
function lookedWords(looked: readonly string[]): string {
  const urls = looked.flatMap((one) => (URL.canParse(one) ? [new URL(one)] : []));
  const hosts = new Set(urls.map(({ hostname }) => hostname));
  if (urls.length < looked.length || hosts.size !== 1) return `Looked at ${looked.join(', ')}.`;
  return `Looked at ${[...hosts][0]}, ports ${urls.map(({ port }) => port).join(', ')}.`;
}

function Found({ found, onAdded }: { found: Discovered; onAdded(): void }) {
  const front = useFront();
  const [name, setName] = useState('');
  const [open, setOpen] = useState(!found.known);
  const [busy, setBusy] = useState(false);
  const add = async () => {
    setBusy(true);
    await front.operate('OS.providers.add', { endpoint: found.endpoint, ...(name.trim() && { name: name.trim() }) }).then(
      ({ provider }) => {
        toast('ok', `${provider} is in the registry`, 'Its models show within two seconds.');
        onAdded();
      },
      (caught) => toastError('It was not added', caught),
    );
    setBusy(false);
  };
  return (
    <li className="space-y-2.5 px-3 py-3">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <code className="min-w-0 truncate font-mono text-xs">{found.endpoint}</code>
        <Badge>{found.kind}</Badge>
        {found.known && <Badge tone="ok">in the registry</Badge>}
        <span className="ml-auto text-ink-3 text-xs">
          {found.models.length === 1 ? '1 model' : `${formatCount(found.models.length)} models`}
        </span>
        <button
          type="button"
          aria-expanded={open}
          className="rounded-sm px-1 text-accent-ink text-xs hover:underline"
          onClick={() => setOpen(!open)}
        >
          {open ? 'Hide' : 'Show'}
          <span className="sr-only"> {found.endpoint}</span>
        </button>
      </div>
      {open && (
        <div className="grid gap-3 md:grid-cols-2">
          <ul aria-label={`Models at ${found.endpoint}`} className="min-w-0 divide-y self-start border-y text-xs">
            {found.models.slice(0, 40).map((one) => (
              <li key={one.model} className="space-y-0.5 py-1.5">
                <p className="flex items-baseline justify-between gap-2">
                  <bdi className="min-w-0 truncate font-medium" title={one.model}>
                    {one.model}
                  </bdi>
                  <Memory figure={one.vram} what="size not known" />
                </p>
                <p className="flex flex-wrap gap-x-2 text-2xs text-ink-3">
                  {one.resident && <span className="text-ok-ink">in memory</span>}
                  {one.capabilities.join(', ')}
                </p>
              </li>
            ))}
            {found.models.length === 0 && <li className="py-1.5 text-ink-3">It names no models.</li>}
          </ul>
          <div className="min-w-0 space-y-2.5">
            <CodeBlock label={`Proposal for ${found.endpoint}`} text={found.proposal} wrap={false} />
            {!found.known && (
              <div className="flex items-end gap-2">
                <div className="min-w-0 flex-1">
                  <TextField label="Name in the registry" value={name} onChange={setName} placeholder="as proposed" />
                </div>
                <Button tone="primary" busy={busy} onClick={() => void add()}>
                  Add to the registry
                </Button>
              </div>
            )}
          </div>
        </div>
      )}
    </li>
  );
}

function Invalid({ cortex: { invalid } }: { cortex: CortexState }) {
  if (invalid.length === 0) return null;
  return (
    <Panel title={invalid.length === 1 ? 'A unit that cannot be read' : `${formatCount(invalid.length)} units that cannot be read`} flush>
      <ul aria-label="Invalid units" className="divide-y">
        {invalid.map((unit) => (
          <li key={`${unit.file} ${unit.line} ${unit.unit}`} className="flex gap-2.5 px-3 py-2.5 text-xs">
            <FileWarning aria-hidden className="mt-0.5 size-3.5 shrink-0 text-warn-ink" />
            <div className="min-w-0 space-y-0.5">
              <p className="foreign">
                <bdi className="font-medium">{unit.unit}</bdi>: {unit.message}
              </p>
              <code className="selectable block break-all font-mono text-2xs text-ink-3">
                {unit.file}
                {unit.line !== null && `:${unit.line}`}
              </code>
            </div>
          </li>
        ))}
      </ul>
      <p className="border-t px-3 py-2 text-2xs text-ink-3">What else these files hold counts.</p>
    </Panel>
  );
}

/** What asked the devices, and what it found or why it found nothing. */
export function Probes({ gpu }: { gpu: GpuState }) {
  if (gpu.probes.length === 0) return null;
  return (
    <Panel title="Probes" flush>
      <ul aria-label="Probes" className="divide-y">
        {gpu.probes.map((probe) => (
          <li key={probe.name} className="flex items-center gap-3 px-3 py-2 text-xs">
            <StatusDot tone={probe.found ? 'ok' : 'quiet'} label={probe.found ? 'found' : 'not found'} />
            <span className="w-32 shrink-0 font-medium">{probe.name}</span>
            <span className="foreign min-w-0 text-ink-3">{probe.detail}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
