/**
 * Learns a linear model from the examples of each route: one-vs-rest squared-hinge machines by dual coordinate descent
 * (Hsieh et al., ICML 2008) summed with a softmax, both over the features of features.ts weighted log-TF x IDF^0.4. The name of a route
 * counts as one more of its examples.
 *
 * Trial models, each trained without some of the examples and without some of the routes at all, give what the final model
 * cannot know about itself: how sure it may be (the scale of the sum) and how texts that belong to no route look to it.
 */
import { createReader, GROUP, KIN_PAIR, KINDS, PAIR, WORD, WORD_LIMIT } from './features.ts';
import { createKernel } from './kernel.ts';
import { dot, EVIDENCE, type Evidence, evidenceOf, type Model, ODDS, STANDARD_HEAD, share, testimonyOf, textOf } from './model.ts';

/** Chosen on the generated texts and the open natural texts of bench/operator.ts. */
const TUNING = {
  /** Cost of an error of the machines, and rounds through the examples: few examples take more to settle, and less time. */
  many: { cost: 1, svmEpochs: 5 },
  few: { cost: 5, svmEpochs: 10 },
  /** Examples from which on they are many. */
  manyFrom: 5_000,
  softmaxEpochs: 4,
  /** Examples a route from which on there is a softmax. */
  softmaxFrom: 20,
  /** First step of the softmax; it falls to a twentieth. */
  rate: 5,
  /** Of the IDF. */
  power: 0.4,
  /** Bounds of the share of held-out texts that may be lost by abstaining though the first route was right. */
  loss: { least: 0.01, most: 0.04 },
  /** How strongly the head leans. */
  pull: 0.05,
};

interface Task {
  corpus: Corpus;
  routes: number;
  random: () => number;
}

export interface Lesson {
  /** By route. */
  names: readonly string[];
  /** By route. */
  examples: readonly (readonly string[])[];
  seed: number;
}

/** The same lesson gives the same model. */
export function train({ names, examples, seed }: Lesson): Model {
  const corpus = readCorpus(examples, names);
  const all = Array.from(corpus.routeOf.keys());
  const routes = examples.length;
  const task = { corpus, routes, random: createRandom(seed) };
  if (corpus.size * routes > DENSE_WORK || routes > DENSE_ROUTES) {
    const vocabulary = vocabularyOf(corpus, all);
    return finish(corpus, vocabulary, { ...STANDARD, routes, ...centroids(corpus, vocabulary) });
  }
  const judgement = judge(task);
  const final = fit(task, all);
  return finish(corpus, final, { ...judgement, routes, ...quantise(final, routes, judgement.scale) });
}

/** Above so many examples times routes a matrix would take minutes and gigabytes: centroids are used instead. */
const DENSE_WORK = 10e6;
const DENSE_ROUTES = 1_500;

// --- the corpus -----------------------------------------------------------------------------------------------------

interface Corpus {
  /** Examples given; after them in the tables come the names of the routes. */
  size: number;
  routeOf: Int32Array;
  /** Features of example i: `ids` and `tf` from `offsets[i]` to `offsets[i + 1]`. */
  offsets: Int32Array;
  ids: Int32Array;
  tf: Float32Array;
  /** The word each feature begins in. */
  words: Uint8Array;
  hashes: Int32Array;
  kinds: Uint8Array;
  /** Hash of the words of each example in their order. */
  texts: Int32Array;
}

function readCorpus(examples: Lesson['examples'], names: Lesson['names']): Corpus {
  const reader = createReader();
  const given = examples.reduce((sum, texts) => sum + texts.length, 0);
  const size = given + names.length;
  const routeOf = new Int32Array(size);
  const offsets = new Int32Array(size + 1);
  const texts = new Int32Array(size);
  let ids = new Int32Array(size * 48 + 64);
  let words = new Uint8Array(ids.length);
  let tf = new Float32Array(ids.length);
  const numbers = createNumbers(size * 8 + 64);
  let at = 0;
  let example = 0;
  for (const [place, list] of [...examples, ...names.map((name) => [readable(name)])].entries()) {
    const route = place % examples.length;
    for (const text of list) {
      reader.read(text);
      if (at + reader.count > ids.length) {
        ids = grow(ids, new Int32Array(ids.length * 2 + reader.count));
        tf = grow(tf, new Float32Array(ids.length));
        words = grow(words, new Uint8Array(ids.length));
      }
      const start = at;
      for (let i = 0; i < reader.count; i++) {
        const id = numbers.of(reader.hashes[i] as number, reader.kinds[i] as number);
        let same = start;
        while (same < at && ids[same] !== id) same += 1;
        if (same < at) tf[same] = (tf[same] as number) + 1;
        else {
          ids[at] = id;
          words[at] = reader.words[i] as number;
          tf[at++] = 1;
        }
      }
      for (let i = start; i < at; i++) if (tf[i] !== 1) tf[i] = 1 + Math.log(tf[i] as number);
      texts[example] = textOf(reader);
      routeOf[example++] = route;
      offsets[example] = at;
    }
  }
  return {
    size: given,
    routeOf,
    offsets,
    texts,
    ids: ids.subarray(0, at),
    tf: tf.subarray(0, at),
    words: words.subarray(0, at),
    ...numbers.done(),
  };
}

