import type { LucideIcon } from 'lucide-react';
import { LoaderCircle } from 'lucide-react';
import { Tooltip } from 'radix-ui';
import type { ComponentProps, ReactNode } from 'react';
import { KeyHint } from './KeyHint.tsx';

type Tone = 'primary' | 'plain' | 'ghost' | 'danger';

const tones: Record<Tone, string> = {
  primary: 'bg-accent text-on-accent hover:bg-accent-strong shadow-card',
  plain: 'bg-surface text-ink hairline shadow-card hover:bg-raised',
  ghost: 'text-ink-2 hover:bg-raised hover:text-ink',
  danger: 'bg-bad-strong text-on-accent hover:brightness-110 shadow-card',
};

interface Props extends Omit<ComponentProps<'button'>, 'children'> {
  children: ReactNode;
  tone?: Tone;
  size?: 'md' | 'sm';
  icon?: LucideIcon;
  /** Something is on its way: the button turns and takes no second press. */
  busy?: boolean;
  keys?: string;
}

/** A button with words. */
export function Button({ children, tone = 'plain', size = 'md', icon: Icon, busy = false, keys, className = '', ...rest }: Props) {
  return (
    <button
      type="button"
      aria-busy={busy || undefined}
      {...rest}
      disabled={rest.disabled || busy}
      className={`inline-flex shrink-0 items-center justify-center gap-1.5 whitespace-nowrap rounded-md font-medium transition-colors duration-100 disabled:opacity-50 ${
        size === 'md' ? 'h-8 px-3 text-sm' : 'h-7 px-2 text-xs'
      } ${tones[tone]} ${className}`}
    >
      {busy ? (
        <LoaderCircle aria-hidden className="size-3.5 animate-spin" />
      ) : (
        Icon && <Icon aria-hidden className="size-3.5" strokeWidth={1.75} />
      )}
      {children}
      {keys && <KeyHint keys={keys} quiet />}
    </button>
  );
}

interface IconProps extends Omit<ComponentProps<'button'>, 'children' | 'aria-label'> {
  /** What it does: the accessible name and the tooltip. */
  label: string;
  icon: LucideIcon;
  keys?: string;
  active?: boolean;
}

/** A button without words; its name shows on hover and focus. */
export function IconButton({ label, icon: Icon, keys, active, className = '', ...rest }: IconProps) {
  return (
    <Hint text={label} keys={keys}>
      <button
        type="button"
        aria-label={label}
        aria-pressed={active}
        {...rest}
        className={`inline-flex size-7 shrink-0 items-center justify-center rounded-md transition-colors duration-100 hover:bg-raised hover:text-ink disabled:opacity-40 ${
          active ? 'bg-raised text-ink' : 'text-ink-3'
        } ${className}`}
      >
        <Icon aria-hidden className="size-4" strokeWidth={1.75} />
      </button>
    </Hint>
  );
}

/** A few words about the one element inside, on hover and on focus. */
export function Hint({
  text,
  keys,
  side = 'top',
  children,
}: {
  text: string;
  keys?: string | undefined;
  side?: 'top' | 'right';
  children: ReactNode;
}) {
  return (
    <Tooltip.Root delayDuration={350}>
      <Tooltip.Trigger asChild>{children}</Tooltip.Trigger>
      <Tooltip.Portal container={document.getElementById('hints')}>
        <Tooltip.Content
          side={side}
          sideOffset={6}
          collisionPadding={8}
          className="z-50 flex max-w-72 animate-fade items-center gap-2 rounded-md bg-overlay px-2 py-1 text-ink text-xs shadow-pop"
        >
          {text}
          {keys && <KeyHint keys={keys} />}
        </Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}
