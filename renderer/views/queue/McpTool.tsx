import { ChevronRight, Play } from 'lucide-react';
import type { FormEvent } from 'react';
import { useState } from 'react';
import type { McpTool } from '../../../shared/model.ts';
import { useFront, useRun } from '../../core.ts';
import { Button } from '../../parts/Button.tsx';
import { CodeBlock } from '../../parts/CodeBlock.tsx';
import { TextField } from '../../parts/Field.tsx';
import { ErrorState, Sweep } from '../../parts/States.tsx';
import { Badge } from '../../parts/Status.tsx';
import type { Tone } from '../../parts/tone.ts';
import { Duration } from '../../parts/Values.tsx';
import { openQueue } from '../../ui.ts';
import { Answer } from '../Answer.tsx';
import { diffOf } from './diff.ts';
import { sampleOf } from './sample.ts';

const approvals: Record<McpTool['approval'], { word: string; tone: Tone }> = {
  approved: { word: 'approved', tone: 'ok' },
  changed: { word: 'changed since', tone: 'warn' },
  new: { word: 'new', tone: 'accent' },
};

/** What a tool says of itself, as it is compared and approved. */
export function definitionText({ description, inputSchema }: Pick<McpTool, 'description' | 'inputSchema'>): string {
  return `${description ?? '(no description)'}\n\n${JSON.stringify(inputSchema, null, 2) ?? 'null'}`;
}

export function ToolLine({ tool, onApprove }: { tool: McpTool; onApprove(): void }) {
  const [open, setOpen] = useState(false);
  const { word, tone } = approvals[tool.approval];
  return (
    <li className="py-1">
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="-mx-1.5 flex min-h-8 w-[calc(100%+12px)] items-center gap-2 rounded-md px-1.5 py-1 text-left text-xs hover:bg-raised"
      >
        <ChevronRight aria-hidden className={`size-3.5 shrink-0 text-ink-3 transition-transform duration-100 ${open ? 'rotate-90' : ''}`} />
        <span className="min-w-0 flex-1">
          <span className="foreign block truncate font-medium">{tool.name}</span>
          {!open && tool.description && <span className="foreign block truncate text-ink-3">{tool.description}</span>}
        </span>
        <Badge tone={tone}>{word}</Badge>
      </button>
      {open && (
        <div className="space-y-3 py-2 pl-5">
          <code className="selectable block break-all font-mono text-2xs text-ink-2">{tool.route}</code>
          {tool.before ? (
            <Changes before={definitionText(tool.before)} after={definitionText(tool)} />
          ) : (
            <>
              {tool.description && <p className="foreign whitespace-pre-wrap text-xs">{tool.description}</p>}
              <CodeBlock label={`Schema of ${tool.name}`} text={JSON.stringify(tool.inputSchema, null, 2) ?? 'null'} />
            </>
          )}
          {tool.approval === 'approved' ? (
            <TryIt tool={tool} />
          ) : (
            <div className="space-y-2">
              <p className="text-ink-2 text-xs">
                {tool.approval === 'changed'
                  ? 'It is not what was approved, so it is not called until you approve it again.'
                  : 'It is not called until you approve it.'}
              </p>
              <Button size="sm" onClick={onApprove}>
                {tool.approval === 'changed' ? 'Approve again' : 'Approve'}
              </Button>
            </div>
          )}
        </div>
      )}
    </li>
  );
}

const lineColours = { same: 'text-ink-2', gone: 'bg-bad-soft text-bad-ink', new: 'bg-ok-soft text-ok-ink' };
const lineSigns = { same: ' ', gone: '−', new: '+' };
const lineWords = { same: '', gone: 'Before: ', new: 'Now: ' };

/** What was approved against what it is now. */
export function Changes({ before, after }: { before: string; after: string }) {
  return (
    <section aria-label="What changed" className="selectable overflow-hidden rounded-md bg-raised py-1 font-mono text-2xs leading-5">
      {diffOf(before, after).map((line, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line is what stands at its place
        <div key={index} className={`flex gap-2 px-2 ${lineColours[line.is]}`}>
          <span aria-hidden className="w-2 shrink-0">
            {lineSigns[line.is]}
          </span>
          <span className="foreign min-w-0 whitespace-pre-wrap">
            <span className="sr-only">{lineWords[line.is]}</span>
            {line.text}
          </span>
        </div>
      ))}
    </section>
  );
}

/** Dispatches the tool with parameters written by hand. */
function TryIt({ tool }: { tool: McpTool }) {
  const front = useFront();
  const [text, setText] = useState(() => JSON.stringify(sampleOf(tool.inputSchema) ?? {}, null, 2));
  const [fault, setFault] = useState<string | null>(null);
  const [id, setId] = useState<number | null>(null);
  const run = useRun(id);
  const busy = run !== null && run.finishedAt === null;
  const dispatch = (event: FormEvent) => {
    event.preventDefault();
    const read = paramsOf(text);
    setFault(typeof read === 'string' ? read : null);
    if (typeof read !== 'string') setId(front.dispatch({ route: tool.route, params: read }));
  };
  const job = run?.accepted?.job ?? run?.crossing?.job ?? null;
  const error = run?.fault ?? run?.crossing?.error ?? null;
  return (
    <form onSubmit={dispatch} className="space-y-2">
      <TextField label={`Params for ${tool.name}`} mono rows={Math.min(10, text.split('\n').length + 1)} value={text} onChange={setText} />
      {fault && (
        <p role="alert" className="text-bad-ink text-xs">
          {fault}
        </p>
      )}
      <div className="flex items-center gap-3 text-ink-3 text-xs">
        <Button type="submit" size="sm" tone="primary" icon={Play} busy={busy}>
          Try it
        </Button>
        {busy && id !== null && (
          <Button size="sm" onClick={() => front.cancel(id)}>
            Stop
          </Button>
        )}
        {run?.crossing && <Duration ms={run.crossing.durationMs} />}
        {job && (
          <button type="button" className="text-accent-ink hover:underline" onClick={() => openQueue('jobs', job)}>
            Open its job
          </button>
        )}
      </div>
      {busy && <Sweep wide />}
      {error && <ErrorState error={error} compact />}
      {run?.crossing?.ok && (
        <div className="flex h-64 flex-col overflow-hidden rounded-md border">
          <Answer result={run.crossing.result} />
        </div>
      )}
    </form>
  );
}

/** The parameters, or what is wrong with the text. */
function paramsOf(text: string): Record<string, unknown> | string {
  try {
    const value: unknown = JSON.parse(text.trim() === '' ? '{}' : text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    return 'Params are a JSON object: {…}.';
  } catch (caught) {
    return `This is not JSON: ${caught instanceof Error ? caught.message : String(caught)}`;
  }
}
