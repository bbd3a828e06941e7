import { ChevronDown, Search, X } from 'lucide-react';
import type { ReactNode } from 'react';
import { useId, useRef } from 'react';
import { formatCount, formatShort } from '../format.ts';
import { IconButton } from './Button.tsx';
import { KeyHint } from './KeyHint.tsx';
import { Picker } from './Picker.tsx';

/** The search field of a view; `/` goes to it, Esc empties it and then leaves it. */
export function SearchField({
  label,
  value,
  onChange,
  onEnter,
  placeholder,
}: {
  label: string;
  value: string;
  onChange(value: string): void;
  /** Where typing alone does not search. */
  onEnter?(): void;
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
          if (event.key === 'Enter') onEnter?.();
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

/** One of a few: filters a list. `count` is how many there are of it; none is not worth a number. */
export function Chips<Value extends string | null>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: Value;
  options: readonly { value: Value; label: ReactNode; count?: number | undefined }[];
  onChange(value: Value): void;
}) {
  return (
    <fieldset aria-label={label} className="flex shrink-0 items-center gap-1">
      {options.map((option) => (
        <button
          key={option.value ?? ''}
          type="button"
          aria-pressed={option.value === value}
          onClick={() => onChange(option.value)}
          className="inline-flex h-7 items-center gap-1.5 whitespace-nowrap rounded-md px-2 font-medium text-ink-2 text-xs transition-colors hover:bg-raised aria-pressed:bg-accent-soft aria-pressed:text-accent-ink"
        >
          {option.label}
          {option.count !== undefined && option.count > 0 && (
            <span className="text-2xs text-ink-3 [[aria-pressed=true]>&]:text-accent-ink" title={formatCount(option.count)}>
              {formatShort(option.count)}
            </span>
          )}
        </button>
      ))}
    </fieldset>
  );
}

/** One of many, or none: a chip that opens a small search. */
export function PickChip({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: string | null;
  options: readonly string[];
  onChange(value: string | null): void;
}) {
  return (
    <span
      className={`inline-flex h-7 min-w-0 shrink-0 items-center rounded-md font-medium text-xs ${value === null ? 'text-ink-2' : 'bg-accent-soft text-accent-ink'}`}
    >
      <Picker label={label} choices={options.map((option) => ({ value: option }))} onPick={onChange}>
        <button type="button" className="inline-flex h-full min-w-0 items-center gap-1 rounded-md px-2 hover:bg-raised">
          <span className="max-w-40 truncate">{value === null ? label : `${label}: ${value}`}</span>
          {value === null && <ChevronDown aria-hidden className="size-3 shrink-0 text-ink-3" />}
        </button>
      </Picker>
      {value !== null && (
        <IconButton label={`Any ${label.toLowerCase()}`} icon={X} className="mr-0.5 size-5" onClick={() => onChange(null)} />
      )}
    </span>
  );
}

const box =
  'w-full min-w-0 rounded-md bg-canvas px-2.5 text-sm outline-none hairline focus:outline-2 focus:outline-accent disabled:opacity-50';

/** A labelled line of text in a form; `rows` makes it several. */
export function TextField({
  label,
  value,
  onChange,
  hint,
  placeholder,
  rows,
  mono = false,
  required = false,
}: {
  label: string;
  value: string;
  onChange(value: string): void;
  hint?: ReactNode;
  placeholder?: string;
  rows?: number;
  mono?: boolean;
  required?: boolean;
}) {
  const id = useId();
  const more = {
    id,
    value,
    placeholder,
    required,
    spellCheck: false,
    autoComplete: 'off',
    ...(hint !== undefined && { 'aria-describedby': `${id}-hint` }),
  };
  return (
    <div className="space-y-1">
      <label htmlFor={id} className="block font-medium text-2xs text-ink-2">
        {label}
      </label>
      {rows === undefined ? (
        <input {...more} onChange={(event) => onChange(event.target.value)} className={`${box} h-8 ${mono ? 'font-mono text-xs' : ''}`} />
      ) : (
        <textarea
          {...more}
          rows={rows}
          onChange={(event) => onChange(event.target.value)}
          className={`${box} block resize-y py-1.5 ${mono ? 'font-mono text-xs leading-5' : ''}`}
        />
      )}
      {hint !== undefined && (
        <p id={`${id}-hint`} className="text-2xs text-ink-3">
          {hint}
        </p>
      )}
    </div>
  );
}
