/** Routes of kind mcp: the tools of the MCP servers that the registry declares and somebody has approved. */
import { platform } from 'node:os';
import type { CallToolResult } from '@modelcontextprotocol/client';
import { onlyRefusals, Refusal, refuse, toWire, type WireError } from '../../../shared/errors.ts';
import type { Attempt, McpServer, McpSpec, Route } from '../../../shared/model.ts';
import type { Egress } from '../egress.ts';
import { commandLine, inert } from '../mcp/display.ts';
import { createServer, type Server } from '../mcp/server.ts';
import { type Approval, approve, definitionOf, type KnownTool, knownTools, readApproval } from '../mcp/tools.ts';
import type { Implementation } from '../operations.ts';
import { beginAttempt } from './attempt.ts';
import type { Outcome, Run, Runner } from './runner.ts';

export interface McpParts {
  /** The servers as the registry declares them now. */
  specs(): McpSpec[];
  /** What was approved, by server, as JSON that survives a restart. Read once. */
  approvals: { get(): Record<string, unknown>; set(approvals: Record<string, unknown>): Promise<void> };
  egress: Egress;
  sovereign(): boolean;
  /** The value of an environment variable, null when it is not set. Children get PATH, HOME and LANG of it too. */
  secret(name: string): string | null;
  /** Milliseconds since the epoch. */
  clock(): number;
  /** State, tools or approvals of some server changed; once a turn of the event loop. */
  onChange(servers: McpServer[]): void;
  /** `routes()` answers something else now. */
  onRoutes(): void;
  /** Bound on becoming ready, milliseconds. A package that has to be downloaded first takes long. */
  startMs?: number;
  /** Between SIGTERM and SIGKILL, milliseconds. */
  graceMs?: number;
  /** What a server that was asked to stop a call has to show that it lives, milliseconds. */
  hangMs?: number;
  /** So many servers become ready at one time; others wait for their turn. */
  startsAtOnce?: number;
}

type Operations = Pick<Implementation, 'OS.mcp' | 'OS.mcp.approve' | 'OS.mcp.refresh' | 'OS.mcp.stop'>;

export interface McpHub extends AsyncDisposable {
  runner: Runner;
  /** One for each tool that is known, MCP.<server>.<tool>. What a route says of its tool is what somebody approved. */
  routes(): Route[];
  servers(): McpServer[];
  /** Why the server of a route may not be reached now, for the sovereign boundary; null when it may. */
  refusal(route: Route): WireError | null;
  /** The registry, or the sovereign switch, has changed: what is gone, is declared otherwise or may not run any more is ended. */
  configure(): void;
  operations: Operations;
}

interface Entry {
  spec: McpSpec;
  definition: string;
  /** null: it is not approved as it stands. */
  approval: Approval | null;
  server: Server;
  known: KnownTool[];
}

const MOST_SHOWN = 4000;
const MOST_SAID = 2000;
const MOST_RESPONSE_BYTES = 8 * 1024 ** 2;

/**
 * While sovereign is on, a program that is declared local is started without a network, or not at all where the system does not allow that;
 * it then does not reach other programs of this machine either. Others are not started.
 *
 * Nothing is started, and no address called, before its definition (argv, folder, environment, address, auth, egress) was approved; a tool
 * is not called while its definition is not the approved one. Arguments are judged by the server. What the runner answers is what the tool
 * answered, `{content, structuredContent}`; a tool that says it failed is `upstream_failed` with its words.
 * Codes of the runner: route_unknown, confirm_required, sovereign_refused, breaker_open, registry_invalid, input_invalid, cancelled,
 * upstream_unreachable, upstream_timeout, upstream_failed, upstream_too_large, and over HTTP those of Egress.request.
 */