/** The words of a name such as `FND.stripe_refund` or `openTicket`; its digits say nothing. */
function readable(name: string): string {
  return name.replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2').replace(/[^\p{L}\p{M}]+/gu, ' ');
}

function grow<T extends Int32Array | Float32Array | Uint8Array>(from: T, to: T): T {
  to.set(from as never);
  return to;
}

/** Numbers 0, 1, 2... for hashes in the order they are met. */
function createNumbers(room: number) {
  let capacity = 1024;
  while (capacity < room) capacity *= 2;
  let slots = new Int32Array(capacity);
  let hashes = new Int32Array(capacity);
  let kinds = new Uint8Array(capacity);
  let count = 0;
  const place = (hash: number): number => {
    const mask = slots.length - 1;
    let at = hash & mask;
    while (slots[at] !== 0 && hashes[(slots[at] as number) - 1] !== hash) at = (at + 1) & mask;
    return at;
  };
  return {
    of(hash: number, kind: number): number {
      const at = place(hash);
      if (slots[at] !== 0) return (slots[at] as number) - 1;
      hashes[count] = hash;
      kinds[count] = kind;
      slots[at] = ++count;
      if (count * 2 > slots.length) {
        slots = new Int32Array(slots.length * 2);
        hashes = grow(hashes, new Int32Array(slots.length));
        kinds = grow(kinds, new Uint8Array(slots.length));
        for (let id = 0; id < count; id++) slots[place(hashes[id] as number)] = id + 1;
      }
      return count - 1;
    },
    done: () => ({ hashes: hashes.slice(0, count), kinds: kinds.slice(0, count) }),
  };
}

// --- one model ------------------------------------------------------------------------------------------------------

/** The features a model knows; number 0 is the constant 1. */
interface Vocabulary {
  features: number;
  /** Number of the feature in this model by its number in the corpus; 0 for those left out. */
  remap: Int32Array;
  /** IDF^power by feature of this model. */
  idf: Float32Array;
  /** IDF^power of a feature never seen. */
  idfUnknown: number;
}

interface Fit extends Vocabulary {
  stride: number;
  /** Rows of `stride` float32 by feature. `softmax` is null where there are too few examples for it. */
  svm: Float32Array;
  softmax: Float32Array | null;
  /** Scores an example of the corpus. */
  look(example: number): Look;
}

/** How an example looks to a model; overwritten by the next. */
interface Look {
  svm: Float32Array;
  softmax: Float32Array | null;
  known: Float64Array;
  unknown: Float64Array;
  /** By word. */
  weights: Float32Array;
  near(route: number): number;
  /** By word, what it adds to the scores of the route. */
  added(route: number): Scores;
}

interface Scores {
  svm: Float32Array;
  /** Zeros where there is no softmax. */
  softmax: Float32Array;
}

/** By kind. The groups of a word overlap and say the same thing more than once, so each counts for less; kin carry over to words never seen. */
const KIND_WEIGHT = [1, 1, 0.7, 1.6, 0.6, 1];

function vocabularyOf(corpus: Corpus, members: number[]): Vocabulary {
  const total = corpus.hashes.length;
  const df = new Int32Array(total);
  for (const member of members) {
    for (let i = corpus.offsets[member] as number; i < (corpus.offsets[member + 1] as number); i++) {
      const id = corpus.ids[i] as number;
      df[id] = (df[id] as number) + 1;
    }
  }
  // Pairs and groups met once say little when there are many examples, and are most of the memory.
  const least = new Uint8Array(KINDS).fill(1);
  if (members.length > 2_000) least[PAIR] = least[GROUP] = least[KIN_PAIR] = 2;
  const remap = new Int32Array(total);
  let features = 1;
  for (let id = 0; id < total; id++) if ((df[id] as number) >= (least[corpus.kinds[id] as number] as number)) remap[id] = features++;
  const idfOf = (count: number) => (Math.log((1 + members.length) / (1 + count)) + 1) ** TUNING.power;
  const idf = new Float32Array(features);
  idf[0] = 1;
  for (let id = 0; id < total; id++) {
    if (remap[id] === 0) continue;
    idf[remap[id] as number] = idfOf(df[id] as number) * (KIND_WEIGHT[corpus.kinds[id] as number] as number);
  }
  return { features, remap, idf, idfUnknown: idfOf(0) };
}

