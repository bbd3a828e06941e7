import { Check, Copy } from 'lucide-react';
import { useState } from 'react';
import { IconButton } from './Button.tsx';

/** Puts text on the clipboard; false where the browser refuses. */
export async function copyText(text: string): Promise<boolean> {
  return await navigator.clipboard.writeText(text).then(
    () => true,
    () => false,
  );
}

export function CopyButton({ text, label = 'Copy' }: { text: string | (() => string); label?: string }) {
  const [done, setDone] = useState(false);
  return (
    <IconButton
      label={done ? 'Copied' : label}
      icon={done ? Check : Copy}
      onClick={async () => {
        if (!(await copyText(typeof text === 'string' ? text : text()))) return;
        setDone(true);
        setTimeout(() => setDone(false), 1500);
      }}
    />
  );
}

/** Text in fixed width, exactly as it is, with a copy button. */
export function CodeBlock({ text, label, wrap = true }: { text: string; label: string; wrap?: boolean }) {
  return (
    <div className="group relative min-h-0 rounded-md bg-raised">
      <div className="absolute top-1 right-1 opacity-0 transition-opacity focus-within:opacity-100 group-hover:opacity-100">
        <CopyButton text={text} />
      </div>
      <section
        aria-label={label}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        tabIndex={0}
        className="max-h-full overflow-auto p-3 pr-10"
      >
        <pre className={`font-mono text-xs leading-5 ${wrap ? 'foreign whitespace-pre-wrap' : ''}`}>{text}</pre>
      </section>
    </div>
  );
}
