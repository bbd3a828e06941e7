import { X } from 'lucide-react';
import { AlertDialog, Dialog as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { useRef } from 'react';
import { useUi } from '../ui.ts';
import { Button, IconButton } from './Button.tsx';

const veil = 'fixed inset-0 z-40 bg-black/25 animate-fade';
const sheet =
  'fixed left-1/2 z-50 flex max-h-[min(80vh,44rem)] -translate-x-1/2 flex-col overflow-hidden rounded-xl bg-overlay shadow-pop animate-fade outline-none';

/** A modal dialog with a title; Esc and a press outside close it. */
export function Dialog({
  open,
  onClose,
  title,
  description,
  children,
  width = 560,
}: {
  open: boolean;
  onClose(): void;
  title: string;
  description?: string;
  children: ReactNode;
  width?: number;
}) {
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className={veil} />
        <Radix.Content
          className={`${sheet} top-[12vh]`}
          style={{ width: `min(${width}px, calc(100vw - 32px))` }}
          aria-describedby={undefined}
          onOpenAutoFocus={(event) => {
            // The sheet itself, so that no hint opens over it; Tab goes on from there.
            event.preventDefault();
            (event.currentTarget as HTMLElement).focus();
          }}
        >
          <header className="flex items-center justify-between gap-4 px-4 pt-3 pb-2">
            <Radix.Title className="font-semibold text-base">{title}</Radix.Title>
            <Radix.Close asChild>
              <IconButton label="Close" icon={X} />
            </Radix.Close>
          </header>
          {description && <p className="px-4 pb-2 text-ink-2 text-sm">{description}</p>}
          <div className="min-h-0 scroll-py-2 overflow-auto px-4 pt-0.5 pb-4">{children}</div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

/** The one question on screen, asked with `ask` of ui.ts. */
export function QuestionDialog() {
  const question = useUi((ui) => ui.question);
  // Kept while it fades, so that the words do not vanish before the sheet.
  const last = useRef(question);
  if (question) last.current = question;
  const shown = question ?? last.current;
  return (
    <AlertDialog.Root open={question !== null} onOpenChange={(open) => !open && question?.answer(false)}>
      {shown && (
        <AlertDialog.Portal>
          <AlertDialog.Overlay className={veil} />
          <AlertDialog.Content className={`${sheet} top-[22vh] w-[min(440px,calc(100vw-32px))] gap-2 p-5`}>
            <AlertDialog.Title className="font-semibold text-base">{shown.title}</AlertDialog.Title>
            <AlertDialog.Description className="foreign text-ink-2 text-sm">{shown.body}</AlertDialog.Description>
            <div className="mt-3 flex justify-end gap-2">
              <AlertDialog.Cancel asChild>
                <Button>{shown.keep ?? 'Cancel'}</Button>
              </AlertDialog.Cancel>
              <AlertDialog.Action asChild>
                <Button tone={shown.tone === 'danger' ? 'danger' : 'primary'} onClick={() => shown.answer(true)}>
                  {shown.action}
                </Button>
              </AlertDialog.Action>
            </div>
          </AlertDialog.Content>
        </AlertDialog.Portal>
      )}
    </AlertDialog.Root>
  );
}
