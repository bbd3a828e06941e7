import type { Delivery } from '../../../shared/model.ts';
import { Badge } from '../../parts/Status.tsx';
import type { Tone } from '../../parts/tone.ts';
import { Countdown, Time } from '../../parts/Values.tsx';
import { openQueue } from '../../ui.ts';

const words: Record<Delivery['state'], { word: string; tone: Tone }> = {
  pending: { word: 'pending', tone: 'accent' },
  delivered: { word: 'delivered', tone: 'ok' },
  dead: { word: 'given up', tone: 'bad' },
};

export function DeliveryBadge({ state }: { state: Delivery['state'] }) {
  return <Badge tone={words[state].tone}>{words[state].word}</Badge>;
}

/** One delivery as a line that leads to it. */
export function DeliveryLine({ delivery }: { delivery: Delivery }) {
  return (
    <li>
      <button
        type="button"
        onClick={() => openQueue('callbacks', delivery.id)}
        className="-mx-1.5 flex h-7 w-[calc(100%+12px)] items-center gap-2 rounded-md px-1.5 text-left text-xs hover:bg-raised"
      >
        <DeliveryBadge state={delivery.state} />
        <span className="min-w-0 flex-1 truncate font-mono text-2xs text-ink-2">{delivery.url}</span>
        <span className="shrink-0 text-ink-3">
          {delivery.nextAt === null ? <Time at={delivery.attempts.at(-1)?.at ?? delivery.createdAt} /> : <Countdown at={delivery.nextAt} />}
        </span>
      </button>
    </li>
  );
}
