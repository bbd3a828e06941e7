/** Keys without a modifier, for the window as a whole: never while somebody types or something lies over the view. */
import { useEffect, useRef } from 'react';
import { useUi } from './ui.ts';

/** Nothing lies over the view, and nobody took the key before. */
export function isFree(event: KeyboardEvent): boolean {
  const { palette, keys, question } = useUi.getState();
  return !(palette || keys || question || event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey);
}

/** The key is meant for the view itself: it is free, and nobody types. */
export function isPlain(event: KeyboardEvent): boolean {
  return isFree(event) && !(event.target as HTMLElement).closest('input, textarea, select, [contenteditable=true], [role=dialog]');
}

/** Listens for keys by their `event.key` as long as the component stands. */
export function usePlainKeys(handlers: Readonly<Record<string, () => void>>): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const handler = Object.hasOwn(latest.current, event.key) ? latest.current[event.key] : undefined;
      if (!handler || !isPlain(event)) return;
      event.preventDefault();
      handler();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}
