/**
 * The operator: which route a text means. Rules decide first (rules.ts); what they leave open goes to a classifier learned
 * from the examples of the routes (train.ts), which says how sure it is and abstains when the text seems to belong nowhere.
 */
import { Worker } from 'node:worker_threads';
import { type Classified, type Classifier, createClassifier, type Model } from './model.ts';
import type { Models } from './models.ts';
import { compileRules, isMention, type RuleHit } from './rules.ts';
import type { Lesson } from './train.ts';

export interface OperatorRule {
  /** RE2 syntax; see rules.ts. */
  pattern: string;
  priority?: number;
  /** Place in the file, 0-based. */
  order?: number;
  /** Line in the file, 1-based. */
  line?: number | null;
}

export interface OperatorRoute {
  name: string;
  examples: readonly string[];
  rules?: readonly OperatorRule[];
}

export interface OperatorOptions {
  /** Same routes and same seed, same answers. */
  seed?: number;
  /** Ends training; `createOperator` then rejects with its reason. */
  signal?: AbortSignal;
  /** Where models are kept from one start to the next; learned every time without it. */
  models?: Models;
}

export interface Ranked {
  route: string;
  /** 0..1, how likely this route is meant. */
  confidence: number;
  /** In words: the rule, or the words and the example that decided. */
  reason: string;
}

export interface Classification {
  /** The likeliest routes, best first. Empty when no rule matches and nothing was learned. */
  ranked: Ranked[];
  /** Nothing is meant clearly enough: ask, or take the fallback. */
  abstained: boolean;
}

export interface RuleTrace {
  pattern: string;
  route: string;
  priority: number;
  order: number;
  line: number | null;
  /** The part of the text that matched. */
  matched: string;
  won: boolean;
}

export interface Choice {
  /** The first of `ranked`; null when it is empty. */
  best: Ranked | null;
  abstained: boolean;
}

export interface Operator {
  classify(text: string): Classification;
  /** What `classify` puts first, for whoever needs no more: where a rule decides, nothing is asked of what was learned. */
  choose(text: string): Choice;
  /** As `classify`, with every rule that matches, the winner first. */
  explain(text: string): Classification & { rules: RuleTrace[] };
  /** Memory of the model in bytes; 0 when nothing was learned. */
  readonly modelBytes: number;
  [Symbol.dispose](): void;
}

/** A rule is an order, not a guess; what remains is that it was written too widely. */
const RULE_CONFIDENCE = 0.95;
const MENTION_CONFIDENCE = 0.99;
/** Routes after the second are named from this confidence on. */
const RANKED_LEAST = 0.01;
/** Least confidence for a text that is one of the examples. */
const EXAMPLE_CONFIDENCE = 0.95;

/**
 * Compiles the rules and learns from the examples, in a thread of its own. Rules that cannot be used are left out: the
 * registry reports them (`checkPattern`). Throws the reason of `options.signal`.
 */
