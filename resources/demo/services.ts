/** The small systems behind the demo routes. Each is real in what a caller can see of it: state, time, streams, failures. */
import { createHmac } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type Handler, pause, type Request, Status } from './service.ts';

interface Contact {
  id: number;
  name: string;
  company: string;
  email: string;
}

const firstNames = 'Ada Alan Barbara Donald Edsger Frances Grace Hedy Joan Karen Ken Leslie Margaret Niklaus Radia'.split(' ');
const companies = ['Harbour Freight', 'Northern Rail', 'Lucid Lamps', 'Quiet Kitchens', 'Tall Ships', 'Paper & Post'];

/** 150 contacts: fifteen people in ten towns. */
function contacts(): Contact[] {
  const towns = 'Ash Birch Cedar Elm Fir Hazel Linden Maple Oak Pine'.split(' ');
  return towns.flatMap((town, row) =>
    firstNames.map((first, column) => {
      const id = row * firstNames.length + column + 1;
      const company = companies[id % companies.length]!;
      return { id, name: `${first} ${town}`, company, email: `${first}.${town}@example.com`.toLowerCase() };
    }),
  );
}

/** A CRM. `sync` answers as seed 000 shows; `find` and `list` look into the contacts; `add` keeps one more. */
export function createCrm(): Handler {
  const all = contacts();
  return ({ path, text, fields }) => {
    if (!path.startsWith('/v1/salesforce')) throw new Status(404, `There is no ${path} here.`);
    const action =
      typeof fields.action === 'string' ? fields.action : (/\b(find|search|list|show|add)\b/i.exec(text)?.[1] ?? 'sync').toLowerCase();
    if (action === 'add') {
      const name = typeof fields.name === 'string' ? fields.name : null;
      if (!name) throw new Status(422, 'A contact needs a name.');
      const contact = { id: all.length + 1, name, company: String(fields.company ?? ''), email: String(fields.email ?? '') };
      all.push(contact);
      return { success: true, contact };
    }
    if (action === 'sync') {
      const objects = Array.isArray(fields.objects) ? fields.objects.map(String) : ['Contact'];
      return { success: true, synced: all.length, objects };
    }
    const ignored = new Set(
      'find search list show contact contacts salesforce crm the a in for of at from named all me my please'.split(' '),
    );
    const wanted = (typeof fields.name === 'string' ? fields.name : text).toLowerCase().split(/[^\p{L}\p{N}@.]+/u);
    const terms = wanted.filter((word) => word && !ignored.has(word));
    const found = all.filter((contact) =>
      terms.every((term) => `${contact.name} ${contact.company} ${contact.email}`.toLowerCase().includes(term)),
    );
    return { success: true, total: found.length, contacts: found.slice(0, 20) };
  };
}

const deploySteps = ['Building the image', 'Running the checks', 'Uploading', 'Rolling out', 'Watching the first requests'];

/** Writes a line of NDJSON twice a second that says how far it is; false when the caller went away before the time was over. */
async function pace(
  { signal, line }: Request,
  response: ServerResponse,
  { seconds, steps }: { seconds: number; steps: string[] },
): Promise<boolean> {
  const started = Date.now();
  const say = (progress: number, note: string) => response.write(`${JSON.stringify({ progress, note })}\n`);
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  for (;;) {
    const progress = Math.min(1, (Date.now() - started) / (seconds * 1000));
    if (progress >= 1) break;
    const note = steps[Math.floor(progress * steps.length)]!;
    say(Math.round(progress * 1000) / 1000, note);
    if (await pause(Math.min(500, (1 - progress) * seconds * 1000), signal)) continue;
    line.note = `stopped at ${Math.round(((Date.now() - started) / (seconds * 1000)) * 100)} % while ${note.toLowerCase()}`;
    return false;
  }
  say(1, 'Done');
  return true;
}

/** The field `seconds`; throws a Status when it is not more than 0 and at most 600. */
function secondsOf(fields: Record<string, unknown>, usual: number): number {
  const seconds = fields.seconds === undefined ? usual : Number(fields.seconds);
  if (!(seconds > 0 && seconds <= 600)) throw new Status(422, 'seconds must be more than 0 and at most 600.');
  return seconds;
}

/**
 * Takes `seconds` (20 unless said otherwise, at most 600) and tells how far it is. When the caller goes away it stops and says in its
 * ledger how far it had come.
 */
export function createDeploy(): Handler {
  let version = 41;
  return async (request, response) => {
    const { fields, text } = request;
    const seconds = secondsOf(fields, 20);
    if (!(await pace(request, response, { seconds, steps: deploySteps }))) return;
    version += 1;
    const target = typeof fields.target === 'string' ? fields.target : /\bto (\w+)\b/.exec(text)?.[1];
    response.end(`${JSON.stringify({ result: { deployed: true, version, target: target ?? 'production', seconds } })}\n`);
  };
}

/** Payments; every third request fails with 500. */
export function createFlaky(): Handler {
  let count = 0;
  return ({ fields }) => {
    count += 1;
    if (count % 3 === 0) throw new Status(500, `The payment provider hung up (request ${count}).`);
    return { success: true, charge: `ch_${String(count).padStart(6, '0')}`, amount: Number(fields.amount ?? 12.5), currency: 'EUR' };
  };
}

