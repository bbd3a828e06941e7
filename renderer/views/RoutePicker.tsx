import { Command } from 'cmdk';
import { Popover } from 'radix-ui';
import type { ReactNode } from 'react';
import { useState } from 'react';
import { useLive } from '../core.ts';
import { rank } from '../fuzzy.ts';

/** A small search over all routes, hanging from `children`. */
export function RoutePicker({
  label,
  exclude,
  onPick,
  children,
}: {
  label: string;
  exclude?: string;
  onPick(route: string): void;
  children: ReactNode;
}) {
  const routes = useLive('routes') ?? [];
  const [open, setOpen] = useState(false);
  const [query, setQuery] = useState('');
  const matches = rank(
    query,
    routes.filter((route) => route.name !== exclude && route.kind !== 'operation'),
    (route) => `${route.name} ${route.description ?? ''}`,
    50,
  );
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
            <Command.List label="Routes" className="max-h-64 overflow-auto p-1">
              <Command.Empty className="p-4 text-center text-ink-3 text-xs">No route has that name.</Command.Empty>
              {matches.map((route) => (
                <Command.Item
                  key={route.name}
                  value={route.name}
                  onSelect={() => {
                    setOpen(false);
                    setQuery('');
                    onPick(route.name);
                  }}
                  className="flex h-8 items-center gap-2 rounded-md px-2 text-sm data-[selected=true]:bg-raised"
                >
                  <span className="shrink-0">{route.name}</span>
                  <span className="min-w-0 truncate text-ink-3 text-xs">{route.description}</span>
                </Command.Item>
              ))}
            </Command.List>
          </Command>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