/** Trains on the examples `members`. */
function fit({ corpus, routes, random }: Task, members: number[]): Fit {
  const vocabulary = vocabularyOf(corpus, members);
  const { features, remap, idf, idfUnknown } = vocabulary;
  const stride = (routes + 15) & ~15;
  const room = members.reduce((sum, member) => sum + (corpus.offsets[member + 1] as number) - (corpus.offsets[member] as number) + 1, 0);
  // Decided by the whole corpus, so that trials are models of the same kind.
  const withSoftmax = corpus.size >= TUNING.softmaxFrom * routes;
  const kernel = createKernel(room * 8 + features * stride * (withSoftmax ? 8 : 4) + stride * 8 + LOOK_LIMIT * 8 + 256);
  const idsAt = kernel.reserve(room * 4);
  const valuesAt = kernel.reserve(room * 4);
  const sumsAt = kernel.reserve(stride * 4);
  const ids = new Int32Array(kernel.buffer, idsAt, room);
  const values = new Float32Array(kernel.buffer, valuesAt, room);
  const sums = new Float32Array(kernel.buffer, sumsAt, stride);
  const offsets = new Int32Array(members.length + 1);
  const labels = new Int32Array(members.length);
  let at = 0;
  for (const [i, member] of members.entries()) {
    labels[i] = corpus.routeOf[member] as number;
    ids[at] = 0;
    values[at++] = 1;
    const start = at;
    let norm = 0;
    for (let j = corpus.offsets[member] as number; j < (corpus.offsets[member + 1] as number); j++) {
      const id = remap[corpus.ids[j] as number] as number;
      if (id === 0) continue;
      const value = (corpus.tf[j] as number) * (idf[id] as number);
      ids[at] = id;
      values[at++] = value;
      norm += value * value;
    }
    norm = norm > 0 ? 1 / Math.sqrt(norm) : 0;
    for (let j = start; j < at; j++) values[j] = (values[j] as number) * norm;
    offsets[i + 1] = at;
  }

  const order = Int32Array.from(members.keys());
  const gather = (i: number, matrix: number) => {
    const from = (offsets[i] as number) * 4;
    kernel.gather(idsAt + from, valuesAt + from, (offsets[i + 1] as number) - (offsets[i] as number), matrix, sumsAt, stride);
  };
  const scatter = (i: number, matrix: number) => {
    const from = (offsets[i] as number) * 4;
    kernel.scatter(idsAt + from, valuesAt + from, (offsets[i + 1] as number) - (offsets[i] as number), matrix, sumsAt, stride);
  };

  const svmAt = kernel.reserve(features * stride * 4);
  const svm = new Float32Array(kernel.buffer, svmAt, features * stride);
  // A few columns are moved one by one, many with the kernel.
  const MOVED_LIMIT = 6;
  const movedAt = new Int32Array(MOVED_LIMIT);
  const alphas = new Float32Array(members.length * routes);
  const { cost, svmEpochs } = corpus.size < TUNING.manyFrom ? TUNING.few : TUNING.many;
  const diagonal = 1 / (2 * cost);
  for (let epoch = 0; epoch < svmEpochs; epoch++) {
    shuffle(order, random);
    for (const i of order) {
      sums.fill(0);
      gather(i, svmAt);
      const label = labels[i] as number;
      const base = i * routes;
      let moved = 0;
      for (let k = 0; k < routes; k++) {
        const alpha = alphas[base + k] as number;
        const sign = k === label ? 1 : -1;
        const slope = sign * (sums[k] as number) - 1 + diagonal * alpha;
        sums[k] = 0;
        if (alpha === 0 && slope >= 0) continue;
        const next = Math.max(0, alpha - slope / (2 + diagonal));
        const step = next - alpha;
        if (step < 2e-3 && step > -2e-3) continue;
        alphas[base + k] = next;
        sums[k] = step * sign;
        if (moved < MOVED_LIMIT) movedAt[moved] = k;
        moved += 1;
      }
      if (moved > MOVED_LIMIT) scatter(i, svmAt);
      else if (moved > 0) {
        for (let j = offsets[i] as number; j < (offsets[i + 1] as number); j++) {
          const cell = (ids[j] as number) * stride;
          const value = values[j] as number;
          for (let m = 0; m < moved; m++) {
            const k = movedAt[m] as number;
            svm[cell + k] = (svm[cell + k] as number) + value * (sums[k] as number);
          }
        }
      }
    }
  }

  let softmax: Float32Array | null = null;
  let softmaxAt = 0;
  if (withSoftmax) {
    softmaxAt = kernel.reserve(features * stride * 4);
    const steps = TUNING.softmaxEpochs * members.length;
    let done = 0;
    for (let epoch = 0; epoch < TUNING.softmaxEpochs; epoch++) {
      shuffle(order, random);
      for (const i of order) {
        sums.fill(0);
        gather(i, softmaxAt);
        const rate = TUNING.rate * (1 - 0.95 * (done++ / steps));
        let top = Number.NEGATIVE_INFINITY;
        for (let k = 0; k < routes; k++) if ((sums[k] as number) > top) top = sums[k] as number;
        let mass = 0;
        for (let k = 0; k < routes; k++) {
          const difference = (sums[k] as number) - top;
          const value = difference < -10 ? 0 : exp(difference);
          sums[k] = value;
          mass += value;
        }
        const by = -rate / mass;
        for (let k = 0; k < routes; k++) sums[k] = (sums[k] as number) * by;
        const label = labels[i] as number;
        sums[label] = (sums[label] as number) + rate;
        if ((sums[label] as number) > rate * 1e-3) scatter(i, softmaxAt);
      }
    }
    softmax = new Float32Array(kernel.buffer, softmaxAt, features * stride);
  }

  const lookIdsAt = kernel.reserve(LOOK_LIMIT * 4);
  const lookValuesAt = kernel.reserve(LOOK_LIMIT * 4);
  const lookIds = new Int32Array(kernel.buffer, lookIdsAt, LOOK_LIMIT);
  const lookValues = new Float32Array(kernel.buffer, lookValuesAt, LOOK_LIMIT);
  const query = new Float64Array(features);
  const index = indexExamples(corpus, members, vocabulary);
  const byRoute: number[][] = Array.from({ length: routes }, () => []);
  for (let i = 0; i < members.length; i++) (byRoute[labels[i] as number] as number[]).push(i);
  let lookCount = 0;
  let wordCount = 0;
  const lookWords = new Uint8Array(LOOK_LIMIT);
  const wordWeights = new Float32Array(WORD_LIMIT);
  const seen: Look = {
    svm: new Float32Array(stride),
    softmax: softmax === null ? null : new Float32Array(stride),
    known: new Float64Array(KINDS),
    unknown: new Float64Array(KINDS),
    weights: wordWeights,
    near(route) {
      let best = 0;
      for (const i of byRoute[route] as number[]) {
        let sum = 0;
        for (let j = index.starts[i] as number; j < (index.starts[i + 1] as number); j++) sum += query[index.ids[j] as number] as number;
        sum *= index.norms[i] as number;
        if (sum > best) best = sum;
      }
      return best;
    },
    added(route) {
      const sum = { svm: new Float32Array(wordCount), softmax: new Float32Array(wordCount) };
      for (let j = 1; j < lookCount; j++) {
        const at = (lookIds[j] as number) * stride + route;
        const word = lookWords[j] as number;
        const value = lookValues[j] as number;
        sum.svm[word] = (sum.svm[word] as number) + value * (svm[at] as number);
        if (softmax !== null) sum.softmax[word] = (sum.softmax[word] as number) + value * (softmax[at] as number);
      }
      return sum;
    },
  };
  const look = (example: number): Look => {
    for (let j = 0; j < lookCount; j++) query[lookIds[j] as number] = 0;
    seen.known.fill(0);
    seen.unknown.fill(0);
    lookIds[0] = 0;
    lookValues[0] = 1;
    lookCount = 1;
    wordCount = 0;
    wordWeights.fill(0);
    let norm = 0;
    for (let j = corpus.offsets[example] as number; j < (corpus.offsets[example + 1] as number); j++) {
      const id = remap[corpus.ids[j] as number] as number;
      const kind = corpus.kinds[corpus.ids[j] as number] as number;
      const word = corpus.words[j] as number;
      if (kind === WORD) wordWeights[word] = (id === 0 ? idfUnknown : (idf[id] as number)) ** 2;
      if (word >= wordCount) wordCount = word + 1;
      if (id === 0) {
        seen.unknown[kind] = (seen.unknown[kind] as number) + idfUnknown;
        continue;
      }
      seen.known[kind] = (seen.known[kind] as number) + (idf[id] as number);
      const value = (corpus.tf[j] as number) * (idf[id] as number);
      norm += value * value;
      query[id] = value * (idf[id] as number);
      lookIds[lookCount] = id;
      lookWords[lookCount] = word;
      lookValues[lookCount++] = value;
    }
    norm = norm > 0 ? 1 / Math.sqrt(norm) : 0;
    for (let j = 1; j < lookCount; j++) {
      lookValues[j] = (lookValues[j] as number) * norm;
      const id = lookIds[j] as number;
      query[id] = (query[id] as number) * norm;
    }
    sums.fill(0);
    kernel.gather(lookIdsAt, lookValuesAt, lookCount, svmAt, sumsAt, stride);
    seen.svm.set(sums);
    if (softmaxAt !== 0 && seen.softmax !== null) {
      sums.fill(0);
      kernel.gather(lookIdsAt, lookValuesAt, lookCount, softmaxAt, sumsAt, stride);
      seen.softmax.set(sums);
    }
    return seen;
  };
  return { ...vocabulary, stride, svm, softmax, look };
}

