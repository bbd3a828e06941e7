import { Search, X } from 'lucide-react';
import type { ReactNode } from 'react';
import { useRef } from 'react';
import { IconButton } from './Button.tsx';
import { KeyHint } from './KeyHint.tsx';

/** The search field of a view; `/` goes to it, Esc empties it and then leaves it. */
export function SearchField({
  label,
  value,
  onChange,
  placeholder,
}: {
  label: string;
  value: string;
  onChange(value: string): void;
  placeholder: string;
}) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <div className="flex h-8 w-64 min-w-0 max-w-full items-center gap-2 rounded-md bg-surface px-2 hairline focus-within:outline-2 focus-within:outline-accent">
      <Search aria-hidden className="size-3.5 shrink-0 text-ink-3" />
      <input
        ref={input}
        type="search"
        data-search
        aria-label={label}
        value={value}
        placeholder={placeholder}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return;
          event.stopPropagation();
          if (value) onChange('');
          else input.current?.blur();
        }}
        className="h-full w-full min-w-0 bg-transparent text-sm outline-none [&::-webkit-search-cancel-button]:hidden"
      />
      {value ? <IconButton label="Clear search" icon={X} className="-mr-1 size-5" onClick={() => onChange('')} /> : <KeyHint keys="/" />}
    </div>
  );
}

/** One of a few: filters a list. */
export function Chips<Value extends string | null>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: Value;
  options: readonly { value: Value; label: ReactNode }[];
  onChange(value: Value): void;
}) {
  return (
    <fieldset aria-label={label} className="flex min-w-0 items-center gap-1">
      {options.map((option) => (
        <button
          key={option.value ?? ''}
          type="button"
          aria-pressed={option.value === value}
          onClick={() => onChange(option.value)}
          className="inline-flex h-7 items-center gap-1.5 whitespace-nowrap rounded-md px-2 font-medium text-ink-2 text-xs transition-colors hover:bg-raised aria-pressed:bg-accent-soft aria-pressed:text-accent-ink"
        >
          {option.label}
        </button>
      ))}
    </fieldset>
  );
}
