import { CircleAlert, CircleCheck, Info, X } from 'lucide-react';
import { dismissToast, useUi } from '../ui.ts';
import { IconButton } from './Button.tsx';

const icons = { ok: CircleCheck, bad: CircleAlert, info: Info };
const colours = { ok: 'text-ok-ink', bad: 'text-bad-ink', info: 'text-accent-ink' };

/** What was said with `toast` of ui.ts, in the corner, told to screen readers as it comes. */
export function Toasts() {
  const toasts = useUi((ui) => ui.toasts);
  return (
    <section
      aria-label="Notifications"
      aria-live="polite"
      className="pointer-events-none fixed right-4 bottom-4 z-50 flex w-80 flex-col gap-2"
    >
      {toasts.map((toast) => {
        const Icon = icons[toast.tone];
        return (
          <div
            key={toast.id}
            className="pointer-events-auto flex animate-in items-start gap-2.5 rounded-lg bg-overlay py-2.5 pr-2 pl-3 shadow-pop"
          >
            <Icon aria-hidden className={`mt-0.5 size-4 shrink-0 ${colours[toast.tone]}`} />
            <div className="min-w-0 flex-1">
              <p className="foreign font-medium text-sm">{toast.title}</p>
              {toast.detail && <p className="foreign line-clamp-3 text-ink-2 text-xs">{toast.detail}</p>}
            </div>
            <IconButton label="Dismiss" icon={X} className="-my-0.5 size-6" onClick={() => dismissToast(toast.id)} />
          </div>
        );
      })}
    </section>
  );
}
