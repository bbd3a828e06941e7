/**
 * Forwards orders to the orchestrator behind a podium service, and follows what becomes of them on its stream. Nothing is decided here:
 * which stories may be enqueued, who works at them and in which order is the orchestrator's business, and its refusal is shown as it came.
 */
import type { EventBody } from '../../../shared/contract.ts';
import { Refusal, refuse, toWire } from '../../../shared/errors.ts';
import type { PodiumState, Route } from '../../../shared/model.ts';
import { type Breakers, breakerOpen, endpointKey } from '../breaker.ts';
import { type Egress, EgressRefusal } from '../egress.ts';
import { createFollowing, type Following } from '../podium/following.ts';
import { type PodiumRole, signToken } from '../podium/jwt.ts';
import { type Command, type Order, readOrder } from '../podium/order.ts';
import { idsIn, type StoryWords, sameStory, storiesIn, wordsIn } from '../podium/stories.ts';
import { openStream, type PodiumStream } from '../podium/stream.ts';
import { beginAttempt } from './attempt.ts';
import { verdict } from './http.ts';
import { readAnswer, wordsOf } from './protocol.ts';
import type { Outcome, Run, Runner } from './runner.ts';

export interface PodiumParts {
  /** Those of kind podium. */
  routes(): Route[];
  egress: Egress;
  breakers: Breakers;
  /** Value of an environment variable; null when it is not set. */
  secret(name: string): string | null;
  /** Milliseconds since the epoch. */
  clock(): number;
  /** 0..1. */
  random(): number;
  /** Gets `podium` when the state of a stream changed, and `upstream` with each message as it came; `bytes` is how large it is. */
  publish(body: EventBody, signal: string | null, bytes: number): void;
  /** First and longest pause between two tries to connect, in ms; 500 and 30 000 if not given. */
  backoffMs?: number;
  backoffMaxMs?: number;
  /** Time between two pings, in ms; 15 000 if not given. */
  beatMs?: number;
}

export interface Podium extends AsyncDisposable {
  run: Runner;
  /** Opens the streams of the podium routes there are now, and closes those of routes that are gone or have moved. */
  refresh(): void;
  states(): PodiumState[];
  /** GET /api/status as it came, asked once for however many ask at the same time. Rejects with Refusal. */
  status(route: Route): Promise<unknown>;
}

/** An order is answered within this, in ms; what it started may last longer. */
const commandMs = 30_000;
/** Time for the orchestrator to take back a story that was cancelled here, in ms. */
const cancelMs = 3000;

interface Upstream {
  route: Route;
  base: string;
  stream: PodiumStream;
}

/** What a request needs of the call it belongs to. */
interface Letter {
  path: string;
  body: Command | null;
  subject: string;
  /** Of the attempt; null for one that only looks. */
  id: string | null;
  traceparent: string | null;
  signal?: AbortSignal;
  timeoutMs: number;
}

/**
 * Codes of `run`: input_invalid (no order), registry_invalid (no endpoint), upstream_failed (refused by the orchestrator, or the story failed),
 * cancelled (the story was), unknown_outcome (the service left the registry meanwhile), breaker_open, and those of Egress.request.
 *
 * An order that enqueues lasts until its stories have ended, so that its lane is held; when there is no stream it ends with the answer, and says
 * so. A halt, which no breaker holds up, sends STOP_ORCHESTRATOR, so that no story begins, and CANCEL_STORY for each that runs; it succeeds when one of them was taken.
 */
