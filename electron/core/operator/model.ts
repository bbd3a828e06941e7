/** The learned model as data, and the classifier that reads it. */
import { createReader, GROUP, KINDS, PAIR, type Reader, WORD, WORD_LIMIT } from './features.ts';
import { createKernel } from './kernel.ts';

/** Everything training hands over: numbers and typed arrays, so that it can move between threads. */
export interface Model {
  routes: number;
  stride: number;
  features: number;
  /** Open-addressing table from the hash of a feature to its number; number 0 is an empty slot. */
  keys: Int32Array;
  slots: Int32Array;
  /** IDF^power by feature, and of a feature never seen. */
  idf: Float32Array;
  idfUnknown: number;
  /** One row of `stride` columns a feature; a cell is `weights * scales[feature]`, in natural units of log-odds. */
  weights: Int8Array;
  scales: Float32Array;
  /** For very many routes, instead of `weights`: the routes of feature f and their weights, from starts[f]. */
  postings: { starts: Int32Array; routes: Int32Array; weights: Float32Array } | null;
  /** Slope and constant from the odds of the first route to the odds that it is right. */
  trust: Float64Array;
  /** Weight of a rival of score 0 that stands for everything unknown; 0 where trials have checked the odds. */
  rival: number;
  /** Weights of the evidence that a text belongs to some route, the last one constant. */
  head: Float64Array;
  /** Below this much evidence (log-odds) the operator abstains. */
  threshold: number;
  /** Examples of route r: from routeStart[r] to routeStart[r + 1]; features of example i: from exampleStart[i]. */
  routeStart: Int32Array;
  exampleStart: Int32Array;
  exampleIds: Int32Array | Uint16Array;
  /** 1 / length of each example's vector. */
  exampleNorm: Float32Array;
  /** Hash of the words of each example in their order. */
  exampleText: Int32Array;
}

/** What speaks for a text belonging to some route, in this order; the same in training and in use. */
export const EVIDENCE = ['best', 'odds', 'knownWords', 'knownPairs', 'knownGroups', 'nearest', 'support', 'speaking', 'loudest'] as const;
export type Evidence = Float64Array;
/** Place of the log-odds of the first route against all others. */
export const ODDS = 1;

/** What the head usually comes to; used, or leant towards, where there is too little to learn it from. */
export const STANDARD_HEAD = Float64Array.of(0.35, 0.2, 0.4, 0, 2.2, 0, 0.85, 0.1, -0.1, -1.8);

export function evidenceOf(
  into: Evidence,
  scores: { first: number; rest: number; words: number; pairs: number; groups: number; near: number; testimony: Testimony },
): void {
  into[0] = Math.min(scores.first, 12);
  into[1] = Math.min(scores.first - scores.rest, 10);
  into[2] = scores.words;
  into[3] = scores.pairs;
  into[4] = scores.groups;
  into[5] = scores.near;
  into[6] = scores.testimony.support;
  into[7] = scores.testimony.speaking;
  into[8] = scores.testimony.loudest;
}

/** What the words of a text say for a route. */
export interface Testimony {
  /** Share of the words, by weight, that speak for the route. */
  support: number;
  /** Log-odds from all words that speak for it, and from the one that does most: an accident rests on a single word. */
  speaking: number;
  loudest: number;
}

/** From the log-odds that each word adds for a route, and the weight of each word, for the first `count` words. */
export function testimonyOf(added: ArrayLike<number>, weights: ArrayLike<number>, count: number): Testimony {
  let speaking = 0;
  let loudest = 0;
  let support = 0;
  let all = 1e-9;
  for (let word = 0; word < count; word++) {
    const weight = weights[word] as number;
    const value = added[word] as number;
    all += weight;
    if (value <= 0) continue;
    support += weight;
    speaking += value;
    if (value > loudest) loudest = value;
  }
  return { support: support / all, speaking, loudest };
}

export function dot(head: Float64Array, evidence: Evidence): number {
  let sum = head[evidence.length] as number;
  for (let i = 0; i < evidence.length; i++) sum += (head[i] as number) * (evidence[i] as number);
  return sum;
}

/** Below this much confidence the operator abstains; in trials right answers below it are one in a thousand texts. */
const LEAST = 0.2;
/** As LEAST, where no trial has checked the confidence. */
const UNCHECKED_LEAST = 0.3;

function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

export interface Classified {
  /** Routes by probability, best first, the first `count` places valid. */
  top: Int32Array;
  probability: Float64Array;
  count: number;
  /** Log-odds that the text belongs to some route, less the threshold. */
  outlook: number;
  /** The example of the first route that is nearest, and its cosine. */
  example: number;
  near: number;
  /** The text is that example, word for word. */
  exact: boolean;
}