export function createMcpHub(parts: McpParts): McpHub {
  const { approvals, egress, sovereign, secret, clock } = parts;
  const { startMs = 60_000, graceMs = 1000, hangMs = 1000, startsAtOnce = 4 } = parts;
  const turn = createTurns(startsAtOnce);
  const entries = new Map<string, Entry>();
  const ending = new Set<Promise<void>>();
  /** What a person was shown before it was confirmed, by server and tool. */
  const shownTo = new Map<string, string>();
  let kept = approvals.get();
  let open = false;
  let told = false;
  let routesTold = '[]';
  let keeping: Promise<void> = Promise.resolve();

  // --- what is known ---------------------------------------------------------------------------------------------------

  /** One at a time, because each is made of what the one before left. */
  async function keep(entry: Entry, change: (before: Approval | null) => Approval): Promise<void> {
    const done = keeping.then(async () => {
      // Declared otherwise meanwhile: what was agreed to is not there any more.
      if (entries.get(entry.spec.name) !== entry) return;
      const approval = change(entry.approval);
      const next = { ...kept, [entry.spec.name]: approval };
      await approvals.set(next);
      kept = next;
      entry.approval = approval;
      learn(entry);
    });
    keeping = done.catch(() => {});
    await done;
  }

  /** Its tools, or what is approved of them, changed. */
  function learn(entry: Entry): void {
    const { approval, spec, server } = entry;
    const live = server.tools();
    entry.known = approval === null ? [] : knownTools(spec.name, live, approval.tools ?? approvedNow(live ?? []));
    changed();
    tellRoutes();
  }

  function changed(): void {
    if (told || !open) return;
    told = true;
    setImmediate(() => {
      told = false;
      if (open) parts.onChange(servers());
    });
  }

  function tellRoutes(): void {
    const text = JSON.stringify(routes());
    if (text === routesTold) return;
    routesTold = text;
    if (open) parts.onRoutes();
  }

  function servers(): McpServer[] {
    return [...entries.values()].map(shown);
  }

  function shown(entry: Entry): McpServer {
    const { spec, server, known } = entry;
    const approved = entry.approval !== null;
    const { state, detail, pid, startedAt } = server.life();
    return {
      name: spec.name,
      transport: spec.transport.kind,
      target: targetOf(spec),
      state: approved ? state : 'unapproved',
      detail: approved ? detail : 'Nothing of it is started before somebody has approved it.',
      approved,
      tools: known.map((tool) => tool.shown),
      pid,
      startedAt,
    };
  }

  function routes(): Route[] {
    return [...entries.values()].flatMap(({ spec, known }) => known.map((tool) => routeOf(spec, tool)));
  }

  // --- the servers of the registry ---------------------------------------------------------------------------------------

  function configure(): void {
    const specs = new Map(parts.specs().map((spec) => [spec.name, spec]));
    for (const [name, entry] of entries) {
      const spec = specs.get(name);
      if (spec !== undefined && definitionOf(spec) === entry.definition) entry.spec = spec;
      else {
        entries.delete(name);
        retire(
          entry,
          refuse('upstream_failed', `The MCP server ${name} was taken out of the registry, or declared otherwise, and was ended.`),
        );
      }
    }
    for (const spec of specs.values()) if (!entries.has(spec.name)) add(spec);
    for (const entry of entries.values()) {
      const { state, confined } = entry.server.life();
      if (state !== 'ready' && state !== 'starting') continue;
      const refusal = refusalOf(entry.spec);
      if (refusal !== null) retire(entry, refusal);
      else if (sovereign() && entry.spec.transport.kind === 'stdio' && !confined)
        retire(entry, sovereignRefusal(entry.spec, 'was ended; it starts again without a network'));
    }
    changed();
    tellRoutes();
  }

  function add(spec: McpSpec): void {
    const { name } = spec;
    const definition = definitionOf(spec);
    const agreed = Object.hasOwn(kept, name) ? readApproval(kept[name]) : null;
    const server = createServer({
      name,
      spec: () => entry.spec,
      egress,
      confine: () => entry.spec.transport.kind === 'stdio' && sovereign(),
      secret,
      clock,
      turn,
      startMs,
      graceMs,
      hangMs,
      onState: changed,
      onTools: () => void settle(entry),
    });
    const entry: Entry = { spec, definition, approval: agreed?.definition === definition ? agreed : null, server, known: [] };
    entries.set(name, entry);
    learn(entry);
  }

  /** What a server has when it is first asked after its approval is what was approved. */
  async function settle(entry: Entry): Promise<void> {
    learn(entry);
    const tools = entry.server.tools();
    if (tools === null || entry.approval?.tools !== null) return;
    // If that cannot be written, it is the next start that settles it.
    await keep(entry, (before) => ({ definition: entry.definition, tools: before?.tools ?? approvedNow(tools) })).catch(onlyRefusals);
  }

  function retire({ server }: Entry, reason: WireError): void {
    const done: Promise<void> = server.stop(reason).finally(() => ending.delete(done));
    ending.add(done);
  }

  function refusalOf(spec: McpSpec): WireError | null {
    const { transport, egress: reach } = spec;
    if (transport.kind === 'http') return egress.check(transport.url, reach);
    if (!sovereign()) return null;
    // What a program does with a network cannot be told apart, so it has one or none.
    if (reach !== 'local') return sovereignRefusal(spec, `is declared to reach ${classWords[reach]}, so it is not started`);
    return platform() === 'linux' ? null : sovereignRefusal(spec, 'cannot be kept from the network on this system, so it is not started');
  }

  function entryOf(name: string): Entry {
    const entry = entries.get(name);
    if (entry !== undefined) return entry;
    throw new Refusal(
      refuse('not_found', `There is no MCP server ${inert(name, 100)}.`, {
        hint: entries.size === 0 ? 'Declare one in the registry under mcp.' : `Servers: ${[...entries.keys()].slice(0, 20).join(', ')}.`,
      }),
    );
  }

  /** Starts it if need be. Rejects with Refusal when it may not be started, or cannot. */
  async function ready(entry: Entry, signal: AbortSignal): Promise<void> {
    if (!open) throw new Refusal(refuse('shutting_down', 'Dispatcher is shutting down.'));
    if (entry.approval === null) {
      throw new Refusal(
        refuse(
          'confirm_required',
          `The MCP server ${entry.spec.name} is not approved as it stands in the registry: ${targetOf(entry.spec)}`,
          {
            hint: 'Look at it and approve it: OS.mcp.approve, or Queue, MCP servers.',
          },
        ),
      );
    }
    const refusal = refusalOf(entry.spec);
    if (refusal !== null) throw new Refusal(refusal);
    await entry.server.ready(signal);
  }

  // --- calls -----------------------------------------------------------------------------------------------------------

  /** The tool of a route, as its server has it now and somebody approved it. */
  function toolOf(entry: Entry, route: Route) {
    const tool = entry.known.find(({ name }) => name === route.mcp?.tool);
    if (tool?.live == null)
      throw new Refusal(
        refuse('route_unknown', `The MCP server ${entry.spec.name} no longer has ${route.name}.`, { hint: 'See what it has with OS.mcp.' }),
      );
    const { approval } = tool.shown;
    if (approval === 'approved') return tool.live;
    throw new Refusal(
      refuse(
        'confirm_required',
        `${route.name} is ${approval === 'new' ? 'new' : 'not what was approved any more'}, so it was not called.`,
        {
          hint: 'Look at what it says it does now and approve it: OS.mcp.approve, or Queue, MCP servers.',
        },
      ),
    );
  }

  async function call(run: Run, attempt: Attempt): Promise<CallToolResult> {
    const { route, params } = run;
    for (let again = true; ; again = false) {
      const entry = entries.get(route.mcp!.server);
      if (entry === undefined)
        throw new Refusal(refuse('route_unknown', `The MCP server ${route.mcp!.server} is not in the registry any more.`));
      await ready(entry, run.signal);
      const tool = toolOf(entry, route);
      const { spec } = entry;
      // A program that may go outside is taken to send what it is given.
      if (spec.egress !== 'local') {
        const host = spec.transport.kind === 'http' ? new URL(spec.transport.url).host : `mcp:${spec.name}`;
        run.left.push({ host, egress: spec.egress, bytes: Buffer.byteLength(JSON.stringify(params)) });
      }
      try {
        return await entry.server.call({
          tool,
          params,
          meta: { traceparent: run.traceparent, 'dispatcher/idempotency-key': attempt.id },
          signal: run.signal,
          onProgress: (progress, note) => run.progress(progress, note),
        });
      } catch (caught) {
        // It knows nothing of the session, so it did nothing: a new one is what the protocol asks for (2025-11-25, session management).
        if (!again || spec.transport.kind !== 'http' || toWire(caught).status !== 404) throw caught;
      }
    }
  }

  const runner: Runner = async (run): Promise<Outcome> => {
    const { route } = run;
    const spec = entries.get(route.mcp!.server)?.spec;
    const endpoint = spec?.transport.kind === 'http' ? spec.transport.url : null;
    const attempt = beginAttempt(run, { endpoint, at: clock() });
    const began = performance.now();
    let outcome: Outcome;
    try {
      outcome = outcomeOf(route, await call(run, attempt));
    } catch (caught) {
      if (!(caught instanceof Refusal)) throw caught;
      outcome = { ok: false, error: caught.wire };
    }
    attempt.durationMs = Math.round((performance.now() - began) * 1000) / 1000;
    attempt.error = outcome.ok ? null : outcome.error.code;
    return outcome;
  };

  // --- approval --------------------------------------------------------------------------------------------------------

  /** Passes once what is meant now was confirmed: what became another between showing and confirming is shown again. */
  function confirmed(key: string, { text, of }: { text: string; of: string }, run: Run): void {
    const seen = shownTo.get(key) ?? of;
    shownTo.set(key, of);
    if (run.runtime.confirmed && seen === of) return void shownTo.delete(key);
    throw new Refusal(refuse('confirm_required', text, { hint: 'Send it again with confirm: true.' }));
  }

  async function approveServer(entry: Entry, run: Run): Promise<void> {
    const { spec, server, definition } = entry;
    const tools = server.tools();
    const now = tools === null ? null : approvedNow(tools);
    confirmed(spec.name, { text: aboutServer(spec), of: JSON.stringify([definition, now]) }, run);
    await keep(entry, () => ({ definition, tools: now }));
    server.forgive();
    // The approval stands whether it can be started or not; `failed` and its detail say that.
    if (refusalOf(spec) === null) await server.ready(run.signal).catch(onlyRefusals);
  }

  async function approveTool(entry: Entry, named: string, run: Run): Promise<void> {
    const tool = entry.known.find(({ name, shown: { route } }) => route === named || name === named);
    if (tool === undefined)
      throw new Refusal(
        refuse('not_found', `${entry.spec.name} has no tool ${inert(named, 100)} that is known.`, {
          hint: entry.approval === null ? 'Approve the server first.' : 'See what it has with OS.mcp.',
        }),
      );
    // What was approved and is not running stays as it is.
    if (tool.live === null) return;
    const agreed = approve(tool.live);
    confirmed(`${entry.spec.name} ${tool.name}`, { text: aboutTool(tool), of: agreed.hash }, run);
    await keep(entry, (before) => ({ definition: entry.definition, tools: { ...before?.tools, [tool.name]: agreed } }));
  }

  const operations: Operations = {
    'OS.mcp': () => ({ servers: servers() }),
    async 'OS.mcp.approve'({ server, tool }, _by, run) {
      const entry = entryOf(server);
      await (tool === undefined ? approveServer(entry, run) : approveTool(entry, tool, run));
      return shown(entry);
    },
    async 'OS.mcp.refresh'({ server }, _by, run) {
      const entry = entryOf(server);
      entry.server.forgive();
      const runs = entry.server.life().state === 'ready';
      await ready(entry, run.signal);
      if (runs) await entry.server.refresh();
      return shown(entry);
    },
    async 'OS.mcp.stop'({ server }, by) {
      const entry = entryOf(server);
      await entry.server.stop(refuse('upstream_failed', `The MCP server ${server} was stopped by ${inert(by.name, 100)}.`));
      return shown(entry);
    },
  };

  configure();
  // Nobody is told before there is a hub to ask.
  open = true;

  return {
    runner,
    routes,
    servers,
    refusal(route) {
      const entry = entries.get(route.mcp?.server ?? '');
      return entry === undefined ? null : refusalOf(entry.spec);
    },
    configure,
    operations,
    async [Symbol.asyncDispose]() {
      open = false;
      for (const entry of entries.values()) retire(entry, refuse('shutting_down', 'Dispatcher is shutting down.'));
      while (ending.size > 0) await Promise.all(ending);
    },
  };
}

