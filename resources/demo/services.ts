/** The small systems behind the demo routes. Each is real in what a caller can see of it: state, time, streams, failures. */
import { type Handler, pause, Status } from './service.ts';

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

/**
 * Takes `seconds` (20 unless said otherwise, at most 600) and tells how far it is by a line of NDJSON twice a second. When
 * the caller goes away it stops and says in its ledger how far it had come.
 */
export function createDeploy(): Handler {
  let version = 41;
  return async ({ fields, text, signal, line }, response) => {
    const seconds = fields.seconds === undefined ? 20 : Number(fields.seconds);
    if (!(seconds > 0 && seconds <= 600)) throw new Status(422, 'seconds must be more than 0 and at most 600.');
    const started = Date.now();
    const say = (value: unknown) => response.write(`${JSON.stringify(value)}\n`);
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    for (;;) {
      const progress = Math.min(1, (Date.now() - started) / (seconds * 1000));
      if (progress >= 1) break;
      const note = deploySteps[Math.floor(progress * deploySteps.length)]!;
      say({ progress: Math.round(progress * 1000) / 1000, note });
      if (!(await pause(Math.min(500, (1 - progress) * seconds * 1000), signal))) {
        line.note = `stopped at ${Math.round(((Date.now() - started) / (seconds * 1000)) * 100)} % while ${note.toLowerCase()}`;
        return;
      }
    }
    say({ progress: 1, note: 'Done' });
    version += 1;
    const target = typeof fields.target === 'string' ? fields.target : /\bto (\w+)\b/.exec(text)?.[1];
    say({ result: { deployed: true, version, target: target ?? 'production', seconds } });
    response.end();
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

/** Webhook flows as n8n offers them: `POST /webhook/<name>`. Each flow answers with what its last node gave. */
export function createFlows(): Handler {
  const flows: Record<string, (fields: Record<string, unknown>, text: string) => unknown> = {
    'daily-digest': () => ({ subject: 'Your day', items: ['3 deploys went out', '150 contacts are in step', 'nothing is on fire'] }),
    'invoice-paid': (fields) => ({ recorded: true, invoice: fields.invoice ?? null }),
    echo: (fields, text) => ({ text, fields }),
  };
  let executions = 0;
  return ({ method, path, fields, text }) => {
    const name = /^\/webhook(?:-test)?\/([\w-]+)$/.exec(path)?.[1];
    const flow = name && Object.hasOwn(flows, name) ? flows[name] : undefined;
    if (!name || !flow) throw new Status(404, `The requested webhook "${method} ${path.replace(/^\/webhook\//, '')}" is not registered.`);
    if (method !== 'POST') throw new Status(404, `This webhook is not registered for ${method} requests.`);
    executions += 1;
    return { executionId: executions, workflow: name, data: flow(fields, text) };
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
