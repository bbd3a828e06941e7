/** What the palette, the keys and the switch have in common: things to do that belong to no view. */
import { type Front, wireOf } from './core.ts';
import { formatCount, formatDuration } from './format.ts';
import { ask, type Theme, toast, useUi } from './ui.ts';

/** Turns sovereign; turning it off asks first. */
export async function setSovereign(front: Front, on: boolean): Promise<void> {
  if (!on) {
    const yes = await ask({
      title: 'Turn sovereign off?',
      body: 'Routes marked remote may then send requests out of this machine. The change is written to the audit log.',
      action: 'Allow remote routes',
      tone: 'danger',
    });
    if (!yes) return;
  }
  await front.operate('OS.sovereign.set', { on }, on ? {} : { confirm: true }).then(
    () =>
      toast(
        'ok',
        on ? 'Sovereign is on' : 'Sovereign is off',
        on ? 'Remote routes are refused from now on.' : 'Remote routes may be called again.',
      ),
    (caught) => toastError('The switch did not turn', caught),
  );
}

export async function verifyAudit(front: Front): Promise<void> {
  await front.operate('OS.audit.verify', {}).then(
    (report) =>
      report.ok
        ? toast('ok', 'The audit chain is intact', `${formatCount(report.rows)} rows checked in ${formatDuration(report.durationMs)}.`)
        : toast('bad', 'The audit chain is broken', report.fault?.message ?? null),
    (caught) => toastError('The chain was not verified', caught),
  );
}

/** From what is on screen to the other of the two; the system's own choice is a setting of its own. */
export function toggleTheme(): void {
  const { theme } = useUi.getState();
  const dark = theme === 'dark' || (theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
  setTheme(dark ? 'light' : 'dark');
}

export function setTheme(theme: Theme): void {
  useUi.getState().set({ theme });
  toast('info', theme === 'system' ? 'The theme follows the system' : `The theme is ${theme}`);
}

export function toastError(title: string, caught: unknown): void {
  const error = wireOf(caught);
  toast('bad', title, [error.message, error.hint].filter(Boolean).join(' '));
}