export function createPodium(parts: PodiumParts): Podium {
  const { egress, breakers, clock, random, publish, backoffMs = 500, backoffMaxMs = 30_000, beatMs = 15_000 } = parts;
  const upstreams = new Map<string, Upstream>();
  const asked = new Map<Upstream, Promise<unknown>>();
  let disposed = false;

  function upstreamOf(route: Route): Upstream {
    const known = upstreams.get(route.name);
    if (known !== undefined && sameAddress(known.route, route)) return known;
    known?.stream.close();
    const base = route.endpoint!.replace(/\/+$/, '').replace(/\/api\/command$/, '');
    const headers = () => authorization(route, { subject: 'dispatcher', role: 'viewer' });
    const stream = openStream(
      { egress, clock, random, publish, backoffMs, backoffMaxMs, beatMs },
      { route, address: `${base}/ws`, headers },
    );
    const upstream = { route, base, stream };
    upstreams.set(route.name, upstream);
    return upstream;
  }

  function authorization(route: Route, { subject, role }: { subject: string; role: PodiumRole }): Record<string, string> {
    const secret = route.auth === null ? null : parts.secret(route.auth.env);
    return secret === null || secret === '' ? {} : { authorization: `Bearer ${signToken(secret, { subject, role, now: clock() })}` };
  }

  /** Asks the orchestrator; its answer, whatever it is. Throws EgressRefusal. */
  async function ask({ route, base }: Upstream, letter: Letter) {
    const { path, body, subject, id, traceparent, signal, timeoutMs } = letter;
    const answer = await egress.request({
      url: base + path,
      method: body === null ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        'user-agent': 'dispatcher',
        ...(id !== null && { 'idempotency-key': id }),
        ...(traceparent !== null && { traceparent }),
        ...(body !== null && { 'content-type': 'application/json' }),
        ...authorization(route, { subject, role: body === null ? 'viewer' : 'admin' }),
      },
      body: body === null ? null : JSON.stringify(body),
      egress: route.egress,
      signal,
      timeoutMs,
      maxBytes: route.maxResponseBytes,
    });
    return { status: answer.status, outcome: readAnswer(route, answer) };
  }

  /**
   * One order of a run, as an attempt of it; without a command its status is asked for. `sent`: it may have been acted on, whatever the outcome
   * says. `urgent`: an open breaker does not hold it up.
   */
  async function order(
    upstream: Upstream,
    run: Run,
    { command, urgent = false }: { command: Command | null; urgent?: boolean },
  ): Promise<{ outcome: Outcome; sent: boolean }> {
    const { route } = upstream;
    const startedAt = clock();
    const key = endpointKey(upstream.base);
    const permit = urgent ? null : breakers.permit(key);
    if (permit?.ok === false) return { outcome: { ok: false, error: breakerOpen(breakers.state(key), permit.retryAfterMs) }, sent: false };
    const attempt = beginAttempt(run, { endpoint: route.endpoint, at: startedAt });
    const { id } = attempt;
    const path = command === null ? '/api/status' : '/api/command';
    let outcome: Outcome;
    let sent = true;
    try {
      const { traceparent, signal } = run;
      const timeoutMs = Math.min(commandMs, run.deadlineAt - startedAt);
      const answer = await ask(upstream, { path, body: command, subject: run.principal.id, id, traceparent, signal, timeoutMs });
      permit?.done(answer.status < 500);
      attempt.status = answer.status;
      outcome = command === null ? answer.outcome : judged(route, command, answer.outcome);
    } catch (caught) {
      permit?.done(verdict(toWire(caught), run.cutoff.reason !== null));
      if (!(caught instanceof EgressRefusal)) throw caught;
      sent = caught.sent;
      outcome = { ok: false, error: caught.wire };
    }
    attempt.durationMs = clock() - startedAt;
    if (!outcome.ok) attempt.error = outcome.error.code;
    if (sent) leave(upstream, run, { path, command });
    return { outcome, sent };
  }

  async function halt(upstream: Upstream, run: Run): Promise<Outcome> {
    const stop = await order(upstream, run, { command: { type: 'STOP_ORCHESTRATOR' }, urgent: true });
    if (!stop.outcome.ok && stop.outcome.error.code !== 'upstream_failed') return stop.outcome;
    const now = await order(upstream, run, { command: null, urgent: true });
    const running = now.outcome.ok ? runningIn(now.outcome.result) : [];
    const answers: { command: string; story: string | null; outcome: Outcome }[] = [
      { command: 'STOP_ORCHESTRATOR', story: null, outcome: stop.outcome },
    ];
    for (const story of running) {
      const { outcome } = await order(upstream, run, { command: { type: 'CANCEL_STORY', storyId: story }, urgent: true });
      answers.push({ command: 'CANCEL_STORY', story, outcome });
    }
    const refusals = answers.flatMap(({ outcome }) => (outcome.ok ? [] : [outcome.error]));
    if (refusals.length === answers.length) return { ok: false, error: refusals[0]! };
    const told = answers.map(({ command, story, outcome }) => ({
      command,
      story,
      ...(outcome.ok ? { answer: outcome.result } : { refused: outcome.error.message }),
    }));
    return { ok: true, result: { complete: refusals.length === 0, commands: told } };
  }

  async function enqueue(upstream: Upstream, run: Run, { command, story }: Extract<Order, { kind: 'enqueue' }>): Promise<Outcome> {
    const { stream } = upstream;
    // Heard from before the order is sent, so that no story can be over before anybody listens.
    const live = await unless(run.signal, stream.ready());
    if (live === null) return { ok: false, error: run.cutoff.reason! };
    const stories = createFollowing();
    using heard = new DisposableStack();
    if (live) heard.defer(stream.listen(stories.hear));
    const { outcome, sent } = await order(upstream, run, { command });
    const ids = story !== null ? [story] : outcome.ok ? idsIn(outcome.result) : [];
    if (!outcome.ok) {
      if (sent && run.cutoff.reason !== null) await takeBack(upstream, run, ids);
      return outcome;
    }
    if (!live || ids.length === 0) {
      const note = live
        ? 'The orchestrator did not say which stories these are, so they were not followed.'
        : 'There was no stream to the orchestrator: this says that it was accepted, not that it is done.';
      return { ok: true, result: { command: outcome.result, followed: false, note, stories: {} } };
    }
    stories.follow(ids);
    return (await lasting(upstream, run, stories)) ?? stories.outcome(run.route, outcome.result);
  }

  /** Until every story has ended, or something else ends the run: that is the answer. */
  async function lasting(upstream: Upstream, run: Run, stories: Following): Promise<Outcome | null> {
    const { route, stream } = upstream;
    run.signal.addEventListener('abort', stories.wake);
    using _ = { [Symbol.dispose]: () => run.signal.removeEventListener('abort', stories.wake) };
    for (;;) {
      if (stories.over()) return null;
      const { reason } = run.cutoff;
      if (reason !== null) {
        await takeBack(upstream, run, stories.open());
        return stories.over() ? null : { ok: false, error: reason };
      }
      if (stream.closed)
        return {
          ok: false,
          error: refuse('unknown_outcome', `${route.name} left the registry while ${stories.open().join(', ')} ran.`, {
            hint: 'Look there whether it is done.',
          }),
        };
      const missed = await stories.news();
      const now = missed ? await unless(run.signal, look(upstream)) : null;
      for (const story of now ?? []) stories.see(story);
      const { connected, detail } = stream.state();
      run.progress(stories.share(), connected ? stories.note() : `The stream is away: ${detail}`);
    }
  }

  /** The stories as /api/status has them now; none when it cannot be had, since the stream will be tried again. */
  async function look(upstream: Upstream): Promise<StoryWords[]> {
    return upstream.stream.closed ? [] : storiesIn(await statusOf(upstream).catch(() => null));
  }

  async function takeBack(upstream: Upstream, run: Run, ids: string[]): Promise<void> {
    // A core that closes leaves the orchestrator to its work.
    if (run.cutoff.reason?.code === 'shutting_down') return;
    const { traceparent } = run;
    const one = async (storyId: string) => {
      const body = { type: 'CANCEL_STORY', storyId };
      const path = '/api/command';
      const letter = { path, body, subject: run.principal.id, id: run.newAttemptId(), traceparent, timeoutMs: cancelMs };
      leave(upstream, run, { path, command: body });
      try {
        const said = judged(upstream.route, body, (await ask(upstream, letter)).outcome);
        return said.ok ? wordsOf(said.result) || `${storyId} is cancelled.` : `${storyId} may go on: ${said.error.message}`;
      } catch (caught) {
        return `${storyId} may go on: ${toWire(caught).message}`;
      }
    };
    run.progress(null, (await Promise.all(ids.map(one))).join(' '));
  }

  function statusOf(upstream: Upstream): Promise<unknown> {
    const under = asked.get(upstream);
    if (under !== undefined) return under;
    const timeoutMs = Math.min(commandMs, upstream.route.timeoutMs);
    const answer = ask(upstream, { path: '/api/status', body: null, subject: 'dispatcher', id: null, traceparent: null, timeoutMs })
      .then(({ outcome }) => {
        if (outcome.ok) return outcome.result;
        throw new Refusal(outcome.error);
      })
      .finally(() => asked.delete(upstream));
    asked.set(upstream, answer);
    return answer;
  }

  return {
    async run(run) {
      const { route } = run;
      const wanted = readOrder(run);
      if ('code' in wanted) return { ok: false, error: wanted };
      if (route.endpoint === null)
        return {
          ok: false,
          error: refuse('registry_invalid', `${route.name} has no endpoint.`, { hint: 'Give it the address of Podium.' }),
        };
      const upstream = upstreamOf(route);
      switch (wanted.kind) {
        case 'status':
          return (await order(upstream, run, { command: null })).outcome;
        case 'command':
          return (await order(upstream, run, { command: wanted.command })).outcome;
        case 'halt':
          return halt(upstream, run);
        case 'enqueue':
          return enqueue(upstream, run, wanted);
      }
    },
    refresh() {
      if (disposed) return;
      const wanted = new Map(parts.routes().map((route) => [route.name, route]));
      for (const [name, { stream }] of upstreams) {
        if (wanted.has(name)) continue;
        stream.close();
        upstreams.delete(name);
      }
      for (const route of wanted.values()) if (route.endpoint !== null) upstreamOf(route);
    },
    states: () => [...upstreams.values()].map(({ stream }) => stream.state()),
    status: (route) => statusOf(upstreamOf(route)),
    async [Symbol.asyncDispose]() {
      disposed = true;
      for (const { stream } of upstreams.values()) stream.close();
      upstreams.clear();
    },
  };
}

