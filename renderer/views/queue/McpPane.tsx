import { type Circle, CircleAlert, CircleCheck, CircleDashed, CircleDot, CirclePause, RefreshCw, ShieldCheck, Square } from 'lucide-react';
import { useState } from 'react';
import type { OperationName } from '../../../shared/contract.ts';
import type { McpServer, McpState, McpTool } from '../../../shared/model.ts';
import { toastError } from '../../actions.ts';
import { useFront } from '../../core.ts';
import { formatCount } from '../../format.ts';
import { Button } from '../../parts/Button.tsx';
import { CodeBlock } from '../../parts/CodeBlock.tsx';
import { Dialog } from '../../parts/Dialog.tsx';
import { Fact, Facts, Pane, Part } from '../../parts/Panel.tsx';
import { Time } from '../../parts/Values.tsx';
import { ask, openQueue, toast } from '../../ui.ts';
import { Changes, definitionText, ToolLine } from './McpTool.tsx';

const states: Record<McpState, { word: string; icon: typeof Circle; className: string }> = {
  unapproved: { word: 'Not approved', icon: CirclePause, className: 'text-warn-ink' },
  idle: { word: 'Not running', icon: CircleDashed, className: 'text-ink-2' },
  starting: { word: 'Starting', icon: CircleDot, className: 'animate-breathe text-accent-ink' },
  ready: { word: 'Ready', icon: CircleCheck, className: 'text-ok-ink' },
  failed: { word: 'Failed', icon: CircleAlert, className: 'text-bad-ink' },
};

export function McpStateMark({ state }: { state: McpState }) {
  const { word, icon: Icon, className } = states[state];
  return (
    <span className={`inline-flex items-center gap-1.5 align-middle ${className}`}>
      <Icon aria-hidden className="size-3.5 shrink-0" strokeWidth={2} />
      {word}
    </span>
  );
}

type ServerOperation = Extract<OperationName, 'OS.mcp.refresh' | 'OS.mcp.stop'>;

