/** What came back, in the shape that shows it best. All of it is text. */
import { useMemo, useState } from 'react';
import { CopyButton } from '../parts/CodeBlock.tsx';
import { JsonTree } from '../parts/JsonTree.tsx';
import { Scroll } from '../parts/Panel.tsx';
import { Table } from '../parts/Table.tsx';
import { type Tab, Tabs } from '../parts/Tabs.tsx';
import { Unknown } from '../parts/Values.tsx';
import { blocksOf, type Shape, type Shaped, shapeOf } from '../shape.ts';

const LONG = 60_000;
const words: Record<Shape, string> = { text: 'Text', table: 'Table', json: 'JSON' };

export function Answer({ result }: { result: unknown }) {
  const shaped = useMemo(() => shapeOf(result), [result]);
  const [picked, setPicked] = useState<Shape | null>(null);
  const value = picked !== null && shaped.shapes.includes(picked) ? picked : shaped.shapes[0]!;
  const tabs = shaped.shapes.map(
    (shape): Tab<Shape> => ({
      id: shape,
      label: shape === 'table' && shaped.table ? `${words.table} (${shaped.table.rows.length})` : words[shape],
      content: <Face shape={shape} shaped={shaped} result={result} />,
    }),
  );
  return (
    <Tabs
      label="Result as"
      tabs={tabs}
      value={value}
      onChange={(shape: Shape) => setPicked(shape)}
      aside={<CopyButton label="Copy result" text={() => (typeof result === 'string' ? result : JSON.stringify(result, null, 2))} />}
    />
  );
}

function Face({ shape, shaped, result }: { shape: Shape; shaped: Shaped; result: unknown }) {
  if (shape === 'text' && shaped.text !== null) return <Prose text={shaped.text} />;
  if (shape === 'table' && shaped.table) return <Rows table={shaped.table} />;
  return (
    <Scroll label="Result as a tree" className="p-4">
      <JsonTree value={result} label="Result" />
    </Scroll>
  );
}

/** Words with their code blocks set apart. `live` text is still coming. */
export function Prose({ text, live = false }: { text: string; live?: boolean }) {
  const [all, setAll] = useState(false);
  const shown = all || text.length <= LONG ? text : text.slice(0, LONG);
  const blocks = useMemo(() => blocksOf(shown), [shown]);
  return (
    <Scroll label="Result as text" className="p-4">
      <div className="max-w-[72ch] space-y-3 text-base leading-6">
        {blocks.map((block, index) =>
          block.kind === 'code' ? (
            // biome-ignore lint/suspicious/noArrayIndexKey: blocks have no other name and only grow
            <pre key={index} className="selectable overflow-x-auto rounded-md bg-raised p-3 font-mono text-xs leading-5">
              {block.text}
            </pre>
          ) : (
            // biome-ignore lint/suspicious/noArrayIndexKey: see above
            <p key={index} dir="auto" className="foreign whitespace-pre-wrap">
              {block.text}
              {live && index === blocks.length - 1 && (
                <span aria-hidden className="ml-0.5 inline-block h-4 w-1.5 translate-y-0.5 animate-breathe rounded-xs bg-accent" />
              )}
            </p>
          ),
        )}
        {text.trim() === '' && !live && <p className="text-ink-3">The answer is empty.</p>}
        {shown.length < text.length && (
          <button type="button" className="text-accent-ink text-sm hover:underline" onClick={() => setAll(true)}>
            Show all {text.length.toLocaleString('en-US')} characters
          </button>
        )}
      </div>
    </Scroll>
  );
}

function Rows({ table }: { table: NonNullable<Shaped['table']> }) {
  const rows = useMemo(() => table.rows.map((row, index) => ({ index, row })), [table]);
  const columns = useMemo(
    () =>
      table.columns.map((name) => {
        const numeric = table.rows.every((row) => row[name] === undefined || row[name] === null || typeof row[name] === 'number');
        const longest = table.rows.slice(0, 50).reduce((most, row) => Math.max(most, String(row[name] ?? '').length), name.length);
        const least = Math.min(16, Math.max(4, longest * 0.5));
        return {
          id: name,
          label: name,
          least,
          width: `minmax(${least}rem, ${Math.min(4, Math.max(1, longest / 8))}fr)`,
          ...(numeric && { align: 'right' as const }),
          cell: ({ row }: (typeof rows)[number]) => <Cell value={row[name]} />,
        };
      }),
    [table],
  );
  return (
    <div className="min-h-0 flex-1">
      <Table
        label="Result as a table"
        columns={columns}
        rows={rows}
        rowKey={({ index }) => String(index)}
        rowHeight={32}
        minWidth={columns.reduce((sum, { least }) => sum + least * 16 + 12, 20)}
      />
    </div>
  );
}

function Cell({ value }: { value: unknown }) {
  if (value === undefined || value === null) return <Unknown what={value === null ? 'null' : 'not there'} />;
  const text = String(value);
  return (
    <bdi className="selectable" title={text.length > 24 ? text : undefined}>
      {text}
    </bdi>
  );
}
