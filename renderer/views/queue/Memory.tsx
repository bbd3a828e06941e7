import { Brain, Plus, Trash2 } from 'lucide-react';
import type { FormEvent } from 'react';
import { useState } from 'react';
import type { WireError } from '../../../shared/errors.ts';
import { toastError } from '../../actions.ts';
import { type Memory as Item, useFront, useMemories, useMemory, wireOf } from '../../core.ts';
import { formatCount, formatExact } from '../../format.ts';
import { Button } from '../../parts/Button.tsx';
import { CopyButton } from '../../parts/CodeBlock.tsx';
import { Chips, PickChip, SearchField, TextField } from '../../parts/Field.tsx';
import { Fact, Facts, Pane } from '../../parts/Panel.tsx';
import { EmptyState, ErrorState, LoadingState } from '../../parts/States.tsx';
import { Badge } from '../../parts/Status.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Values.tsx';
import { ask, openQueue, toast, useUi } from '../../ui.ts';

/** What stands in the address while a text is written. */
const WRITE = '+';

interface Filter {
  q: string;
  namespace: string | null;
  tag: string | null;
}
const initial: Filter = { q: '', namespace: null, tag: null };

/** What you had kept: found by its words, its namespace and its tags. Everybody sees only their own. */
export function Memory({ open }: { open: string | null }) {
  const kept = useUi((ui) => ui.filters.memory) as Filter | undefined;
  const setFilter = useUi((ui) => ui.setFilter);
  const filter = { ...initial, ...kept };
  const change = (next: Partial<Filter>) => setFilter('memory', { ...filter, ...next });
  // Each search is a call with a record, so it waits for Enter.
  const [typed, setTyped] = useState(filter.q);
  const query = useMemories(filter);
  const rows = query.data?.items ?? [];
  const namespaces = query.data?.namespaces.map((one) => one.namespace) ?? [];
  const total = query.data?.namespaces.reduce((sum, one) => sum + one.count, 0) ?? 0;
  const filtered = filter.q !== '' || filter.namespace !== null || filter.tag !== null;
  const write = (
    <Button size="sm" icon={Plus} onClick={() => openQueue('memory', WRITE)}>
      Write
    </Button>
  );
  return (
    <div className="flex min-h-0 flex-1">
      <div className={`min-w-0 flex-1 flex-col ${open ? 'hidden lg:flex' : 'flex'}`}>
        <div className="flex shrink-0 flex-wrap items-center gap-x-3 gap-y-1.5 border-b px-4 py-2">
          <SearchField
            label="Search the memory"
            placeholder="Words, then Enter"
            value={typed}
            onChange={(next) => {
              setTyped(next);
              if (next === '') change({ q: '' });
            }}
            onEnter={() => change({ q: typed.trim() })}
          />
          {(namespaces.length > 0 || filter.namespace !== null) && (
            <PickChip label="Namespace" value={filter.namespace} options={namespaces} onChange={(namespace) => change({ namespace })} />
          )}
          {filter.tag !== null && (
            <Chips
              label="Tag"
              value={filter.tag}
              options={[{ value: filter.tag, label: `#${filter.tag} ×` }]}
              onChange={() => change({ tag: null })}
            />
          )}
          <span className="ml-auto flex items-center gap-3 text-ink-3 text-xs">
            {total > 0 && `${formatCount(total)} kept`}
            {write}
          </span>
        </div>
        <div className="min-h-0 flex-1">
          {query.isError ? (
            <div className="p-4">
              <ErrorState error={wireOf(query.error)} retry={() => void query.refetch()} />
            </div>
          ) : !query.data ? (
            <LoadingState what="Reading the memory" />
          ) : (
            <Table
              label="Memory"
              columns={columns}
              rows={rows}
              total={rows.length + Number(query.hasNextPage)}
              rowKey={(one) => one.id}
              selected={open}
              onSelect={(one) => openQueue('memory', one.id)}
              onNeed={() => !query.isFetchingNextPage && void query.fetchNextPage()}
              plainKeys
              empty={
                <EmptyState
                  icon={Brain}
                  title={filtered ? 'No kept text fits' : 'Nothing is kept yet'}
                  action={
                    filtered ? (
                      <Button
                        size="sm"
                        onClick={() => {
                          setTyped('');
                          change(initial);
                        }}
                      >
                        Show all
                      </Button>
                    ) : (
                      write
                    )
                  }
                >
                  {!filtered && 'Say “remember that …” anywhere, call OS.memory.write, or write one here.'}
                </EmptyState>
              }
            />
          )}
        </div>
      </div>
      {open === WRITE ? (
        <Pane label="Write" title="Keep a text" closeLabel="Close the form" onClose={() => openQueue('memory')}>
          <Write namespace={filter.namespace} />
        </Pane>
      ) : (
        open !== null && <Text key={open} id={open} listed={rows.find((one) => one.id === open)} onTag={(tag) => change({ tag })} />
      )}
    </div>
  );
}

