import { Blocks, Plus } from 'lucide-react';
import type { FormEvent } from 'react';
import { useState } from 'react';
import type { InputOf } from '../../../shared/contract.ts';
import type { WireError } from '../../../shared/errors.ts';
import type { McpServer } from '../../../shared/model.ts';
import { useFront, useLive, wireOf } from '../../core.ts';
import { formatCount } from '../../format.ts';
import { Button } from '../../parts/Button.tsx';
import { Chips, TextField } from '../../parts/Field.tsx';
import { Pane } from '../../parts/Panel.tsx';
import { EmptyState, ErrorState, LoadingState } from '../../parts/States.tsx';
import { Badge } from '../../parts/Status.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { openQueue, toast } from '../../ui.ts';
import { argvOf } from './argv.ts';
import { McpPane, McpStateMark } from './McpPane.tsx';

/** What stands in the address while a server is added; no server can have this name. */
const ADD = '+';

/** Servers of the Model Context Protocol: what they are, what may be called of them, and who said so. */
export function Mcp({ open }: { open: string | null }) {
  const servers = useLive('mcp');
  if (!servers) return <LoadingState what="Reading the MCP servers" />;
  const server = servers.find((one) => one.name === open);
  const add = (
    <Button size="sm" icon={Plus} onClick={() => openQueue('mcp', ADD)}>
      Add a server
    </Button>
  );
  return (
    <div className="flex min-h-0 flex-1">
      <div className={`min-w-0 flex-1 flex-col ${open ? 'hidden lg:flex' : 'flex'}`}>
        <div className="flex shrink-0 items-center justify-between gap-3 border-b px-4 py-2">
          <p className="min-w-0 py-1 text-ink-3 text-xs">Nothing is started before you have seen it and approved it.</p>
          {servers.length > 0 && add}
        </div>
        <div className="min-h-0 flex-1">
          <Table
            label="MCP servers"
            columns={columns}
            rows={servers}
            rowKey={(one) => one.name}
            selected={open}
            onSelect={(one) => openQueue('mcp', one.name)}
            plainKeys
            empty={
              <EmptyState icon={Blocks} title="No MCP server is declared" action={add}>
                The tools of a server become routes, MCP.server.tool, with the same limits and the same record as everything else.
              </EmptyState>
            }
          />
        </div>
      </div>
      {open === ADD ? (
        <Pane label="Add a server" title="Add an MCP server" closeLabel="Close the form" onClose={() => openQueue('mcp')}>
          <AddServer />
        </Pane>
      ) : server ? (
        <McpPane key={server.name} server={server} />
      ) : (
        open !== null && (
          <Pane label="MCP server" title={open} closeLabel="Close server" onClose={() => openQueue('mcp')}>
            <EmptyState icon={Blocks} title="There is no server of this name">
              It may have been taken out of the registry.
            </EmptyState>
          </Pane>
        )
      )}
    </div>
  );
}

const columns: readonly Column<McpServer>[] = [
  { id: 'state', label: 'State', width: '7.5rem', cell: (one) => <McpStateMark state={one.state} /> },
  { id: 'name', label: 'Server', width: 'minmax(6rem,1fr)', cell: (one) => <span className="font-medium">{one.name}</span> },
  {
    id: 'target',
    label: 'Program or URL',
    width: 'minmax(0,3fr)',
    hideBelow: 520,
    cell: (one) => (
      <span className="font-mono text-ink-2 text-xs" title={one.target}>
        {one.target}
      </span>
    ),
  },
  {
    id: 'tools',
    label: 'Tools',
    width: '8rem',
    align: 'right',
    cell: (one) => <ToolCount server={one} />,
  },
];

function ToolCount({ server }: { server: McpServer }) {
  const open = server.tools.filter((tool) => tool.approval !== 'approved').length;
  return (
    <span className="inline-flex items-center gap-2 text-ink-2 text-xs">
      {open > 0 && <Badge tone="warn">{formatCount(open)} to approve</Badge>}
      {formatCount(server.tools.length)}
    </span>
  );
}

type Egress = NonNullable<InputOf<'OS.mcp.add'>['egress']>;
const reaches: readonly { value: Egress; label: string }[] = [
  { value: 'local', label: 'This machine' },
  { value: 'lan', label: 'Local network' },
  { value: 'remote', label: 'Internet' },
];

function AddServer() {
  const front = useFront();
  const [name, setName] = useState('');
  const [kind, setKind] = useState<'command' | 'url'>('command');
  const [command, setCommand] = useState('');
  const [url, setUrl] = useState('');
  const [egress, setEgress] = useState<Egress>('local');
  const [failure, setFailure] = useState<WireError | null>(null);
  const [busy, setBusy] = useState(false);
  const argv = argvOf(command);
  const ready = name.trim() !== '' && (kind === 'url' ? url.trim() !== '' : argv !== null && argv.length > 0);
  const add = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    await front
      .operate('OS.mcp.add', { name: name.trim(), egress, ...(kind === 'url' ? { url: url.trim() } : { command: argv ?? [] }) })
      .then(
        ({ server }) => {
          toast('ok', `${server.name} is in the registry`, 'It is started once you approve it.');
          openQueue('mcp', server.name);
        },
        (caught) => setFailure(wireOf(caught)),
      );
    setBusy(false);
  };
  return (
    <form onSubmit={add} className="space-y-4 p-4">
      <TextField label="Name" value={name} onChange={setName} required placeholder="files" hint="Its tools are MCP.name.tool." />
      <Chips<'command' | 'url'>
        label="Kind of server"
        value={kind}
        onChange={setKind}
        options={[
          { value: 'command', label: 'A program here' },
          { value: 'url', label: 'A URL' },
        ]}
      />
      {kind === 'command' ? (
        <div className="space-y-2">
          <TextField
            label="Command"
            mono
            rows={4}
            value={command}
            onChange={setCommand}
            placeholder="npx -y @modelcontextprotocol/server-filesystem /home/me/notes"
            hint="On one line, or one argument a line. No shell reads it."
          />
          {argv === null ? (
            <p role="alert" className="text-bad-ink text-xs">
              A quote is not closed.
            </p>
          ) : (
            argv.length > 0 && (
              <ol aria-label="Arguments" className="flex flex-wrap gap-1">
                {argv.map((argument, index) => (
                  <li
                    // biome-ignore lint/suspicious/noArrayIndexKey: an argument is what stands at its place
                    key={index}
                    className="selectable max-w-full break-all rounded-sm bg-raised px-1.5 py-0.5 font-mono text-2xs"
                  >
                    {argument === '' ? '(empty)' : argument}
                  </li>
                ))}
              </ol>
            )
          )}
        </div>
      ) : (
        <TextField label="URL" mono value={url} onChange={setUrl} placeholder="http://127.0.0.1:3001/mcp" />
      )}
      <div className="space-y-1">
        <span className="block font-medium text-2xs text-ink-2">What it reaches</span>
        <Chips<Egress> label="What it reaches" value={egress} onChange={setEgress} options={reaches} />
        <p className="text-2xs text-ink-3">While sovereign is on, what reaches the internet is not called.</p>
      </div>
      {failure && <ErrorState error={failure} compact />}
      <Button type="submit" tone="primary" busy={busy} disabled={!ready}>
        Add to the registry
      </Button>
    </form>
  );
}
