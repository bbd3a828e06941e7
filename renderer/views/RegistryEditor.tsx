import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { type Diagnostic, lintGutter, setDiagnostics } from '@codemirror/lint';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { EditorState } from '@codemirror/state';
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { useEffect, useRef, useState } from 'react';
import type { OutputOf } from '../../shared/contract.ts';
import type { WireError } from '../../shared/errors.ts';
import type { RegistryProblem } from '../../shared/model.ts';
import { type Checked, type Checks, createChecks } from '../checks.ts';
import { useFront, useLive, useOperation, wireOf } from '../core.ts';
import { Button } from '../parts/Button.tsx';
import { KeyHint } from '../parts/KeyHint.tsx';
import { ErrorState, LoadingState } from '../parts/States.tsx';
import { Badge } from '../parts/Status.tsx';
import { ask, toast, useUi } from '../ui.ts';

type Check = OutputOf<'OS.registry.check'>;

/** The registry file: problems at their line, and before saving which of the past requests would go elsewhere. */
export function RegistryEditor() {
  const registry = useOperation('OS.registry', {}, { staleMs: Number.POSITIVE_INFINITY });
  if (registry.error) {
    return (
      <div className="p-4">
        <ErrorState error={wireOf(registry.error)} retry={() => void registry.refetch()} />
      </div>
    );
  }
  if (!registry.data) return <LoadingState what="Reading the registry" />;
  return <Editor onDisk={registry.data.text} revision={registry.data.revision} />;
}

