import { LoadingState } from '../parts/States.tsx';

export function Dispatch() {
  return <LoadingState what="Dispatch" />;
}
