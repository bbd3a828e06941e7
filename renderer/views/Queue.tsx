import { LoadingState } from '../parts/States.tsx';

export function Queue() {
  return <LoadingState what="Queue" />;
}
