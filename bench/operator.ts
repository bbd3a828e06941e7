/**
 * Measures the operator on generated texts (operator-texts.ts) and on natural ones (natural-texts.ts): accuracy, abstaining,
 * calibration, time and memory, and the rules at 10,000. `node bench/operator.ts` prints the table and writes
 * `bench/out/operator.json`.
 *
 * What was tuned on what: features, weights, lexicon and the judgement of small registries on the generated texts and on the
 * open part of the natural ones. Rows named `sealed` count only intents and outside texts that no choice was measured on.
 * The lexicon and the natural texts have one author, so even sealed rows flatter the lexicon.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createOperator, type Operator } from '../electron/core/operator/operator.ts';
import { compileRules } from '../electron/core/operator/rules.ts';
import { NATURAL, NATURAL_OUTSIDE } from './natural-texts.ts';
import { AFTER, BEFORE, ELSEWHERE, INTENTS, SLOTS, SYNONYMS } from './operator-texts.ts';

// --- texts ----------------------------------------------------------------------------------------------------------

export interface IntentSet {
  routes: { name: string; examples: string[] }[];
  inside: { text: string; route: string }[];
  outside: string[];
}

export function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function createWriter(random: () => number) {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const before = BEFORE.split('; ');
  const after = AFTER.split('; ');
  const others = new Map<string, string[]>();
  for (const group of SYNONYMS.split(';')) {
    const words = group.trim().split(/\s+/).filter(Boolean);
    for (const word of words) others.set(word, [...(others.get(word) ?? []), ...words.filter((other) => other !== word)]);
  }
  const stray = INTENTS.toLowerCase().match(/[a-z]{4,}/g) ?? [];
  const expand = (phrase: string): string => {
    let text = phrase;
    while (text.includes('(')) text = text.replace(/\(([^()]*)\)/g, (_, options: string) => pick(options.split('|')));
    return text
      .replace(/\{(\w+)\}/g, (_, slot: string) => pick(SLOTS[slot] ?? [slot]))
      .replace(/\s+/g, ' ')
      .trim();
  };
  const typo = (word: string): string => {
    if (word.length < 4) return word;
    const at = 1 + Math.floor(random() * (word.length - 2));
    const kind = random();
    if (kind < 0.3) return word.slice(0, at) + word.slice(at + 1);
    if (kind < 0.6) return word.slice(0, at) + word[at + 1] + word[at] + word.slice(at + 2);
    if (kind < 0.8) return word.slice(0, at) + word[at] + word.slice(at);
    return word.slice(0, at) + pick([...'aeiotrns']) + word.slice(at + 1);
  };
  return (phrase: string): string => {
    let words = expand(phrase).split(' ');
    words = words.flatMap((word) => {
      const synonyms = others.get(word);
      if (synonyms !== undefined && random() < 0.3) return pick(synonyms).split('-');
      if (/^(a|an|the|my|is|do|to|of)$/.test(word) && random() < 0.08) return [];
      // People leave words out, and use words nobody foresaw.
      const chance = random();
      if (word.length > 3 && chance < 0.1) return [];
      if (word.length > 3 && chance < 0.17) return [pick(stray)];
      if (chance < 0.195) return [typo(word)];
      if (word.includes("'") && random() < 0.4) return [word.replace("'", random() < 0.6 ? '' : ' i').trim()];
      return [word];
    });
    let text = words.join(' ');
    if (random() < 0.22) text = `${pick(before)} ${text}`;
    if (random() < 0.1) text = `${text} ${pick(after)}`;
    if (random() < 0.2) text = `${text}${pick(['?', '.', '!', '?'])}`;
    if (random() < 0.08) text = text[0]?.toUpperCase() + text.slice(1);
    return text;
  };
}

/** `perRoute` examples a route. Of each intent's phrases the last are rare, as in what people really write; texts are all different. */
export function writeIntents({
  perRoute,
  tests,
  seed,
  absent = 0,
}: {
  perRoute: number;
  tests: number;
  seed: number;
  absent?: number;
}): IntentSet {
  const random = createRandom(seed);
  const write = createWriter(random);
  const set: IntentSet = { routes: [], inside: [], outside: [] };
  const used = new Set<string>();
  const fresh = (phrases: string[], count: number): string[] => {
    const texts: string[] = [];
    for (let tries = 0; texts.length < count && tries < count * 60; tries++) {
      const text = write(phrases[Math.floor(random() ** 1.8 * phrases.length)] as string);
      if (used.has(text)) continue;
      used.add(text);
      texts.push(text);
    }
    return texts;
  };
  const lines = INTENTS.split('\n');
  for (const [index, line] of lines.entries()) {
    const [name, all] = line.split(' | ', 1).concat(line.slice(line.indexOf(' | ') + 3)) as [string, string];
    const phrases = all.split('; ');
    if (index % lines.length < absent) {
      set.outside.push(...fresh(phrases, tests));
      continue;
    }
    set.routes.push({ name, examples: fresh(phrases, perRoute) });
    for (const text of fresh(phrases, tests)) set.inside.push({ text, route: name });
  }
  if (absent === 0) set.outside.push(...fresh(ELSEWHERE.split(/; |\n/), 1_000));
  return set;
}