const columns: readonly Column<Item>[] = [
  {
    id: 'text',
    label: 'Text',
    width: 'minmax(0,3fr)',
    cell: (one) => (
      <bdi className="block truncate text-left" title={one.text.slice(0, 500)}>
        {one.text.slice(0, 300)}
      </bdi>
    ),
  },
  {
    id: 'tags',
    label: 'Tags',
    width: 'minmax(0,1fr)',
    hideBelow: 620,
    cell: (one) => (
      <span className="flex gap-1 overflow-hidden">
        {one.tags.map((tag) => (
          <Badge key={tag}>{tag}</Badge>
        ))}
      </span>
    ),
  },
  {
    id: 'namespace',
    label: 'Namespace',
    width: '7rem',
    hideBelow: 480,
    cell: (one) => <span className="text-ink-2 text-xs">{one.namespace}</span>,
  },
  {
    id: 'age',
    label: 'Age',
    width: '4.75rem',
    align: 'right',
    cell: (one) => (
      <span className="text-ink-3 text-xs">
        <Time at={one.at} />
      </span>
    ),
  },
];

function Text({ id, listed, onTag }: { id: string; listed: Item | undefined; onTag(tag: string): void }) {
  const front = useFront();
  const whole = useMemory(id, listed === undefined || listed.text.length < listed.textLength);
  const item = whole.data ?? listed;
  const remove = async () => {
    const yes = await ask({
      title: 'Forget this text?',
      body: 'It is deleted. This cannot be undone.',
      action: 'Delete',
      tone: 'danger',
    });
    if (!yes) return;
    await front.remember({ route: 'OS.memory.delete', params: { id } }).then(
      () => {
        toast('ok', 'Forgotten');
        openQueue('memory');
      },
      (caught) => toastError('It was not deleted', caught),
    );
  };
  return (
    <Pane
      label="Kept text"
      title="Kept text"
      closeLabel="Close text"
      onClose={() => openQueue('memory')}
      aside={
        item && (
          <Button size="sm" icon={Trash2} onClick={() => void remove()}>
            Delete
          </Button>
        )
      }
    >
      {whole.isError && !item ? (
        <div className="p-4">
          <ErrorState error={wireOf(whole.error)} />
        </div>
      ) : !item ? (
        <LoadingState what="Reading the text" />
      ) : (
        <>
          <p dir="auto" className="foreign whitespace-pre-wrap p-4 text-base">
            {item.text}
          </p>
          <div className="space-y-3 p-4">
            {item.tags.length > 0 && (
              <div className="flex flex-wrap gap-1">
                {item.tags.map((tag) => (
                  <button
                    key={tag}
                    type="button"
                    title="Show all with this tag"
                    onClick={() => onTag(tag)}
                    className="rounded-sm hover:brightness-95"
                  >
                    <Badge>#{tag}</Badge>
                  </button>
                ))}
              </div>
            )}
            <Facts>
              <Fact name="Namespace">{item.namespace}</Fact>
              <Fact name="Kept">
                <Time at={item.at} /> <span className="text-ink-3">{formatExact(item.at)}</span>
              </Fact>
              <Fact name="Length">{formatCount(item.textLength)} characters</Fact>
              <Fact name="Id" mono>
                <span className="flex items-center gap-1">
                  {item.id}
                  <span className="-my-1.5">
                    <CopyButton text={item.id} label="Copy id" />
                  </span>
                </span>
              </Fact>
            </Facts>
          </div>
        </>
      )}
    </Pane>
  );
}

function Write({ namespace: suggested }: { namespace: string | null }) {
  const front = useFront();
  const [text, setText] = useState('');
  const [namespace, setNamespace] = useState(suggested ?? 'default');
  const [tags, setTags] = useState('');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<WireError | null>(null);
  const write = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    const labels = tags
      .split(',')
      .map((tag) => tag.trim())
      .filter((tag) => tag !== '');
    await front.remember({ route: 'OS.memory.write', params: { text, namespace: namespace.trim() || 'default', tags: labels } }).then(
      (id) => {
        toast('ok', 'Kept');
        openQueue('memory', id);
      },
      (caught) => setFailure(wireOf(caught)),
    );
    setBusy(false);
  };
  return (
    <form onSubmit={write} className="space-y-4 p-4">
      <TextField label="Text" rows={6} required value={text} onChange={setText} placeholder="What is worth keeping" />
      <TextField label="Namespace" value={namespace} onChange={setNamespace} hint="Letters, digits, dot, dash and underscore." />
      <TextField label="Tags" value={tags} onChange={setTags} placeholder="places, facts" hint="With commas between them." />
      {failure && <ErrorState error={failure} compact />}
      <Button type="submit" tone="primary" busy={busy} disabled={text.trim() === ''}>
        Keep it
      </Button>
    </form>
  );
}