function Editor({ onDisk, revision }: { onDisk: string; revision: string }) {
  const front = useFront();
  const served = useLive('registry');
  const selected = useUi((ui) => ui.item);
  const routes = useLive('routes');
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  // What this edit started from: a file changed meanwhile is a conflict, shown, never overwritten. `replaced` is the revision
  // that was saved over and may still be the newest this window has heard of.
  const [base, setBase] = useState<{ text: string; revision: string; replaced: string | null }>({ text: onDisk, revision, replaced: null });
  const [text, setText] = useState(onDisk);
  const [checked, setChecked] = useState<Checked<Check> | null>(null);
  const checks = useRef<Checks<Check> | null>(null);
  const [saving, setSaving] = useState(false);
  const [failure, setFailure] = useState<WireError | null>(null);
  const changed = text !== base.text;
  const changedOnDisk = revision !== base.revision && revision !== base.replaced;

  const load = (next: { text: string; revision: string }) => {
    setBase({ ...next, replaced: null });
    setText(next.text);
    setFailure(null);
    const editor = view.current;
    if (editor && editor.state.doc.toString() !== next.text)
      editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: next.text } });
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: the editor owns its text once it is made
  useEffect(() => {
    // Inside a shadow root CodeMirror adopts constructed style sheets; in the page it would write <style>, which the CSP forbids.
    const root = host.current!.shadowRoot ?? host.current!.attachShadow({ mode: 'open' });
    const editor = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: base.text,
        extensions: [
          lineNumbers(),
          highlightActiveLine(),
          highlightActiveLineGutter(),
          highlightSelectionMatches(),
          history(),
          drawSelection(),
          search({ top: true }),
          lintGutter(),
          yaml(),
          syntaxHighlighting(colours),
          look,
          EditorView.contentAttributes.of({
            'aria-label': 'Registry file',
            'aria-description': 'Tab indents; Escape, then Tab leaves the editor',
            tabindex: '0',
          }),
          keymap.of([
            {
              key: 'Mod-s',
              run: () => {
                document.querySelector<HTMLButtonElement>('[data-save-registry]')?.click();
                return true;
              },
            },
            ...defaultKeymap,
            ...historyKeymap,
            ...searchKeymap,
            indentWithTab,
          ]),
          EditorView.updateListener.of((update) => update.docChanged && setText(update.state.doc.toString())),
        ],
      }),
    });
    view.current = editor;
    const line = routes?.find(({ name }) => name === selected)?.line;
    if (line) goToLine(editor, line);
    return () => editor.destroy();
  }, []);

  // Nothing was typed here: what somebody else wrote is simply shown.
  useEffect(() => {
    if (changedOnDisk && !changed) load({ text: onDisk, revision });
  });

  useEffect(() => {
    const made = createChecks<Check>({
      check: (asked, compare) => front.operate('OS.registry.check', { text: asked, compare }),
      onChecked(next) {
        setChecked(next);
        const editor = view.current;
        if (editor)
          editor.dispatch(
            setDiagnostics(
              editor.state,
              next.found.problems.map((problem) => diagnostic(editor.state, problem)),
            ),
          );
      },
      onFailed: (caught) => setFailure(wireOf(caught)),
    });
    checks.current = made;
    return () => made[Symbol.dispose]();
  }, [front]);

  useEffect(() => checks.current?.changed(text), [text]);

  const problems = checked?.found.problems ?? served?.problems ?? [];
  const errors = problems.filter(isError);
  const compared = changed && checked?.compared && checked.text === text ? checked.found : null;

  const save = async () => {
    setSaving(true);
    setFailure(null);
    try {
      const { text: wanted, found } = await checks.current!.compare();
      if (!found.problems.some(isError) && (await agreed(found))) {
        const saved = await front.operate('OS.registry.save', { text: wanted, revision: base.revision });
        setBase({ text: wanted, revision: saved.revision, replaced: revision });
        toast('ok', 'Registry saved', `${saved.state.services} services and ${saved.state.rules} rules serve now.`);
      }
    } catch (caught) {
      setFailure(wireOf(caught));
    }
    setSaving(false);
  };

  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="flex flex-wrap items-center gap-3 border-b px-4 py-2">
        <code className="foreign min-w-0 flex-1 truncate font-mono text-2xs text-ink-3">{served?.file}</code>
        <span aria-hidden className="hidden items-center gap-1 text-2xs text-ink-3 md:flex">
          <KeyHint keys="esc" /> <KeyHint keys="tab" /> leaves the editor
        </span>
        {changed && <Badge tone="accent">not saved</Badge>}
        {compared && compared.differs.length > 0 && (
          <Badge tone="warn" title={compared.differs.map(otherWay).join('\n')}>
            {compared.differs.length} of {compared.considered} past requests would go elsewhere
          </Badge>
        )}
        {changed && (
          <Button size="sm" onClick={() => load({ text: onDisk, revision })}>
            Discard
          </Button>
        )}
        <Button
          size="sm"
          tone="primary"
          data-save-registry
          busy={saving}
          disabled={!changed || errors.length > 0 || changedOnDisk}
          onClick={save}
          keys="mod+s"
        >
          Save
        </Button>
      </div>
      {changed && changedOnDisk && (
        <div className="flex items-center gap-3 border-b bg-warn-soft px-4 py-2 text-sm text-warn-ink">
          <span className="flex-1">The file was changed on disk while you were typing. Copy what you need, then load it again.</span>
          <Button size="sm" onClick={() => load({ text: onDisk, revision })}>
            Load from disk
          </Button>
        </div>
      )}
      {failure && (
        <div className="border-b p-3">
          <ErrorState error={failure} compact />
        </div>
      )}
      <div ref={host} className="min-h-0 flex-1 overflow-hidden" />
      {problems.length > 0 && (
        <section aria-label="Problems" className="max-h-40 shrink-0 overflow-auto border-t bg-canvas">
          <ul>
            {problems.slice(0, 100).map((problem) => (
              <li key={`${problem.line}:${problem.column}:${problem.message}`}>
                <button
                  type="button"
                  onClick={() => view.current && goToLine(view.current, problem.line, problem.column)}
                  className="flex w-full items-baseline gap-3 px-4 py-1 text-left text-xs hover:bg-raised"
                >
                  <span className={`w-20 shrink-0 ${problem.severity === 'error' ? 'text-bad-ink' : 'text-warn-ink'}`}>
                    line {problem.line}:{problem.column}
                  </span>
                  <span className="foreign min-w-0 flex-1">
                    {problem.message}
                    {problem.hint && <span className="text-ink-3"> {problem.hint}</span>}
                  </span>
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

const isError = (problem: RegistryProblem) => problem.severity === 'error';

const otherWay = ({ text, before, after }: Check['differs'][number]) =>
  `${text.length > 60 ? `${text.slice(0, 60)}…` : text}: ${before ?? 'nobody'} → ${after ?? 'nobody'}`;

/** Whether to save, asked only where past requests would go elsewhere. */
async function agreed({ differs, considered }: Check): Promise<boolean> {
  if (differs.length === 0) return true;
  return ask({
    title: `${differs.length} of ${considered} past requests would go elsewhere`,
    body: `${differs.slice(0, 5).map(otherWay).join('; ')}${differs.length > 5 ? `; and ${differs.length - 5} more` : ''}.`,
    action: 'Save anyway',
    tone: 'primary',
  });
}

function goToLine(editor: EditorView, line: number, column = 1): void {
  const at = editor.state.doc.line(Math.min(Math.max(1, line), editor.state.doc.lines));
  const position = Math.min(at.to, at.from + column - 1);
  editor.dispatch({ selection: { anchor: position }, effects: EditorView.scrollIntoView(position, { y: 'center' }) });
  editor.focus();
}

function diagnostic(state: EditorState, { line, column, message, hint, severity }: RegistryProblem): Diagnostic {
  const at = state.doc.line(Math.min(Math.max(1, line), state.doc.lines));
  const from = Math.min(at.to, at.from + column - 1);
  return { from, to: Math.max(from, at.to), severity, message: hint ? `${message} ${hint}` : message };
}

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--color-accent-ink)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--color-ok-ink)' },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: 'var(--color-warn-ink)' },
  { tag: tags.comment, color: 'var(--color-ink-3)' },
  { tag: [tags.punctuation, tags.separator], color: 'var(--color-ink-3)' },
  { tag: tags.invalid, color: 'var(--color-bad-ink)' },
]);

const look = EditorView.theme({
  '&': { height: '100%', fontSize: '12px', backgroundColor: 'var(--color-surface)', color: 'var(--color-ink)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--font-mono)', lineHeight: '20px' },
  '.cm-content': { caretColor: 'var(--color-ink)' },
  '.cm-cursor': { borderLeftColor: 'var(--color-ink)' },
  '.cm-gutters': { backgroundColor: 'var(--color-surface)', color: 'var(--color-ink-3)', borderRight: '1px solid var(--color-line)' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in oklch, var(--color-accent) 6%, transparent)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in oklch, var(--color-accent) 28%, transparent)',
  },
  '.cm-selectionMatch': { backgroundColor: 'color-mix(in oklch, var(--color-warn) 22%, transparent)' },
  '.cm-panels': { backgroundColor: 'var(--color-canvas)', color: 'var(--color-ink)', borderBottom: '1px solid var(--color-line)' },
  '.cm-tooltip': {
    backgroundColor: 'var(--color-overlay)',
    color: 'var(--color-ink)',
    border: '1px solid var(--color-line)',
    borderRadius: '6px',
  },
});