/**
 * All natural intents as routes with `perRoute` examples each; the other texts and the texts outside are tests: those of the
 * open part, or those of the sealed third.
 */
export function naturalSet({ perRoute, seed, sealed }: { perRoute: number; seed: number; sealed: boolean }): IntentSet {
  const random = createRandom(seed);
  const mine = (index: number) => (index % 3 === 2) === sealed;
  const set: IntentSet = { routes: [], inside: [], outside: NATURAL_OUTSIDE.split(/ \| |\n/).filter((_, index) => mine(index)) };
  for (const [index, line] of NATURAL.split('\n').entries()) {
    const [name, ...texts] = line.split(' | ') as [string, ...string[]];
    for (let i = texts.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [texts[i], texts[j]] = [texts[j] as string, texts[i] as string];
    }
    set.routes.push({ name, examples: texts.slice(0, perRoute) });
    if (mine(index)) for (const text of texts.slice(perRoute)) set.inside.push({ text, route: name });
  }
  return set;
}

// --- the plain way, to compare with ---------------------------------------------------------------------------------

type Judge = Pick<Operator, 'classify'>;

/**
 * A linear machine over tf-idf of words and pairs (one-vs-rest squared hinge by dual coordinate descent), confident by a
 * softmax, abstaining below the confidence that cross-validation loses one right answer in a hundred at.
 */
export function createBaseline(routes: IntentSet['routes']): Judge {
  const rows = routes.flatMap(({ examples }, route) => examples.map((text) => ({ text, route })));
  const folds = 5;
  const trials: { scores: Float64Array; route: number }[] = [];
  for (let fold = 0; fold < folds; fold++) {
    const scores = fitLinear(
      rows.filter((_, i) => i % folds !== fold),
      routes.length,
    );
    for (const [i, { text, route }] of rows.entries()) if (i % folds === fold) trials.push({ scores: scores(text).slice(), route });
  }
  const scales = [1, 1.5, 2, 3, 4, 5, 6, 8, 10, 13];
  const likelihood = (scale: number) =>
    trials.reduce((sum, { scores, route }) => sum + Math.log(softmax(scores, scale)[route] as number), 0);
  const scale = scales.reduce((best, next) => (likelihood(next) > likelihood(best) ? next : best));
  const right = trials.flatMap(({ scores, route }) => {
    const shares = softmax(scores, scale);
    const most = Math.max(...shares);
    return shares[route] === most ? [most] : [];
  });
  const least = right.sort((a, b) => a - b)[Math.floor(trials.length * 0.01)] ?? 0;
  const scores = fitLinear(rows, routes.length);
  return {
    classify(text) {
      const shares = softmax(scores(text), scale);
      const confidence = Math.max(...shares);
      const route = (routes[shares.indexOf(confidence)] as IntentSet['routes'][number]).name;
      return { ranked: [{ route, confidence, reason: '' }], abstained: confidence < least };
    },
  };
}