const LOOK_LIMIT = 2_056;

// --- the judgement --------------------------------------------------------------------------------------------------

interface Judgement {
  /** Factors of the two scores in the sum; the sum is in log-odds. */
  scale: [svm: number, softmax: number];
  /** Slope and constant from the odds of the first route to the odds that it is right. */
  trust: Float64Array;
  rival: number;
  head: Float64Array;
  threshold: number;
}

const STANDARD: Judgement = { scale: [5, 0.45], trust: Float64Array.of(1, 0.5), rival: 0.04, head: STANDARD_HEAD, threshold: 0 };
/** Factors where there is no softmax. */
const ALONE: [number, number] = [8, 0];
/** With fewer trial texts inside or outside nothing is concluded from them. */
const TRIALS_LEAST = 150;
/** With fewer examples there are no trials: the standard judgement is better than what so few can teach, and at once. */
const CORPUS_LEAST = 300;
/** Routes of each trial text that come first, for which nearness and what the words add are kept. */
const FOREMOST = 3;

interface Trial {
  /** Place of the true route among the scores; -1 when the text belongs to no route of the trial. */
  truth: number;
  /** By route, the foremost first. */
  svm: Float32Array;
  softmax: Float32Array;
  near: Float32Array;
  added: Scores[];
  weights: Float32Array;
  shares: [number, number, number];
}