/** Lets `most` works run at one time; the others wait in line. */
function createTurns(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const line: (() => void)[] = [];
  return async (work) => {
    if (running >= most) await new Promise<void>((go) => line.push(go));
    else running += 1;
    try {
      return await work();
    } finally {
      // The place goes straight to the next in line.
      const next = line.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}

function approvedNow(tools: Parameters<typeof approve>[0][]): NonNullable<Approval['tools']> {
  return Object.fromEntries(tools.map((tool) => [tool.name, approve(tool)]));
}

function sovereignRefusal({ name }: McpSpec, what: string): WireError {
  return refuse('sovereign_refused', `Sovereign is on: the MCP server ${name} ${what}.`, {
    hint: 'Turn sovereign off, or use a server that needs no network.',
  });
}

const classWords = { local: 'this machine only', lan: 'the private network', remote: 'anywhere' };

function targetOf({ transport }: McpSpec): string {
  if (transport.kind === 'stdio') return commandLine(transport.argv);
  return URL.parse(transport.url)?.href ?? commandLine([transport.url]);
}

/** All that is agreed to with a server, in full. */
function aboutServer(spec: McpSpec): string {
  const { name, transport, auth, egress } = spec;
  const reach = classWords[egress];
  if (transport.kind === 'http') {
    const secret = auth === null ? '' : ` It is sent the secret in ${auth.env}.`;
    return `The MCP server ${name} is called at ${targetOf(spec)}, declared to reach ${reach}.${secret}`;
  }
  const folder = transport.cwd === null ? '' : ` in ${commandLine([transport.cwd])}`;
  const given = transport.env.map(({ name: variable, from }) => (variable === from ? variable : `${variable} (our ${from})`));
  const secrets = given.length === 0 ? '' : ` It is given ${given.join(', ')}.`;
  return `The MCP server ${name} is this program, started with your rights${folder}, without a shell, declared to reach ${reach}: ${targetOf(spec)}${secrets}`;
}

/** What a tool says of itself now. Its schema is data of a stranger, so it is shown escaped. */
function aboutTool({ shown: { route, description, inputSchema, approval } }: KnownTool): string {
  const schema = inputSchema === null ? '(too long to be shown)' : inert(JSON.stringify(inputSchema), MOST_SHOWN);
  return `${route} is ${approval === 'changed' ? 'not what was approved any more' : approval}. It says: ${description ?? '(nothing)'} Its arguments: ${schema}`;
}

function routeOf({ name, egress, timeoutMs, line }: McpSpec, { name: tool, shown, examples }: KnownTool): Route {
  const approved = shown.approval === 'approved';
  return {
    name: shown.route,
    org: 'MCP',
    service: shown.route.slice('MCP.'.length),
    kind: 'mcp',
    description: approved ? shown.description : 'It waits to be approved.',
    type: egress === 'remote' ? 'external' : 'internal',
    // An endpoint would be probed, and a probe is no message of the protocol.
    endpoint: null,
    health: null,
    method: 'POST',
    auth: null,
    egress,
    timeoutMs,
    maxResponseBytes: MOST_RESPONSE_BYTES,
    concurrency: null,
    lane: null,
    // What a stranger says of itself (idempotentHint) does not make it safe to run twice.
    idempotent: false,
    retry: null,
    answer: 'response',
    grid: null,
    mcp: { server: name, tool },
    inputSchema: approved ? shown.inputSchema : null,
    fallback: null,
    provider: null,
    model: null,
    need: null,
    nodes: [],
    examples,
    demo: false,
    line,
  };
}

/** `{content, structuredContent}` as they came; a tool that says it failed, and an answer that is too large, are failures. */
function outcomeOf(route: Route, { content, structuredContent, isError }: CallToolResult): Outcome {
  if (isError === true) {
    const words = content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join(' ');
    return { ok: false, error: refuse('upstream_failed', `${route.name} failed: ${inert(words, MOST_SAID) || 'it does not say why'}`) };
  }
  const result = structuredContent === undefined ? { content } : { content, structuredContent };
  if (Buffer.byteLength(JSON.stringify(result)) > route.maxResponseBytes)
    return {
      ok: false,
      error: refuse('upstream_too_large', `${route.name} answered with more than the ${route.maxResponseBytes} bytes it may.`, {
        hint: 'Ask it for less.',
      }),
    };
  return { ok: true, result };
}