/** A report that takes three seconds, or `seconds`. */
export function createSlow(): Handler {
  return async ({ fields, signal, line }) => {
    const seconds = fields.seconds === undefined ? 3 : Math.min(60, Math.max(0, Number(fields.seconds) || 0));
    if (!(await pause(seconds * 1000, signal))) {
      line.note = 'stopped while drawing';
      return undefined;
    }
    const quarters = [31, 47, 29, 58];
    const rows = quarters.map((share, index) => ({ quarter: `Q${index + 1}`, orders: share * 10, bar: '█'.repeat(Math.round(share / 4)) }));
    return { title: 'Orders by quarter', rows };
  };
}

/** Health that takes longer than a well service should: reachable, and slow. */
export function createSlowHealth(ms = 2300): Handler {
  return async ({ signal }) => ((await pause(ms, signal)) ? { status: 'ok' } : undefined);
}

const slowSteps = ['Opening the mailbox', 'Reading', 'Thinking about it', 'Sorting', 'Writing it down'];

export interface Flows {
  handle: Handler;
  /** Callbacks that are on their way are not sent any more. */
  close(): void;
}

/**
 * Webhook flows as n8n offers them: `POST /webhook/<name>`. Most answer with what their last node gave. Those of demo-... are for trying
 * things out: slow takes `seconds`, echo answers its inputs, fail fails, callback answers at once and brings its result later, in a POST
 * that is signed with `secret`.
 */
export function createFlows({ secret }: { secret: string }): Flows {
  const closing = new AbortController();
  let executions = 0;
  const answered = (workflow: string, data: unknown) => ({ executionId: ++executions, workflow, data });

  async function callBack(address: string, job: string, seconds: number): Promise<void> {
    if (!(await pause(seconds * 1000, closing.signal))) return;
    const body = JSON.stringify({ job_id: job, status: 'succeeded', result: { called_back: true, seconds } });
    const timestamp = String(Math.floor(Date.now() / 1000));
    const signature = `sha256=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`;
    const headers = { 'content-type': 'application/json', 'x-dispatcher-timestamp': timestamp, 'x-dispatcher-signature': signature };
    await fetch(address, { method: 'POST', body, headers, signal: closing.signal });
  }

  const flows: Record<string, Handler> = {
    'daily-digest': () =>
      answered('daily-digest', { subject: 'Your day', items: ['3 deploys went out', '150 contacts are in step', 'nothing is on fire'] }),
    'invoice-paid': ({ fields }) => answered('invoice-paid', { recorded: true, invoice: fields.invoice ?? null }),
    echo: ({ fields, text }) => answered('echo', { text, fields }),
    'demo-echo': ({ line }) => line.body ?? {},
    'demo-fail': () => {
      throw new Status(500, 'The last node of this flow failed, as it always does.');
    },
    async 'demo-slow'(request, response) {
      const seconds = secondsOf(request.fields, 12);
      if (await pace(request, response, { seconds, steps: slowSteps }))
        response.end(`${JSON.stringify({ result: { done: true, seconds } })}\n`);
    },
    'demo-callback'({ fields, incoming, line }) {
      const { 'x-dispatcher-callback': address, 'x-dispatcher-job': job } = incoming.headers;
      if (typeof address !== 'string' || typeof job !== 'string') throw new Status(422, 'Nobody said where the result goes.');
      callBack(address, job, secondsOf(fields, 3)).catch((caught: unknown) => {
        line.note = `could not call back: ${caught instanceof Error ? caught.message : String(caught)}`;
      });
      return { message: 'Workflow was started' };
    },
  };
  return {
    handle(request, response) {
      const { method, path } = request;
      const name = /^\/webhook(?:-test)?\/([\w-]+)$/.exec(path)?.[1];
      const flow = name && Object.hasOwn(flows, name) ? flows[name] : undefined;
      if (!name || !flow) throw new Status(404, `The requested webhook "${method} ${path.replace(/^\/webhook\//, '')}" is not registered.`);
      if (method !== 'POST') throw new Status(404, `This webhook is not registered for ${method} requests.`);
      return flow(request, response);
    },
    close: () => closing.abort(),
  };
}

/** Takes results that are sent to a callback URL, and shows the newest of them. */
export function createInbox(): Handler {
  const results: { at: number; id: unknown; signature: unknown; body: unknown }[] = [];
  return ({ method, incoming, line }) => {
    if (method === 'GET') return { results };
    const { 'webhook-id': id = null, 'webhook-signature': signature = null } = incoming.headers;
    results.unshift({ at: line.at, id, signature, body: line.body });
    results.length = Math.min(results.length, 50);
    return { received: true };
  };
}

/** Stops and starts another demo service, so that a person can see what Dispatcher does about it. */
export function createControl(services: {
  names: string[];
  stop(name: string): Promise<void>;
  start(name: string): Promise<void>;
}): Handler {
  return async ({ fields, text }) => {
    const words = /\b(stop|start)\b(?:\s+the)?\s+(\w+)/i.exec(text);
    const [verb, name] = ['stop', 'start'].flatMap((key) => (typeof fields[key] === 'string' ? [[key, fields[key]]] : []))[0] ?? [
      words?.[1]?.toLowerCase(),
      words?.[2]?.toLowerCase(),
    ];
    if (!verb || !name || !services.names.includes(name)) {
      throw new Status(422, `Say which to stop or start: ${services.names.join(', ')}. For example {"stop": "crm"}.`);
    }
    await (verb === 'stop' ? services.stop(name) : services.start(name));
    return verb === 'stop' ? { stopped: name } : { started: name };
  };
}
