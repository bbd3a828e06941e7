/** What is shown of models and of the memory they take, wherever they appear. */
import { CircleCheck, CircleDashed, CircleHelp, CirclePause, CircleX, LoaderCircle, type LucideIcon, OctagonX } from 'lucide-react';
import type { Figure, FigureSource, ModelPhase } from '../../shared/cortex.ts';
import type { Egress } from '../../shared/model.ts';
import { formatBytes } from '../format.ts';
import { Badge } from './Status.tsx';
import { Unknown } from './Values.tsx';

const phases: Record<ModelPhase, { word: string; icon: LucideIcon; className: string; title: string }> = {
  warm: { word: 'Warm', icon: CircleCheck, className: 'text-ok-ink', title: 'In memory and ready' },
  warming: { word: 'Warming', icon: LoaderCircle, className: 'text-accent-ink', title: 'Being loaded' },
  draining: { word: 'Draining', icon: CirclePause, className: 'text-warn-ink', title: 'Goes once what runs is over' },
  cold: { word: 'Cold', icon: CircleDashed, className: 'text-ink-2', title: 'Not in memory' },
  error: { word: 'Error', icon: CircleX, className: 'text-bad-ink', title: 'The last load or pulse failed' },
  halted: { word: 'Halted', icon: OctagonX, className: 'text-bad-ink', title: 'Three loads failed; nobody tries again until it is reset' },
  unknown: { word: 'Unknown', icon: CircleHelp, className: 'text-warn-ink', title: 'Its server does not answer' },
};

/** What runs elsewhere is in no memory here. */
const elsewhere = { ...phases.warm, word: 'Ready', title: 'It runs elsewhere, and answers' };

/** The state of a model as icon and word. */
export function PhaseMark({ phase, egress = 'local' }: { phase: ModelPhase; egress?: Egress }) {
  const { word, icon: Icon, className, title } = phase === 'warm' && egress !== 'local' ? elsewhere : phases[phase];
  return (
    <span className={`inline-flex items-center gap-1.5 align-middle ${className}`} title={title}>
      <Icon aria-hidden className={`size-3.5 shrink-0 ${phase === 'warming' ? 'animate-spin' : ''}`} strokeWidth={2} />
      <span className="truncate">{word}</span>
    </span>
  );
}

const sources: Record<FigureSource, string> = {
  measured: 'A tool of the device said it',
  reported: 'The server that holds it said it',
  estimated: 'From the registry, or a rule of thumb',
};

/** How a figure is known, in its word. */
export function Source({ source }: { source: FigureSource }) {
  return (
    <span className={`text-2xs text-ink-3 ${source === 'estimated' ? 'italic' : ''}`} title={sources[source]}>
      {source}
    </span>
  );
}

/** A size in memory, and how it is known. */
export function Memory({ figure, what = 'not known' }: { figure: Figure | null; what?: string }) {
  if (figure === null) return <Unknown what={what} />;
  return (
    <span className="inline-flex items-baseline gap-1.5 whitespace-nowrap">
      <span title={`${figure.bytes.toLocaleString('en-US')} bytes`}>{formatBytes(figure.bytes)}</span>
      {/* Of one width, so that the numbers in a column stand below each other. */}
      <span className="w-[3.35rem] text-left">
        <Source source={figure.source} />
      </span>
    </span>
  );
}

/** It is pretended: part of the demo. */
export function DemoBadge() {
  return (
    <Badge tone="accent" title="Pretended, part of the demo">
      demo
    </Badge>
  );
}