function judge(task: Task): Judgement {
  const { corpus, routes, random } = task;
  const standard = corpus.size >= TUNING.softmaxFrom * routes ? STANDARD : { ...STANDARD, scale: ALONE };
  if (corpus.size < CORPUS_LEAST) return standard;
  const byRoute: number[][] = Array.from({ length: routes }, () => []);
  for (let i = 0; i < corpus.size; i++) (byRoute[corpus.routeOf[i] as number] as number[]).push(i);
  for (const members of byRoute) shuffle(members, random);
  const routeOrder = shuffle(
    Array.from({ length: routes }, (_, r) => r),
    random,
  );
  // Much data needs few trials; with little, every example and every route is left out.
  const work = corpus.size * routes;
  const trials = work > 3_000_000 ? 1 : work > 500_000 ? 2 : 10;
  const perTrial = Math.floor(routes / 6);
  const part = trials === 1 ? 4 : trials === 2 ? 5 : 10;
  const best = new Float64Array(FOREMOST);
  const bestAt = new Int32Array(FOREMOST);
  const inside: Trial[] = [];
  const outside: Trial[] = [];
  for (let t = 0; t < trials; t++) {
    const absent = new Set(Array.from({ length: perTrial }, (_, i) => routeOrder[(t * perTrial + i) % routes] as number));
    const here = Array.from({ length: routes }, (_, r) => r).filter((r) => !absent.has(r));
    const members: number[] = [];
    const left: number[] = [];
    for (const [route, examples] of byRoute.entries()) {
      if (absent.has(route)) left.push(...examples.slice(0, 40));
      else
        for (const [i, example] of examples.entries())
          (examples.length > 1 && i % part === (t + route) % part ? left : members).push(example);
    }
    for (let name = corpus.size; name < corpus.routeOf.length; name++) if (!absent.has(corpus.routeOf[name] as number)) members.push(name);
    const model = fit(task, members);
    for (const example of left) {
      const route = corpus.routeOf[example] as number;
      const seen = model.look(example);
      let filled = 0;
      for (const k of here) {
        const sum = STANDARD.scale[0] * (seen.svm[k] as number) + STANDARD.scale[1] * (seen.softmax?.[k] ?? 0);
        if (filled === FOREMOST && sum <= (best[FOREMOST - 1] as number)) continue;
        let place = filled < FOREMOST ? filled++ : FOREMOST - 1;
        for (; place > 0 && sum > (best[place - 1] as number); place--) {
          best[place] = best[place - 1] as number;
          bestAt[place] = bestAt[place - 1] as number;
        }
        best[place] = sum;
        bestAt[place] = k;
      }
      const foremost = Array.from(bestAt.subarray(0, filled));
      const scored = foremost.concat(here.filter((k) => !foremost.includes(k)));
      (absent.has(route) ? outside : inside).push({
        truth: absent.has(route) ? -1 : scored.indexOf(route),
        svm: Float32Array.from(scored, (k) => seen.svm[k] as number),
        softmax: Float32Array.from(scored, (k) => seen.softmax?.[k] ?? 0),
        near: Float32Array.from(foremost, (k) => seen.near(k)),
        added: foremost.map((k) => seen.added(k)),
        weights: seen.weights.slice(),
        shares: [share(seen.known, seen.unknown, WORD), share(seen.known, seen.unknown, PAIR), share(seen.known, seen.unknown, GROUP)],
      });
    }
  }
  if (inside.length < TRIALS_LEAST) return standard;
  const scale = fitScale(inside, standard.scale);
  const trust = fitTrust(inside, scale);
  if (outside.length < TRIALS_LEAST) return { ...standard, scale, trust, rival: 0 };
  const rows: Evidence[] = [];
  const labels: number[] = [];
  const right: boolean[] = [];
  for (const trial of [...inside, ...outside]) {
    const { evidence, first } = evidenceOfTrial(trial, scale);
    rows.push(evidence);
    labels.push(trial.truth === -1 ? 0 : 1);
    right.push(first === trial.truth);
  }
  const head = fitHead(rows, labels);
  const outlooks: number[] = [];
  for (const [i, row] of rows.entries()) if (right[i]) outlooks.push(dot(head, row));
  outlooks.sort((a, b) => a - b);
  // The more it errs anyway, the more of what it abstains from is wrong: then right answers may go with it.
  const { least, most } = TUNING.loss;
  const errors = 1 - outlooks.length / inside.length;
  const lost = inside.length * Math.min(most, Math.max(least, errors ** 2));
  const threshold = outlooks[Math.min(outlooks.length - 1, Math.floor(lost))] ?? 0;
  return { scale, trust, rival: 0, head, threshold };
}