export async function createOperator(routes: readonly OperatorRoute[], options: OperatorOptions = {}): Promise<Operator> {
  const { seed = 1, signal } = options;
  signal?.throwIfAborted();
  const learned = routes.filter((route) => route.examples.length > 0);
  const examples = learned.map((route) => route.examples.filter((example) => example.trim() !== ''));
  const flat = examples.flat();
  const owned = routes.flatMap((route) => (route.rules ?? []).map((rule) => ({ rule, route: route.name })));
  const rules = compileRules(
    owned.map(({ rule }, index) => ({ pattern: rule.pattern, priority: rule.priority ?? 0, order: rule.order ?? index })),
  );
  const learn = async () => {
    const lesson: Lesson = { names: learned.map(({ name }) => name), examples, seed };
    const kept = options.models?.get(lesson);
    if (kept) return kept;
    const model = await trainApart(lesson, signal);
    options.models?.put(lesson, model);
    return model;
  };
  let classifier: Classifier | null = flat.length === 0 ? null : createClassifier(await learn());

  let last: string | null = null;
  const classify = (text: string): Classified | null => {
    last = text;
    return classifier?.classify(text) ?? null;
  };

  const learnedRanking = (found: Classified, text: string): Ranked[] => {
    const ranked: Ranked[] = [];
    for (let i = 0; i < found.count; i++) {
      const index = found.top[i] as number;
      let confidence = found.probability[i] as number;
      if (i > 1 && confidence < RANKED_LEAST) break;
      if (i === 0 && found.exact) confidence = Math.max(confidence, EXAMPLE_CONFIDENCE);
      const near = i === 0 ? { example: found.example, cosine: found.near, exact: found.exact } : null;
      ranked.push({
        route: (learned[index] as OperatorRoute).name,
        confidence,
        get reason() {
          return reasonOf(text, index, near);
        },
      });
    }
    return ranked;
  };

  const reasonOf = (text: string, index: number, near: { example: number; cosine: number; exact: boolean } | null): string => {
    if (classifier === null) return 'learned from examples';
    // The reader still holds the text when the reason is asked for at once, as it is in a dispatch.
    if (text !== last) classify(text);
    const words = classifier
      .words(index)
      .filter(({ weight }) => weight > 0)
      .slice(0, 3);
    const weighed =
      words.length === 0 ? '' : `${words.map(({ word }) => `"${word}"`).join(', ')} ${words.length === 1 ? 'speaks' : 'speak'} for it`;
    if (near === null || near.example < 0) return weighed || 'no word speaks for it';
    if (near.exact) return `is its example "${flat[near.example]}"`;
    return `${near.cosine > 0.5 ? 'like' : 'a little like'} its example "${flat[near.example]}"${weighed && `; ${weighed}`}`;
  };

  const ruled = (hit: RuleHit): Ranked => {
    const { rule, route } = owned[hit.index] as (typeof owned)[number];
    return {
      route,
      confidence: isMention(rule.pattern) ? MENTION_CONFIDENCE : RULE_CONFIDENCE,
      get reason() {
        const what = isMention(rule.pattern) ? 'mention' : 'rule';
        return `${what} "${rule.pattern}" (priority ${rule.priority ?? 0}) matches "${hit.matched}"`;
      },
    };
  };

  const decide = (text: string, hit: RuleHit | null): Classification => {
    const found = classify(text);
    if (hit === null) {
      if (found === null) return { ranked: [], abstained: true };
      return { ranked: learnedRanking(found, text), abstained: !found.exact && found.outlook < 0 };
    }
    const winner = ruled(hit);
    const others = found === null ? [] : learnedRanking(found, text).filter((other) => other.route !== winner.route);
    for (const other of others) other.confidence *= 1 - winner.confidence;
    return { ranked: [winner, ...others], abstained: false };
  };

  return {
    classify: (text) => decide(text, rules.match(text)),
    choose(text) {
      const hit = rules.match(text);
      if (hit !== null) return { best: ruled(hit), abstained: false };
      const { ranked, abstained } = decide(text, null);
      return { best: ranked[0] ?? null, abstained };
    },
    explain(text) {
      const hits = rules.matchAll(text);
      const traces = hits.map((hit, place): RuleTrace => {
        const { rule, route } = owned[hit.index] as (typeof owned)[number];
        return {
          pattern: rule.pattern,
          route,
          priority: rule.priority ?? 0,
          order: rule.order ?? hit.index,
          line: rule.line ?? null,
          matched: hit.matched,
          won: place === 0,
        };
      });
      return { ...decide(text, hits[0] ?? null), rules: traces };
    },
    get modelBytes() {
      return classifier?.bytes ?? 0;
    },
    [Symbol.dispose]() {
      classifier = null;
    },
  };
}

function trainApart(lesson: Lesson, signal: AbortSignal | undefined): Promise<Model> {
  const { promise, resolve, reject } = Promise.withResolvers<Model>();
  const worker = new Worker(new URL('./train-worker.ts', import.meta.url), { workerData: lesson });
  const stop = () => {
    reject(signal?.reason);
    void worker.terminate();
  };
  signal?.addEventListener('abort', stop, { once: true });
  worker.once('message', (model: Model) => resolve(model));
  worker.once('error', reject);
  worker.once('exit', (code) => reject(new Error(`training ended with code ${code} and no model`)));
  return promise.finally(() => signal?.removeEventListener('abort', stop));
}