/** One server: what it is in full, whether it runs, and its tools. */
export function McpPane({ server }: { server: McpServer }) {
  const front = useFront();
  const [busy, setBusy] = useState<string | null>(null);
  const [approving, setApproving] = useState<'server' | McpTool | null>(null);
  const run = async (name: ServerOperation, failed: string) => {
    setBusy(name);
    await front.operate(name, { server: server.name }).catch((caught) => toastError(failed, caught));
    setBusy(null);
  };
  const approve = async (tool: McpTool | null) => {
    setBusy('approve');
    await front.operate('OS.mcp.approve', { server: server.name, ...(tool && { tool: tool.name }) }, { confirm: true }).then(
      () => toast('ok', tool ? `${tool.name} is approved` : `${server.name} is approved`),
      (caught) => toastError('It was not approved', caught),
    );
    setBusy(null);
    setApproving(null);
  };
  const stop = async () => {
    const yes = await ask({
      title: `Stop ${server.name}?`,
      body: 'The program and everything it started are ended; calls that run now are cut off. It starts again when one of its tools is called.',
      action: 'Stop server',
      tone: 'danger',
    });
    if (yes) await run('OS.mcp.stop', 'It was not stopped');
  };
  const open = server.tools.filter((tool) => tool.approval !== 'approved');
  return (
    <Pane
      label="MCP server details"
      title={<span className="min-w-0 truncate">{server.name}</span>}
      closeLabel="Close server"
      onClose={() => openQueue('mcp')}
    >
      <div className="space-y-3 p-4">
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1 text-xs">
          <span role="status">
            <McpStateMark state={server.state} />
          </span>
          {server.pid !== null && (
            <span className="text-ink-3">
              process {server.pid}
              {server.startedAt !== null && (
                <>
                  , started <Time at={server.startedAt} />
                </>
              )}
            </span>
          )}
        </div>
        {server.detail && (
          <p className={`foreign rounded-md px-3 py-2 text-xs ${server.state === 'failed' ? 'bg-bad-soft' : 'bg-raised'}`}>
            {server.detail}
          </p>
        )}
        <CodeBlock label={server.transport === 'stdio' ? 'Program' : 'URL'} text={server.target} />
        <div className="flex flex-wrap gap-1.5">
          {(!server.approved || open.length > 0) && (
            <Button size="sm" tone="primary" icon={ShieldCheck} onClick={() => setApproving('server')}>
              {server.approved ? `Look at ${formatCount(open.length)} and approve` : 'Look and approve'}
            </Button>
          )}
          {server.approved && (
            <Button
              size="sm"
              icon={RefreshCw}
              busy={busy === 'OS.mcp.refresh' || server.state === 'starting'}
              onClick={() => void run('OS.mcp.refresh', 'It was not asked')}
            >
              {server.state === 'ready' ? 'Ask for its tools again' : 'Start and ask for its tools'}
            </Button>
          )}
          {(server.state === 'ready' || server.state === 'starting') && (
            <Button size="sm" icon={Square} busy={busy === 'OS.mcp.stop'} onClick={() => void stop()}>
              Stop
            </Button>
          )}
        </div>
      </div>
      <Part
        title={server.tools.length === 0 ? 'Tools' : server.tools.length === 1 ? '1 tool' : `${formatCount(server.tools.length)} tools`}
      >
        {server.tools.length === 0 ? (
          <p className="text-ink-3 text-xs">
            {server.approved ? 'Its tools are known once it has been started.' : 'It is not started, so nobody knows what it has.'}
          </p>
        ) : (
          <ul className="divide-y">
            {server.tools.map((tool) => (
              <ToolLine key={tool.name} tool={tool} onApprove={() => setApproving(tool)} />
            ))}
          </ul>
        )}
      </Part>
      <Dialog
        open={approving !== null}
        onClose={() => setApproving(null)}
        title={approving === 'server' ? `Approve ${server.name}` : `Approve ${approving?.name ?? ''}`}
        width={680}
      >
        {approving !== null && (
          <Approval
            server={server}
            tool={approving === 'server' ? null : approving}
            busy={busy === 'approve'}
            onYes={() => void approve(approving === 'server' ? null : approving)}
            onNo={() => setApproving(null)}
          />
        )}
      </Dialog>
    </Pane>
  );
}

/** All of what is agreed to, and what agreeing means. */
function Approval({
  server,
  tool,
  busy,
  onYes,
  onNo,
}: {
  server: McpServer;
  tool: McpTool | null;
  busy: boolean;
  onYes(): void;
  onNo(): void;
}) {
  const tools = tool ? [tool] : server.tools.filter((one) => one.approval !== 'approved');
  return (
    <div className="space-y-3 text-sm">
      {!tool && (
        <>
          <p className="text-ink-2">
            {server.transport === 'stdio'
              ? 'This program is started with your rights on this machine, now and whenever one of its tools is called. All of it:'
              : 'This URL is asked for its tools now, and called whenever one of them is. It is told what the call says.'}
          </p>
          <CodeBlock label={server.transport === 'stdio' ? 'Program' : 'URL'} text={server.target} />
          <Facts>
            <Fact name="Tools">
              {server.tools.length === 0
                ? 'Those it has when it is first started. Any that change later are not called until you approve them again.'
                : `${formatCount(tools.length)} to approve, of ${formatCount(server.tools.length)}. What they say of themselves:`}
            </Fact>
          </Facts>
        </>
      )}
      {tools.map((one) => (
        <section key={one.name} aria-label={one.name} className="space-y-1">
          <h3 className="foreign font-medium text-xs">{one.route}</h3>
          {one.before ? (
            <Changes before={definitionText(one.before)} after={definitionText(one)} />
          ) : (
            <CodeBlock label={`Definition of ${one.name}`} text={definitionText(one)} />
          )}
        </section>
      ))}
      <div className="flex justify-end gap-2 pt-1">
        <Button onClick={onNo}>Cancel</Button>
        <Button tone="primary" icon={ShieldCheck} busy={busy} onClick={onYes}>
          Approve
        </Button>
      </div>
    </div>
  );
}