const NOTHING: Scores = { svm: new Float32Array(0), softmax: new Float32Array(0) };

function evidenceOfTrial(trial: Trial, [a, b]: [number, number]): { evidence: Evidence; first: number } {
  let first = 0;
  const { svm, softmax } = trial;
  const sumOf = (i: number) => a * (svm[i] as number) + b * (softmax[i] as number);
  for (let i = 1; i < svm.length; i++) if (sumOf(i) > sumOf(first)) first = i;
  const top = sumOf(first);
  let rest = 0;
  for (let i = 0; i < svm.length; i++) {
    const difference = sumOf(i) - top;
    if (i !== first && difference > -12) rest += Math.exp(difference);
  }
  const evidence = new Float64Array(EVIDENCE.length);
  const [words, pairs, groups] = trial.shares;
  const { svm: bySvm, softmax: bySoftmax } = trial.added[first] ?? NOTHING;
  const added = bySvm.map((value, word) => a * value + b * (bySoftmax[word] as number));
  evidenceOf(evidence, {
    first: top,
    rest: top + Math.log(rest + 1e-9),
    words,
    pairs,
    groups,
    near: trial.near[first] ?? 0,
    testimony: testimonyOf(added, trial.weights, added.length),
  });
  return { evidence, first };
}

/** The two factors that make the truth likeliest, by Newton's method from the standard ones. */
function fitScale(trials: Trial[], start: [number, number]): [number, number] {
  let [a, b] = start;
  const withSoftmax = trials.some((trial) => trial.softmax.some((value) => value !== 0));
  if (!withSoftmax) b = 0;
  const prior = 2;
  for (let round = 0; round < 12; round++) {
    let ga = (prior * (a - start[0])) / start[0] ** 2;
    let gb = withSoftmax ? (prior * (b - start[1])) / start[1] ** 2 : 0;
    let haa = prior / start[0] ** 2;
    let hbb = withSoftmax ? prior / start[1] ** 2 : 1;
    let hab = 0;
    for (const { truth, svm, softmax } of trials) {
      if (truth < 0) continue;
      let top = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < svm.length; i++) top = Math.max(top, a * (svm[i] as number) + b * (softmax[i] as number));
      let mass = 0;
      let ma = 0;
      let mb = 0;
      let maa = 0;
      let mbb = 0;
      let mab = 0;
      for (let i = 0; i < svm.length; i++) {
        const s = svm[i] as number;
        const m = softmax[i] as number;
        const difference = a * s + b * m - top;
        if (difference < -12) continue;
        const p = Math.exp(difference);
        mass += p;
        ma += p * s;
        mb += p * m;
        maa += p * s * s;
        mbb += p * m * m;
        mab += p * s * m;
      }
      ma /= mass;
      mb /= mass;
      ga += ma - (svm[truth] as number);
      gb += mb - (softmax[truth] as number);
      haa += maa / mass - ma * ma;
      hbb += mbb / mass - mb * mb;
      hab += mab / mass - ma * mb;
    }
    if (!withSoftmax) {
      a = Math.max(0.2, a - ga / haa);
      continue;
    }
    const determinant = haa * hbb - hab * hab + 1e-9;
    a = Math.max(0.2, a - (hbb * ga - hab * gb) / determinant);
    b = Math.max(0, b - (haa * gb - hab * ga) / determinant);
  }
  return [a, b];
}

/** How far the odds can be taken at their word: logistic regression of being right on them, drawn to slope 1 and constant 0.
 * Trials lack some examples, which makes them err more, and some routes, which makes them err less. */
function fitTrust(trials: Trial[], scale: [number, number]): Float64Array {
  const points = trials.map((trial) => {
    const { evidence, first } = evidenceOfTrial(trial, scale);
    return { odds: evidence[ODDS] as number, right: first === trial.truth ? 1 : 0 };
  });
  let slope = 1;
  let constant = 0;
  for (let round = 0; round < 12; round++) {
    let gs = 2 * (slope - 1);
    let gc = 2 * constant;
    let hss = 2;
    let hcc = 2;
    let hsc = 0;
    for (const { odds, right } of points) {
      const p = 1 / (1 + Math.exp(-slope * odds - constant));
      const curve = p * (1 - p);
      gs += (p - right) * odds;
      gc += p - right;
      hss += curve * odds * odds;
      hcc += curve;
      hsc += curve * odds;
    }
    const determinant = hss * hcc - hsc * hsc;
    slope = Math.max(0.1, slope - (hcc * gs - hsc * gc) / determinant);
    constant -= (hss * gc - hsc * gs) / determinant;
  }
  return Float64Array.of(slope, constant);
}

/**
 * Where the weights of standardised evidence lean. Routes held out are near to others, so trials alone make too little of
 * the best score: most texts that belong nowhere are far from everything.
 */
const LEANING = Float64Array.of(1.2, 0.7, 0.3, 0.2, 0.5, 0.2, 0.4, 1, -0.7);

