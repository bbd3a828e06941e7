import { Tabs as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { Badge } from './Status.tsx';
import type { Tone } from './tone.ts';

export interface Tab<Id extends string> {
  id: Id;
  label: string;
  /** A number beside the label, with the words that say what it counts. */
  count?: { value: number; label: string; tone: Tone };
  content: ReactNode;
}

/** Tabs over one panel; arrow keys move between them. */
export function Tabs<Id extends string>({
  tabs,
  value,
  onChange,
  label,
  aside,
}: {
  tabs: readonly Tab<Id>[];
  value: Id;
  onChange(id: Id): void;
  label: string;
  aside?: ReactNode;
}) {
  return (
    <Radix.Root value={value} onValueChange={(id) => onChange(id as Id)} className="flex min-h-0 flex-1 flex-col">
      <div className="flex h-10 shrink-0 items-center justify-between gap-2 border-b pr-2 pl-1">
        {/* One stop for the keyboard, the open tab: the list and the panel would be two more that cannot be seen. */}
        <Radix.List aria-label={label} tabIndex={-1} className="flex h-full items-stretch">
          {tabs.map((tab) => (
            <Radix.Trigger
              key={tab.id}
              value={tab.id}
              tabIndex={tab.id === value ? 0 : -1}
              className="relative px-2.5 font-medium text-ink-3 text-sm transition-colors after:absolute after:inset-x-2.5 after:-bottom-px after:h-0.5 after:rounded-full hover:text-ink data-[state=active]:text-ink data-[state=active]:after:bg-accent"
            >
              {tab.label}
              {tab.count && (
                <span className="ml-1.5">
                  <Badge tone={tab.count.tone} title={`${tab.count.value} ${tab.count.label}`}>
                    {tab.count.value}
                    <span className="sr-only"> {tab.count.label}</span>
                  </Badge>
                </span>
              )}
            </Radix.Trigger>
          ))}
        </Radix.List>
        {aside && <div className="flex items-center gap-1">{aside}</div>}
      </div>
      {tabs.map((tab) => (
        <Radix.Content
          key={tab.id}
          value={tab.id}
          tabIndex={-1}
          className="flex min-h-0 flex-1 flex-col outline-none data-[state=inactive]:hidden"
        >
          {tab.content}
        </Radix.Content>
      ))}
    </Radix.Root>
  );
}