export const TOP = 5;

export interface Classifier {
  /** The answer is overwritten by the next call. */
  classify(text: string): Classified;
  /** Words of the text last classified with what each adds for `route`, heaviest first. */
  words(route: number): { word: string; weight: number }[];
  readonly bytes: number;
}

export function createClassifier(model: Model): Classifier {
  const { routes, stride, features, keys, slots, idf, scales, postings, routeStart, exampleStart, exampleIds, exampleNorm } = model;
  const LIMIT = 2_050;
  const width = Math.max(stride, routes);
  const kernel = createKernel(model.weights.length + LIMIT * 8 + width * 4 + 256);
  const weightsAt = kernel.reserve(model.weights.length);
  const idsAt = kernel.reserve(LIMIT * 4);
  const valuesAt = kernel.reserve(LIMIT * 4);
  const sumsAt = kernel.reserve(width * 4);
  const weights = new Int8Array(kernel.buffer, weightsAt, model.weights.length);
  weights.set(model.weights);
  const ids = new Int32Array(kernel.buffer, idsAt, LIMIT);
  const values = new Float32Array(kernel.buffer, valuesAt, LIMIT);
  const sums = new Float32Array(kernel.buffer, sumsAt, width);

  const reader: Reader = createReader();
  const times = new Float64Array(features);
  const query = new Float64Array(features);
  const distinct = new Int32Array(LIMIT);
  const wordOf = new Uint8Array(LIMIT);
  const added = new Float64Array(WORD_LIMIT);
  const wordWeight = new Float64Array(WORD_LIMIT);
  const mask = keys.length - 1;
  const evidence = new Float64Array(EVIDENCE.length);
  const top = new Int32Array(TOP);
  const probability = new Float64Array(TOP);
  const answer: Classified = { top, probability, count: Math.min(TOP, routes), outlook: 0, example: -1, near: 0, exact: false };
  const known = new Float64Array(KINDS);
  const unknown = new Float64Array(KINDS);

  const find = (hash: number): number => {
    let at = hash & mask;
    while (slots[at] !== 0 && keys[at] !== hash) at = (at + 1) & mask;
    return slots[at] as number;
  };

  const cell = (id: number, route: number): number => {
    if (postings === null) return (weights[id * stride + route] as number) * (scales[id] as number);
    // The routes of a feature ascend.
    let low = postings.starts[id] as number;
    let high = postings.starts[id + 1] as number;
    const end = high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((postings.routes[middle] as number) < route) low = middle + 1;
      else high = middle;
    }
    return low < end && postings.routes[low] === route ? (postings.weights[low] as number) : 0;
  };

  return {
    bytes: kernel.buffer.byteLength + 8 * features * 2 + bytesOf(model) - model.weights.byteLength,
    classify(text) {
      reader.read(text);
      known.fill(0);
      unknown.fill(0);
      added.fill(0, 0, reader.wordCount);
      wordWeight.fill(0, 0, reader.wordCount);
      let count = 0;
      for (let i = 0; i < reader.count; i++) {
        const id = find(reader.hashes[i] as number);
        const kind = reader.kinds[i] as number;
        if (kind === WORD) wordWeight[reader.words[i] as number] = (id === 0 ? model.idfUnknown : (idf[id] as number)) ** 2;
        if (id === 0) {
          unknown[kind] = (unknown[kind] as number) + model.idfUnknown;
          continue;
        }
        known[kind] = (known[kind] as number) + (idf[id] as number);
        const before = times[id] as number;
        times[id] = before + 1;
        if (before === 0) {
          wordOf[count] = reader.words[i] as number;
          distinct[count++] = id;
        }
      }
      let norm = 0;
      for (let i = 0; i < count; i++) {
        const id = distinct[i] as number;
        const often = times[id] as number;
        const value = (often === 1 ? 1 : 1 + Math.log(often)) * (idf[id] as number);
        times[id] = 0;
        query[id] = value;
        norm += value * value;
      }
      norm = norm > 0 ? 1 / Math.sqrt(norm) : 0;
      ids[0] = 0;
      values[0] = scales[0] as number;
      for (let i = 0; i < count; i++) {
        const id = distinct[i] as number;
        const value = (query[id] as number) * norm;
        // With the weight the feature has in an example, so that the search for the nearest only adds.
        query[id] = value * (idf[id] as number);
        ids[i + 1] = id;
        if (postings === null) values[i + 1] = value * (scales[id] as number);
        else values[i + 1] = value;
      }
      sums.fill(0);
      if (postings === null) kernel.gather8(idsAt, valuesAt, count + 1, weightsAt, sumsAt, stride);
      else {
        for (let i = 0; i < count; i++) {
          const id = distinct[i] as number;
          const value = values[i + 1] as number;
          for (let j = postings.starts[id] as number; j < (postings.starts[id + 1] as number); j++) {
            const route = postings.routes[j] as number;
            sums[route] = (sums[route] as number) + value * (postings.weights[j] as number);
          }
        }
      }

      const kept = answer.count;
      for (let i = 0; i < kept; i++) {
        top[i] = -1;
        probability[i] = Number.NEGATIVE_INFINITY;
      }
      for (let k = 0; k < routes; k++) {
        const score = sums[k] as number;
        if (score <= (probability[kept - 1] as number)) continue;
        let place = kept - 1;
        while (place > 0 && score > (probability[place - 1] as number)) {
          probability[place] = probability[place - 1] as number;
          top[place] = top[place - 1] as number;
          place -= 1;
        }
        probability[place] = score;
        top[place] = k;
      }
      const first = probability[0] as number;
      let rest = model.rival * Math.exp(-first);
      for (let k = 0; k < routes; k++) {
        const difference = (sums[k] as number) - first;
        if (difference > -12 && k !== top[0]) rest += Math.exp(difference);
      }
      const odds = -Math.log(rest + 1e-9);
      // The nearest example of the first route.
      const route = top[0] as number;
      answer.example = -1;
      answer.near = 0;
      for (let i = routeStart[route] as number; i < (routeStart[route + 1] as number); i++) {
        let sum = 0;
        const end = exampleStart[i + 1] as number;
        for (let j = exampleStart[i] as number; j < end; j++) {
          sum += query[exampleIds[j] as number] as number;
        }
        sum *= exampleNorm[i] as number;
        if (sum > answer.near) {
          answer.near = sum;
          answer.example = i;
        }
      }
      // Features never seen are not in the cosine, so it is 1 for more than the example.
      answer.exact = answer.near > 0.9999 && textOf(reader) === model.exampleText[answer.example];

      for (let i = 0; i < count; i++) {
        const id = distinct[i] as number;
        const word = wordOf[i] as number;
        added[word] = (added[word] as number) + ((query[id] as number) / (idf[id] as number)) * cell(id, route);
        query[id] = 0;
      }
      evidenceOf(evidence, {
        first,
        rest: first - odds,
        words: share(known, unknown, WORD),
        pairs: share(known, unknown, PAIR),
        groups: share(known, unknown, GROUP),
        near: answer.near,
        testimony: testimonyOf(added, wordWeight, reader.wordCount),
      });
      answer.outlook = count === 0 ? -10 : dot(model.head, evidence) - model.threshold;

      let sure = logistic((model.trust[0] as number) * Math.min(odds, 10) + (model.trust[1] as number));
      // Odds that no trial has checked are worth little more than the evidence for there being a route at all.
      if (model.rival > 0) sure = Math.min(sure, logistic(answer.outlook + 1));
      if (sure < (model.rival > 0 ? UNCHECKED_LEAST : LEAST)) answer.outlook = Math.min(answer.outlook, -1e-9);
      // What the first route leaves is shared in proportion.
      const left = (1 - sure) / (rest + 1e-9);
      for (let i = 1; i < kept; i++) probability[i] = Math.min(sure, Math.exp((probability[i] as number) - first) * left);
      probability[0] = sure;
      return answer;
    },
    words(route) {
      const sum = new Float64Array(reader.wordCount);
      for (let i = 0; i < reader.count; i++) {
        const id = find(reader.hashes[i] as number);
        if (id === 0) continue;
        const weight = cell(id, route) * (idf[id] as number);
        const word = reader.words[i] as number;
        sum[word] = (sum[word] as number) + weight;
      }
      return Array.from(sum, (weight, index) => ({ word: reader.word(index), weight })).sort((a, b) => b.weight - a.weight);
    },
  };
}

/** Hash of the words of the text read, in their order. */
export function textOf(reader: Reader): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < reader.count; i++) if (reader.kinds[i] === WORD) hash = Math.imul(hash ^ (reader.hashes[i] as number), 0x01000193);
  return hash;
}

export function share(known: Float64Array, unknown: Float64Array, kind: number): number {
  const all = (known[kind] as number) + (unknown[kind] as number);
  return all === 0 ? 0 : (known[kind] as number) / all;
}

/** Bytes of the typed arrays of a model. */
function bytesOf(model: Model): number {
  const parts = [...Object.values(model), ...Object.values(model.postings ?? {})];
  return parts.reduce((bytes: number, part) => bytes + (ArrayBuffer.isView(part) ? part.byteLength : 0), 0);
}
