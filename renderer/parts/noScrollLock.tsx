/** Stands where Radix expects `react-remove-scroll`: that one writes <style> elements, and this page never scrolls as a whole. */
import { Slot } from 'radix-ui';
import type { ReactNode, Ref } from 'react';

interface Props {
  children?: ReactNode;
  as?: unknown;
  allowPinchZoom?: boolean;
  shards?: unknown;
  ref?: Ref<HTMLElement>;
}

export function RemoveScroll({ children, as: _as, allowPinchZoom: _zoom, shards: _shards, ...rest }: Props) {
  return <Slot.Root {...rest}>{children}</Slot.Root>;
}
