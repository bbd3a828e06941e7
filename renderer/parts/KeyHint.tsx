const mac = /mac/i.test(navigator.platform);
const names: Record<string, string> = {
  mod: mac ? '⌘' : 'Ctrl',
  shift: mac ? '⇧' : 'Shift',
  enter: '↵',
  esc: 'Esc',
  tab: 'Tab',
  up: '↑',
  down: '↓',
};

/** Keys as caps: `mod+k`, `/`, `esc`. Told to screen readers by the control itself, not here. */
export function KeyHint({ keys, quiet = false }: { keys: string; quiet?: boolean }) {
  return (
    <span aria-hidden className="inline-flex shrink-0 gap-0.5">
      {keys.split('+').map((key) => (
        <kbd
          key={key}
          className={`inline-flex h-4 min-w-4 items-center justify-center rounded-sm px-1 font-sans text-[10px] leading-none ${
            quiet ? 'bg-current/12 text-inherit' : 'bg-raised text-ink-2'
          }`}
        >
          {names[key] ?? key.toUpperCase()}
        </kbd>
      ))}
    </span>
  );
}
