import type { ReactNode } from 'react';
import { useLive } from '../core.ts';
import { Picker } from '../parts/Picker.tsx';

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
  const choices = routes
    .filter((route) => route.name !== exclude && route.kind !== 'operation')
    .map((route) => ({ value: route.name, note: route.description }));
  return (
    <Picker label={label} choices={choices} onPick={onPick}>
      {children}
    </Picker>
  );
}
