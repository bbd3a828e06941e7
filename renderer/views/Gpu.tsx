import { ArrowDownToLine, KeyRound } from 'lucide-react';
import type { ReactNode } from 'react';
import { useLive } from '../core.ts';
import { formatCount } from '../format.ts';
import { Button } from '../parts/Button.tsx';
import { ViewHead } from '../parts/Panel.tsx';
import { LoadingView } from '../parts/States.tsx';
import { type Tab, Tabs } from '../parts/Tabs.tsx';
import { Time } from '../parts/Values.tsx';
import { type GpuTab, gpuPlaceOf, gpuTabWords } from '../place.ts';
import { openGpu, openGpuDialog, useUi } from '../ui.ts';
import { Capabilities } from './gpu/Capabilities.tsx';
import { Grants } from './gpu/Grants.tsx';
import { Models } from './gpu/Models.tsx';
import { isInMemory } from './gpu/models.ts';
import { NewGrantDialog } from './gpu/NewGrant.tsx';
import { Overview } from './gpu/Overview.tsx';
import { Servers } from './gpu/Servers.tsx';
import { EvictDialog, LoadDialog } from './gpu/Swap.tsx';

/** Devices and the memory they have, the models in it, who uses them and who waits. */
export function Gpu() {
  const gpu = useLive('gpu');
  const cortex = useLive('cortex');
  const item = useUi((ui) => ui.item);
  const remembered = useUi((ui) => ui.gpuTab);
  const dialog = useUi((ui) => ui.gpuDialog);
  const set = useUi((ui) => ui.set);
  if (!gpu || !cortex) return <LoadingView title="GPU" what="Asking the GPU" />;

  const { tab, open } = gpuPlaceOf(item, remembered);
  const now = Date.now();
  const warm = new Set(cortex.models.filter((one) => isInMemory(one.phase) && one.egress === 'local').map((one) => one.provider)).size;
  const granted = cortex.grants.filter((one) => !one.revoked && one.expires_at > now).length;
  const tabs: (Omit<Tab<GpuTab>, 'label' | 'content'> & { content(): ReactNode })[] = [
    {
      id: 'overview',
      ...(cortex.alerts.length > 0 && {
        count: {
          value: cortex.alerts.length,
          label: cortex.alerts.length === 1 ? 'alert' : 'alerts',
          tone: cortex.alerts.some(({ level }) => level === 'critical') ? 'bad' : 'warn',
        },
      }),
      content: () => <Overview cortex={cortex} gpu={gpu} />,
    },
    {
      id: 'models',
      ...(warm > 0 && { count: { value: warm, label: 'in memory', tone: 'quiet' } }),
      content: () => <Models cortex={cortex} open={open} />,
    },
    {
      id: 'grants',
      ...(granted > 0 && { count: { value: granted, label: 'active', tone: 'quiet' } }),
      content: () => <Grants cortex={cortex} open={open} />,
    },
    { id: 'capabilities', content: () => <Capabilities cortex={cortex} open={open} /> },
    {
      id: 'servers',
      ...(cortex.invalid.length > 0 && { count: { value: cortex.invalid.length, label: 'invalid', tone: 'warn' } }),
      content: () => <Servers cortex={cortex} gpu={gpu} open={open} />,
    },
  ];
  const close = () => set({ gpuDialog: null });
  return (
    <div className="flex h-full min-h-0 flex-col">
      <ViewHead
        title="GPU"
        actions={
          <>
            <Button size="sm" icon={ArrowDownToLine} onClick={() => openGpuDialog({ kind: 'load', provider: null, tier: null })}>
              Load a model
            </Button>
            <Button size="sm" icon={KeyRound} {...(tab === 'grants' && { keys: 'g' })} onClick={() => openGpuDialog({ kind: 'grant' })}>
              New grant
            </Button>
          </>
        }
      >
        {cortex.devices.length === 0
          ? 'No GPU was found'
          : cortex.devices.length === 1
            ? '1 device'
            : `${formatCount(cortex.devices.length)} devices`}
        {cortex.queue.length > 0 && `, ${formatCount(cortex.queue.length + cortex.unlisted.queue)} waiting`}
        {gpu.probedAt !== null && (
          <span className="hidden sm:inline">
            {' · read '}
            <Time at={gpu.probedAt} />
          </span>
        )}
      </ViewHead>
      <div className="flex min-h-0 flex-1 flex-col border-t bg-surface">
        <Tabs
          label="GPU"
          tabs={tabs.map(({ content, ...one }) => ({ ...one, label: gpuTabWords[one.id].label, content: one.id === tab && content() }))}
          value={tab}
          onChange={(next: GpuTab) => openGpu(next)}
        />
      </div>
      {dialog?.kind === 'load' && (
        <LoadDialog
          key={`${dialog.provider} ${dialog.tier}`}
          cortex={cortex}
          provider={dialog.provider}
          tier={dialog.tier}
          onClose={close}
        />
      )}
      {dialog?.kind === 'evict' && <EvictDialog cortex={cortex} provider={dialog.provider} onClose={close} />}
      {dialog?.kind === 'grant' && <NewGrantDialog cortex={cortex} onClose={close} />}
    </div>
  );
}
