import { Command } from 'cmdk';
import { Popover } from 'radix-ui';
import type { ReactNode } from 'react';
import { useState } from 'react';
import { rank } from '../fuzzy.ts';

export interface Choice {
  value: string;
  note?: string | null;
}

const SHOWN = 60;

/** A small search over `choices`, hanging from the one button in `children`. */
export function Picker({
  label,
  choices,
  onPick,
  children,
}: {
  label: string;
  choices: readonly Choice[];
  onPick(value: string): void;
  children: ReactNode;
}) {
  const [open, setOpen] = useState(false);
  const [query, setQuery] = useState('');
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger asChild>{children}</Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          align="start"
          sideOffset={6}
          collisionPadding={12}
          aria-label={label}
          className="z-50 w-80 animate-fade overflow-hidden rounded-lg bg-overlay shadow-pop outline-none"
        >
          <Command shouldFilter={false} label={label} loop>
            <Command.Input
              autoFocus
              value={query}
              onValueChange={setQuery}
              placeholder={`${label}…`}
              className="h-10 w-full border-b bg-transparent px-3 text-sm outline-none"
            />
            <Command.List label={label} className="max-h-64 overflow-auto p-1">
              <Command.Empty className="p-4 text-center text-ink-3 text-xs">Nothing has that name.</Command.Empty>
              {rank(query, choices, ({ value, note }) => `${value} ${note ?? ''}`, SHOWN).map(({ value, note }) => (
                <Command.Item
                  key={value}
                  value={value}
                  onSelect={() => {
                    setOpen(false);
                    setQuery('');
                    onPick(value);
                  }}
                  className="flex h-8 items-center gap-2 rounded-md px-2 text-sm data-[selected=true]:bg-raised"
                >
                  <span className="max-w-full shrink-0 truncate">{value}</span>
                  <span className="min-w-0 truncate text-ink-3 text-xs">{note}</span>
                </Command.Item>
              ))}
            </Command.List>
          </Command>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