function softmax(scores: Float64Array, scale: number): number[] {
  const top = Math.max(...scores);
  const shares = Array.from(scores, (score) => Math.exp(scale * (score - top)));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((share) => share / sum);
}

function fitLinear(rows: { text: string; route: number }[], routes: number): (text: string) => Float64Array {
  const words = (text: string): string[] => {
    const list = text.toLowerCase().match(/[a-z0-9']+/g) ?? [];
    return [...list, ...list.slice(1).map((word, i) => `${list[i]} ${word}`)];
  };
  const counts = new Map<string, number>();
  for (const { text } of rows) for (const word of new Set(words(text))) counts.set(word, (counts.get(word) ?? 0) + 1);
  const ids = new Map([...counts.keys()].map((word, id) => [word, id]));
  const vector = (text: string): [id: number, value: number][] => {
    const found = [...new Set(words(text))].filter((word) => ids.has(word));
    const values = found.map((word) => Math.log((1 + rows.length) / (1 + (counts.get(word) as number))) + 1);
    const norm = Math.hypot(...values) || 1;
    return found.map((word, i) => [ids.get(word) as number, (values[i] as number) / norm]);
  };
  const vectors = rows.map(({ text }) => vector(text));
  const weights = new Float64Array((ids.size + 1) * routes);
  const constant = ids.size * routes;
  const alphas = new Float64Array(rows.length * routes);
  const sums = new Float64Array(routes);
  const add = (features: [number, number][]) => {
    for (let k = 0; k < routes; k++) sums[k] = weights[constant + k] as number;
    for (const [id, value] of features)
      for (let k = 0; k < routes; k++) sums[k] = (sums[k] as number) + value * (weights[id * routes + k] as number);
  };
  const random = createRandom(1);
  const order = Array.from(vectors.keys());
  for (let epoch = 0; epoch < 10; epoch++) {
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    for (const i of order) {
      const features = vectors[i] as [number, number][];
      add(features);
      for (let k = 0; k < routes; k++) {
        const sign = rows[i]?.route === k ? 1 : -1;
        const alpha = alphas[i * routes + k] as number;
        const next = Math.max(0, alpha - (sign * (sums[k] as number) - 1 + 0.5 * alpha) / 2.5);
        if (next === alpha) continue;
        alphas[i * routes + k] = next;
        const step = sign * (next - alpha);
        weights[constant + k] = (weights[constant + k] as number) + step;
        for (const [id, value] of features) weights[id * routes + k] = (weights[id * routes + k] as number) + step * value;
      }
    }
  }
  return (text) => {
    add(vector(text));
    return sums;
  };
}

// --- measures -------------------------------------------------------------------------------------------------------

export interface Scores {
  accuracy: number;
  /** In-scope texts answered rightly and not abstained from. */
  answered: number;
  /** Out-of-scope texts abstained from. */
  refused: number;
  /** Expected calibration error of the first confidence on in-scope texts, 15 equal bins. */
  calibration: number;
}

export function score(operator: Judge, set: IntentSet): Scores {
  return scoreAll([[operator, set]]);
}

/** Of several operators together, each with its own set. */
export function scoreAll(pairs: [operator: Judge, set: IntentSet][]): Scores {
  let right = 0;
  let answered = 0;
  let total = 0;
  let outside = 0;
  let refused = 0;
  const bins = Array.from({ length: 15 }, () => ({ count: 0, confidence: 0, right: 0 }));
  for (const [operator, set] of pairs) {
    for (const { text, route } of set.inside) {
      const { ranked, abstained } = operator.classify(text);
      const first = ranked[0];
      const ok = first?.route === route;
      if (ok) right += 1;
      if (ok && !abstained) answered += 1;
      const bin = bins[Math.min(14, Math.floor((first?.confidence ?? 0) * 15))] as (typeof bins)[number];
      bin.count += 1;
      bin.confidence += first?.confidence ?? 0;
      bin.right += ok ? 1 : 0;
    }
    total += set.inside.length;
    for (const text of set.outside) if (operator.classify(text).abstained) refused += 1;
    outside += set.outside.length;
  }
  return {
    accuracy: right / total,
    answered: answered / total,
    refused: refused / outside,
    calibration: bins.reduce((sum, bin) => sum + Math.abs(bin.confidence - bin.right), 0) / total,
  };
}

function percentiles(samples: number[]): { p50: number; p99: number } {
  samples.sort((a, b) => a - b);
  return { p50: samples[Math.floor(samples.length * 0.5)] as number, p99: samples[Math.floor(samples.length * 0.99)] as number };
}

function timeOf(texts: string[], act: (text: string) => unknown): { p50: number; p99: number } {
  for (const text of texts.slice(0, 2_000)) act(text);
  const samples: number[] = [];
  for (const text of texts) {
    const start = performance.now();
    act(text);
    samples.push((performance.now() - start) * 1_000);
  }
  return percentiles(samples);
}

function rulesRow(): Record<string, number> {
  const verbs = ['deploy', 'sync', 'order', 'invoice', 'report', 'check'];
  const rules = Array.from({ length: 10_000 }, (_, i) => {
    const verb = verbs[i % 6];
    const pattern = [`service${i}`, `${verb} .*svc${i}\\b`, `\\b(${verb}|make) thing-?${i}`, `${verb}\\s+(the )?unit${i}`][i % 4] as string;
    return { pattern, priority: i % 7 };
  });
  const start = performance.now();
  const set = compileRules(rules);
  const compileMs = performance.now() - start;
  const texts = Array.from({ length: 5_000 }, (_, q) => {
    const i = (q * 7919) % 10_000;
    if (q % 3 === 0) return `what will the weather be like in number ${q}`;
    return `please ${verbs[i % 6]} the big svc${i} and service${i} or thing${i}`;
  });
  const { p50, p99 } = timeOf(texts, (text) => set.match(text));
  return { compileMs, p50Us: p50, p99Us: p99 };
}

export async function run(): Promise<Record<string, Record<string, number>>> {
  const results: Record<string, Record<string, number>> = {};
  for (const perRoute of [100, 10]) {
    const set = writeIntents({ perRoute, tests: 30, seed: 7 });
    const start = performance.now();
    const operator = await createOperator(set.routes);
    const trainMs = performance.now() - start;
    const texts = [...set.inside.map(({ text }) => text), ...set.outside];
    const { p50, p99 } = timeOf(texts, (text) => operator.classify(text));
    results[`${set.routes.length} routes x ${perRoute}`] = {
      ...score(operator, set),
      trainMs,
      p50Us: p50,
      p99Us: p99,
      modelMB: operator.modelBytes / 1e6,
    };
    operator[Symbol.dispose]();
  }
  const absent = writeIntents({ perRoute: 100, tests: 30, seed: 8, absent: 20 });
  const operator = await createOperator(absent.routes);
  results['20 routes absent'] = { ...score(operator, absent) };
  operator[Symbol.dispose]();
  for (const perRoute of [20, 10, 5]) {
    for (const sealed of [false, true]) {
      const sets = [1, 2, 3].map((seed) => naturalSet({ perRoute, seed, sealed }));
      const name = `natural${sealed ? ' (sealed)' : ''}, 64 routes x ${perRoute}`;
      const operators = await Promise.all(sets.map((set) => createOperator(set.routes)));
      results[name] = { ...scoreAll(sets.map((set, i) => [operators[i] as Operator, set])) };
      results[`${name}, plain machine`] = { ...scoreAll(sets.map((set) => [createBaseline(set.routes), set])) };
      for (const each of operators) each[Symbol.dispose]();
    }
  }
  results['10,000 rules'] = rulesRow();
  return results;
}

if (import.meta.main) {
  const results = await run();
  for (const [name, row] of Object.entries(results))
    console.log(
      `\n${name}\n${Object.entries(row)
        .map(([key, value]) => `  ${key.padEnd(12)} ${value.toFixed(value < 10 ? 4 : 1)}`)
        .join('\n')}`,
    );
  const folder = new URL('./out/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL('operator.json', folder), `${JSON.stringify(results, null, 2)}\n`);
}