/** Logistic regression by Newton's method on standardised evidence, both sides weighted alike. */
function fitHead(rows: Evidence[], labels: number[]): Float64Array {
  const size = EVIDENCE.length;
  const mean = new Float64Array(size + 1);
  const spread = new Float64Array(size + 1).fill(1);
  for (let j = 0; j < size; j++) {
    for (const row of rows) mean[j] = (mean[j] as number) + (row[j] as number) / rows.length;
    let square = 0;
    for (const row of rows) square += ((row[j] as number) - (mean[j] as number)) ** 2 / rows.length;
    spread[j] = Math.sqrt(square) + 1e-3;
  }
  const positives = labels.reduce((sum, label) => sum + label, 0);
  // Drawn to the usual weights, the more the fewer the rows.
  const standard = LEANING;
  const pull = TUNING.pull + 0.5 / Math.min(positives, rows.length - positives);
  const weights = new Float64Array(size + 1);
  weights.set(standard);
  const x = new Float64Array(size + 1).fill(1);
  const width = size + 2;
  for (let round = 0; round < 8; round++) {
    // The normal equations, the slope in the last column.
    const system = new Float64Array((size + 1) * width);
    for (let j = 0; j < size; j++) {
      system[j * width + j] = pull;
      system[j * width + size + 1] = pull * ((weights[j] as number) - (standard[j] as number));
    }
    for (const [i, row] of rows.entries()) {
      let sum = weights[size] as number;
      for (let j = 0; j < size; j++) {
        x[j] = ((row[j] as number) - (mean[j] as number)) / (spread[j] as number);
        sum += (weights[j] as number) * (x[j] as number);
      }
      const label = labels[i] as number;
      const share = label === 1 ? 0.5 / positives : 0.5 / (rows.length - positives);
      const p = 1 / (1 + Math.exp(-sum));
      const curve = share * Math.max(p * (1 - p), 1e-4);
      for (let j = 0; j <= size; j++) {
        const at = j * width;
        for (let l = 0; l <= size; l++) system[at + l] = (system[at + l] as number) + curve * (x[j] as number) * (x[l] as number);
        system[at + size + 1] = (system[at + size + 1] as number) + share * (p - label) * (x[j] as number);
      }
    }
    const step = solve(system, size + 1);
    for (let j = 0; j <= size; j++) weights[j] = (weights[j] as number) - (step[j] as number);
  }
  const head = new Float64Array(size + 1);
  let constant = weights[size] as number;
  for (let j = 0; j < size; j++) {
    head[j] = (weights[j] as number) / (spread[j] as number);
    constant -= (head[j] as number) * (mean[j] as number);
  }
  head[size] = constant;
  return head;
}

/** Solves a system of linear equations, one row each with the right side last, by elimination; the matrix is positive definite. */
function solve(system: Float64Array, size: number): Float64Array {
  const width = size + 1;
  for (let i = 0; i < size; i++) {
    const pivot = (system[i * width + i] as number) + 1e-9;
    for (let r = 0; r < size; r++) {
      if (r === i) continue;
      const factor = (system[r * width + i] as number) / pivot;
      if (factor === 0) continue;
      for (let c = i; c < width; c++)
        system[r * width + c] = (system[r * width + c] as number) - factor * (system[i * width + c] as number);
    }
  }
  return Float64Array.from({ length: size }, (_, i) => (system[i * width + size] as number) / ((system[i * width + i] as number) + 1e-9));
}

// --- the model as it is used ----------------------------------------------------------------------------------------

type Weights = Pick<Model, 'stride' | 'weights' | 'scales' | 'postings'>;

/** The sum of both matrices in int8, each row with its own scale. */
function quantise({ stride, features, svm, softmax }: Fit, routes: number, [a, b]: [number, number]): Weights {
  const weights = new Int8Array(features * stride);
  const scales = new Float32Array(features);
  const row = new Float64Array(stride);
  for (let feature = 0; feature < features; feature++) {
    const start = feature * stride;
    let most = 1e-9;
    for (let k = 0; k < routes; k++) {
      const value = a * (svm[start + k] as number) + (softmax === null ? 0 : b * (softmax[start + k] as number));
      row[k] = value;
      if (value > most) most = value;
      else if (-value > most) most = -value;
    }
    scales[feature] = most / 127;
    const factor = 127 / most;
    for (let k = 0; k < routes; k++) weights[start + k] = Math.round((row[k] as number) * factor);
  }
  return { stride, weights, scales, postings: null };
}

/** Log-odds of a text that lies on a centroid. */
const CENTROID_SCALE = 25;

