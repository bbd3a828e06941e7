/** What of a call is kept: its rows, its job's record, and what an event carries of it. */
import type { Crossing, JobState } from '../../shared/model.ts';
import { canonicalJson, textOf } from './crossing.ts';
import { harmlessJson, redact, redactText } from './store/redact.ts';
import type { Store } from './store/store.ts';

/** Longest an event may carry of a result; the job has the whole. */
const EVENT_RESULT = 16_384;
/** An intent's detail of fewer characters is not cut, so the parameters in it are whole. */
const DETAIL_WHOLE = 2000;
/** Longest answer that a job keeps whole. */
const RESULT_MAX = 262_144;

/** Members of a crossing that its record has in another form than the crossing. */
const KEPT_APART = new Set(['attempts', 'directives', 'durationMs', 'error', 'left', 'result', 'signature', 'text', 'why']);

/** What of a call goes on record, its secrets redacted once and used everywhere. */
export interface Kept {
  text: string | null;
  why: string;
  /** JSON; null while the intent's detail has them whole. */
  params: string | null;
  /** JSON of the intent row's detail. */
  intent: string;
  /** Nothing had to be redacted. */
  clean: boolean;
}

export function keep({ text, confidence, why, parent, traceparent }: Crossing, given: Record<string, unknown>): Kept {
  const harmlessText = harmlessJson(text);
  const harmlessWhy = harmlessJson(why);
  const clean = harmlessText !== null && harmlessWhy !== null;
  const said = harmlessText ?? redact(text);
  const reason = harmlessWhy ?? redact(why);
  const params = redact(given);
  const intent = `{"confidence":${confidence},"params":${params},"parent":${JSON.stringify(parent)},"text":${said},"traceparent":"${traceparent}","why":${reason}}`;
  return {
    text: text === null || clean ? text : (JSON.parse(said) as string),
    why: clean ? why : (JSON.parse(reason) as string),
    params: intent.length < DETAIL_WHOLE ? null : params,
    intent,
    clean,
  };
}

export type OutcomeRow = Parameters<Store['finish']>[0];

/** The row's detail is the crossing with its secrets redacted, and so is what the job has of it. */
export function outcomeRow(record: Crossing, kept: Kept): OutcomeRow {
  const { detail, shortened } = outcomeTexts(record, kept);
  return {
    at: record.at + record.durationMs,
    crossing: record.id,
    job: record.job,
    caller: record.caller,
    door: record.door,
    route: record.route,
    outcome: record.ok ? 'ok' : record.error!.code,
    detail,
    jobEnd:
      record.job === null
        ? null
        : {
            state: stateOf(record),
            durationMs: record.durationMs,
            errorCode: record.error?.code ?? null,
            errorMessage: record.error === null ? null : redactText(record.error.message),
            record: shortened,
          },
  };
}

/** `shortened`: the same without most of an answer that is too long for the job's record; null while that may have the whole. */
function outcomeTexts(record: Crossing, kept: Kept): { detail: string; shortened: string | null } {
  const { result, error, directives, attempts, left, durationMs } = record;
  const harmless = harmlessJson(result);
  const answer = harmless ?? redact(result);
  const failure = error === null ? 'null' : redact(error);
  const long = answer.length > RESULT_MAX;
  const same = harmless !== null && (error === null || failure === JSON.stringify(error)) && (!directives || harmlessJson(directives));
  // Mostly nothing is secret, and then what the caller gets is what is kept.
  if (kept.clean && same && !long) return { detail: textOf(record), shortened: null };
  // Not before it is needed: this copy takes longer than all the rest, and most calls are done by now.
  const rest = Object.fromEntries(Object.entries(record).filter(([name]) => !KEPT_APART.has(name)));
  const before = `"attempts":${JSON.stringify(attempts)},${directives ? `"directives":${redact(directives)},` : ''}"durationMs":${durationMs},"error":${failure},"left":${JSON.stringify(left)}`;
  const behind = `"signature":${JSON.stringify(record.signature)},"text":${JSON.stringify(kept.text)},"why":${JSON.stringify(kept.why)},${JSON.stringify(rest).slice(1)}`;
  const withResult = (shown: string) => `{${before},"result":${shown},${behind}`;
  const start = () => JSON.stringify({ cut: true, characters: answer.length, start: answer.slice(0, 4096) });
  return { detail: withResult(answer), shortened: long ? withResult(start()) : null };
}

export function stateOf(record: Crossing): JobState {
  if (record.ok) return 'succeeded';
  return record.error!.code === 'cancelled' ? 'cancelled' : 'failed';
}

/** About how many characters a value takes as JSON; stops counting once it is beyond what an event carries. */
function sizeOf(value: unknown, left = EVENT_RESULT + 1): number {
  if (typeof value === 'string') return value.length;
  if (value === null || typeof value !== 'object') return 8;
  let size = 2;
  for (const [key, member] of Object.entries(value)) {
    size += key.length + 4 + sizeOf(member, left - size);
    if (size > left) return size;
  }
  return size;
}

/** Their answer has a secret that is shown once, to whoever asked for it. */
const SHOWN_ONCE: ReadonlySet<string> = new Set(['OS.tokens.create', 'OS.grants.create']);

/** The crossing as an event carries it: a long result is cut, and says so; a secret is not for everybody who watches. */
export function eventOf(record: Crossing): Crossing {
  if (record.route !== null && SHOWN_ONCE.has(record.route)) return { ...record, result: JSON.parse(redact(record.result)) as unknown };
  return sizeOf(record.result) > EVENT_RESULT ? { ...record, result: cutResult(record.result) } : record;
}

function cutResult(result: unknown): { cut: true; characters: number; start: string } {
  const text = canonicalJson(result);
  return { cut: true, characters: text.length, start: text.slice(0, 4096) };
}