/** Notes what leaves the machine. */
function leave({ route, base }: Upstream, run: Run, { path, command }: { path: string; command: Command | null }): void {
  if (route.egress === 'local') return;
  const bytes = path.length + (command === null ? 0 : Buffer.byteLength(JSON.stringify(command)));
  run.left.push({ bytes, egress: route.egress, host: new URL(base).host });
}

/** What the orchestrator said to a command: `success: false` is its refusal, in its own words. */
function judged(route: Route, { type }: Command, outcome: Outcome): Outcome {
  if (!outcome.ok || wordsIn(outcome.result).success !== false) return outcome;
  const words = wordsOf(outcome.result);
  return {
    ok: false,
    error: refuse('upstream_failed', `${route.name} refused ${type}${words === '' ? '.' : `: ${words}`}`, { status: 200 }),
  };
}

/** The stories that run, as /api/status has them. */
function runningIn(status: unknown): string[] {
  const { current } = wordsIn(status);
  const running = storiesIn(status).filter((story) => /^(in_progress|running)$/i.test(story.status));
  const ids = running.map((story) => story.id);
  return typeof current === 'string' && !ids.some((id) => sameStory(id, current)) ? [current, ...ids] : ids;
}

function sameAddress(one: Route, other: Route): boolean {
  return one.endpoint === other.endpoint && one.egress === other.egress && one.auth?.env === other.auth?.env;
}

/** What the promise brings, or null when the signal is aborted first. */
async function unless<Value>(signal: AbortSignal, promise: Promise<Value>): Promise<Value | null> {
  const { promise: aborted, resolve } = Promise.withResolvers<null>();
  const onAbort = () => resolve(null);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