/** For very many routes: the mean vector of each route's examples, of length 1, kept by feature. */
function centroids(corpus: Corpus, { features, remap, idf }: Vocabulary): Weights {
  const routes = 1 + corpus.routeOf.reduce((most, route) => Math.max(most, route), -1);
  const sums: Map<number, number>[] = Array.from({ length: routes }, () => new Map());
  for (const [i, route] of corpus.routeOf.entries()) {
    const sum = sums[route] as Map<number, number>;
    for (let j = corpus.offsets[i] as number; j < (corpus.offsets[i + 1] as number); j++) {
      const feature = remap[corpus.ids[j] as number] as number;
      if (feature !== 0) sum.set(feature, (sum.get(feature) ?? 0) + (corpus.tf[j] as number) * (idf[feature] as number));
    }
  }
  const starts = new Int32Array(features + 1);
  for (const sum of sums) for (const feature of sum.keys()) starts[feature + 1] = (starts[feature + 1] as number) + 1;
  // What a quarter of the routes have in common tells them apart no more, and takes the most time.
  const common = starts.map((count) => (count > Math.max(50, routes / 4) ? 1 : 0)).subarray(1);
  for (let feature = 0; feature < features; feature++) if (common[feature] === 1) starts[feature + 1] = 0;
  for (let feature = 0; feature < features; feature++) starts[feature + 1] = (starts[feature + 1] as number) + (starts[feature] as number);
  const next = starts.slice();
  const total = starts[features] as number;
  const postings = { starts, routes: new Int32Array(total), weights: new Float32Array(total) };
  for (const [route, sum] of sums.entries()) {
    let norm = 0;
    for (const value of sum.values()) norm += value * value;
    const factor = norm > 0 ? CENTROID_SCALE / Math.sqrt(norm) : 0;
    for (const [feature, value] of sum) {
      if (common[feature] === 1) continue;
      const at = next[feature] as number;
      next[feature] = at + 1;
      postings.routes[at] = route;
      postings.weights[at] = value * factor;
    }
  }
  return { stride: 16, weights: new Int8Array(0), scales: new Float32Array(features), postings };
}

/** The model as it is used. */
function finish(corpus: Corpus, vocabulary: Vocabulary, rest: Omit<Judgement, 'scale'> & Weights & { routes: number }): Model {
  const { routes } = rest;
  const { features, remap, idf, idfUnknown } = vocabulary;
  let capacity = 64;
  while (capacity < features * 2) capacity *= 2;
  const keys = new Int32Array(capacity);
  const slots = new Int32Array(capacity);
  for (let id = 0; id < remap.length; id++) {
    const feature = remap[id] as number;
    if (feature === 0) continue;
    let at = (corpus.hashes[id] as number) & (capacity - 1);
    while (slots[at] !== 0) at = (at + 1) & (capacity - 1);
    keys[at] = corpus.hashes[id] as number;
    slots[at] = feature;
  }
  const routeStart = new Int32Array(routes + 1);
  for (let i = 0; i < corpus.size; i++) routeStart[(corpus.routeOf[i] as number) + 1] = i + 1;
  for (let r = 1; r <= routes; r++) if (routeStart[r] === 0) routeStart[r] = routeStart[r - 1] as number;
  const { starts, ids, norms } = indexExamples(
    corpus,
    Array.from({ length: corpus.size }, (_, i) => i),
    vocabulary,
  );
  return {
    routes,
    features,
    stride: rest.stride,
    weights: rest.weights,
    scales: rest.scales,
    postings: rest.postings,
    trust: rest.trust,
    rival: rest.rival,
    head: rest.head,
    threshold: rest.threshold,
    keys,
    slots,
    idf,
    idfUnknown,
    routeStart,
    exampleStart: starts,
    exampleIds: ids,
    exampleNorm: norms,
    exampleText: corpus.texts.slice(0, corpus.size),
  };
}

/** The features of each example, to find the one nearest to a text. */
function indexExamples(corpus: Corpus, members: number[], { features, remap, idf }: Vocabulary) {
  const starts = new Int32Array(members.length + 1);
  const all = features < 65_536 ? new Uint16Array(corpus.ids.length) : new Int32Array(corpus.ids.length);
  const norms = new Float32Array(members.length);
  let at = 0;
  for (const [i, member] of members.entries()) {
    let norm = 0;
    for (let j = corpus.offsets[member] as number; j < (corpus.offsets[member + 1] as number); j++) {
      const id = corpus.ids[j] as number;
      const feature = remap[id] as number;
      if (feature === 0) continue;
      all[at++] = feature;
      norm += (idf[feature] as number) ** 2;
    }
    starts[i + 1] = at;
    norms[i] = norm > 0 ? 1 / Math.sqrt(norm) : 0;
  }
  return { starts, ids: all.slice(0, at), norms };
}

const POWERS = Float64Array.from({ length: 32 }, (_, k) => 2 ** -k);

/** e^x for -20 < x <= 0, right to four digits. */
function exp(x: number): number {
  const t = x * -Math.LOG2E;
  const k = t | 0;
  const f = k - t;
  return (1 + f * (Math.LN2 + f * (0.2402265 + f * (0.0555041 + f * 0.0096181)))) * (POWERS[k] as number);
}

/** Mulberry32: a small generator of numbers from 0 to 1 that a seed decides. */
function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function shuffle<T extends number[] | Int32Array>(list: T, random: () => number): T {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const held = list[i] as number;
    list[i] = list[j] as number;
    list[j] = held;
  }
  return list;
}
