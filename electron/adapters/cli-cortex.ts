/** The commands about models and the memory they need: resolve --need, gpu, models, grants. */
import { type NeedAsk, NeedAsk as needSchema } from '../../shared/contract.ts';
import type { CortexState, Figure, Lease, Resolved, Usage } from '../../shared/cortex.ts';
import { catalogue, Refusal, refuse } from '../../shared/errors.ts';
import { type Context, confirmed, type Run } from './cli-context.ts';
import { clock, gib, inert, note, percent, print, printJson } from './cli-print.ts';
import { type Flags, misworded, numberOf, unfit } from './cli-words.ts';

export const cortexCommands: Record<'gpu' | 'models' | 'grants', Run> = {
  async gpu({ flags }, { client, terminal }) {
    const [gpu, cortex] = await Promise.all([client.operate('OS.gpu', {}), client.operate('OS.cortex', {})]);
    if (flags.json) return printJson(terminal, { ...gpu, cortex });
    const lines = cortex.devices.flatMap(deviceLines);
    if (lines.length === 0) lines.push('No GPU found: memory is not budgeted.', ...gpu.probes.map(({ detail }) => `  ${detail}`));
    for (const { level, device, message } of cortex.alerts) lines.push(`${level === 'critical' ? '🔴' : '🟡'} ${device}: ${message}`);
    return print(terminal, [...lines, ...modelLines(cortex), ...lineLines(cortex)]);
  },

  async models({ words: [action = 'list', provider, tier], flags }, context) {
    const { client, terminal } = context;
    if (action === 'list' && provider === undefined) {
      const cortex = await client.operate('OS.cortex', {});
      if (flags.json) return printJson(terminal, { models: cortex.models, invalid: cortex.invalid });
      const invalid = cortex.invalid.map(
        ({ file, line, unit, message }) => `❌ ${file}${line === null ? '' : `:${line}`} ${unit}: ${message}`,
      );
      const lines = [...modelLines(cortex), ...invalid];
      return print(terminal, lines.length > 0 ? lines : ['No provider is declared. dispatcher models discover looks for servers.']);
    }
    if (action === 'discover' && provider === undefined) {
      const { found, looked } = await client.operate('OS.discover', {});
      if (flags.json) return printJson(terminal, { found, looked });
      if (found.length === 0) return print(terminal, [`No model server answers at ${looked.join(', ')}.`]);
      return print(
        terminal,
        found.flatMap((one) => [
          `${one.endpoint}  ${one.kind}${one.known ? ', in the registry' : ''}: ${one.models.map(({ model }) => model).join(', ') || 'no models'}`,
          ...(one.known ? [] : one.proposal.trimEnd().split('\n')),
        ]),
      );
    }
    if (provider !== undefined && action === 'load') {
      const ask = { provider, ...(tier !== undefined && { tier }) };
      const done = await confirmed((confirm) => client.operate('OS.models.load', ask, confirm), flags, context);
      return flags.json ? printJson(terminal, done) : print(terminal, [`${provider} is warm`, ...planLines(done.plan)]);
    }
    if (provider !== undefined && action === 'unload') {
      const done = await client.operate('OS.models.unload', { provider });
      return flags.json
        ? printJson(terminal, done)
        : print(terminal, [`${provider} is unloaded; ${gib(done.freedBytes)} GB are free again`]);
    }
    if (provider !== undefined && action === 'reset') {
      const done = await client.operate('OS.models.reset', { provider });
      return flags.json ? printJson(terminal, done) : print(terminal, [`${provider} may be loaded again`]);
    }
    throw misworded('models', action, ['list', 'load PROVIDER [TIER]', 'unload PROVIDER', 'reset PROVIDER', 'discover']);
  },

  async grants({ words: [action = 'list', subject], flags }, { client, terminal }) {
    if (action === 'list' && subject === undefined) {
      const found = await client.operate('OS.grants', {});
      if (flags.json) return printJson(terminal, found);
      const lines = found.grants.map(({ id, task, models, expires_at, revoked, requests }) => {
        const now = revoked ? `ended ${clock(revoked.at)}: ${revoked.why}` : `until ${clock(expires_at)}`;
        return `${id}  ${inert(task)}: ${models.map(({ model }) => model).join(', ')}, ${requests} requests, ${now}`;
      });
      return print(terminal, [...lines, ...lineLines(found), `${found.grants.length} grants, ${found.leases.length} leases`]);
    }
    if (action === 'create' && subject !== undefined) {
      const need = needOf(flags);
      const ttl = numberOf(flags, 'ttl', [1, 86_400]);
      const wait = numberOf(flags, 'wait', [0, 1800]);
      const grant = await client.operate('OS.grants.create', {
        need,
        task: subject,
        ...(ttl !== null && { ttl_ms: ttl * 1000 }),
        ...(wait !== null && { wait_ms: wait * 1000 }),
      });
      if (flags.json) return printJson(terminal, grant);
      for (const reason of grant.reasons) note(terminal, `  ${reason}`);
      note(terminal, `Grant ${grant.id} until ${clock(grant.expires_at)}. Its key is shown this once:`);
      return print(terminal, [
        `base_url  ${grant.base_url}`,
        `api_key   ${grant.api_key}`,
        ...grant.models.map(({ model, capabilities }) => `model     ${model} (${capabilities.join(', ')})`),
        ...grant.tools.map((tool) => `tool      ${tool}`),
      ]);
    }
    if (action === 'revoke' && subject !== undefined) {
      const gone = await client.operate('OS.grants.revoke', { id: subject });
      return flags.json ? printJson(terminal, gone) : print(terminal, [`${gone.id} has ended`]);
    }
    throw misworded('grants', action, ['list', 'create TASK --need …', 'revoke ID']);
  },
};

/** `resolve --need a,b`: the plan, and the exit code of its refusal if it is one. */
export async function resolveNeed(flags: Flags, { client, terminal }: Context): Promise<number> {
  const plan = await client.operate('OS.resolve.need', { need: needOf(flags) });
  if (flags.json) printJson(terminal, plan);
  else print(terminal, planLines(plan));
  return plan.error === null ? 0 : catalogue[plan.error.code].exit;
}

export function asksForModels(flags: Flags): boolean {
  return flags.need !== undefined || flags.model !== undefined;
}

/** What the flags say of a need. Throws `Refusal` usage or input_invalid. */
function needOf(flags: Flags): NeedAsk {
  const { need, tier, model, context } = flags;
  if (!asksForModels(flags)) throw unfit('It needs --need or --model.', null, 'for example --need text-generation,vision-analysis');
  const priority = numberOf(flags, 'priority', [0, 100]);
  const capabilities = need?.split(',').flatMap((word) => (word.trim() === '' ? [] : [word.trim()]));
  const parsed = needSchema.safeParse({
    ...(capabilities && { capabilities }),
    ...(tier !== undefined && { tier }),
    ...(model !== undefined && { model }),
    ...(context !== undefined && { context }),
    ...(priority !== null && { priority }),
    ...(flags.sensitive && { sensitive: true }),
  });
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  throw new Refusal(refuse('input_invalid', 'This need cannot be read.', { issues, hint: 'Capabilities look like text-generation.' }));
}

/** A plan in lines, for whoever looks before loading. */
export function planLines(plan: Resolved): string[] {
  const eta = plan.etaMs === null ? '' : plan.etaMs === 0 ? ', now' : `, in about ${Math.ceil(plan.etaMs / 1000)} s`;
  const lines = [`outcome     ${plan.outcome}${eta}`];
  for (const { capability, provider, tier, model, device, phase, egress } of plan.assignments)
    lines.push(
      `${'model'.padEnd(12)}${capability} → ${provider} ${tier} (${model}), ${phase}${device ? ` on ${device}` : ''}${egress === 'local' ? '' : `, ${egress}`}`,
    );
  for (const { provider, tier, frees, stopMs, reloadMs, contextMs } of plan.evictions)
    lines.push(
      `evicts      ${provider} ${tier}, frees ${figure(frees)}; costs ${seconds(stopMs)} to stop, ${seconds(reloadMs)} to load again${contextMs > 0 ? `, ${seconds(contextMs)} of context` : ''}`,
    );
  for (const { provider, tier, vram, loadMs } of plan.loads)
    lines.push(`loads       ${provider} ${tier}, ${figure(vram)}, ${seconds(loadMs)}`);
  if (plan.waitsFor.length > 0) lines.push(`waits for   ${plan.waitsFor.join(', ')}`);
  if (plan.downgrade) lines.push(`downgrade   ${plan.downgrade.from} → ${plan.downgrade.to}: ${plan.downgrade.cause}`);
  for (const reason of plan.reasons) lines.push(`why         ${reason}`);
  for (const { provider, tier, reason } of plan.rejected.slice(0, 20))
    lines.push(`not         ${provider}${tier ? ` ${tier}` : ''}: ${reason}`);
  if (plan.error) {
    lines.push(`error       ${plan.error.code}: ${plan.error.message}`);
    for (const { name, bytes, source } of plan.error.vram?.holders ?? []) lines.push(`holds       ${name}: ${gib(bytes)} GB (${source})`);
  }
  return lines;
}

const seconds = (ms: number) => `${Math.ceil(ms / 1000)} s`;
const figure = (vram: Figure | null) => (vram === null ? 'unknown memory' : `${gib(vram.bytes)} GB (${vram.source})`);

function deviceLines({
  name,
  demo,
  total,
  used,
  models,
  others,
  reservedBytes,
  freeBytes,
  utilization,
  temperatureC,
}: CortexState['devices'][number]): string[] {
  const more = [
    utilization === null ? null : percent(utilization),
    temperatureC === null ? null : `${temperatureC} °C`,
    freeBytes === null ? null : `${gib(freeBytes)} GB free`,
  ].filter((part) => part !== null);
  const memory = total === null ? 'memory unknown' : `${gib(used?.bytes ?? null)} of ${gib(total.bytes)} GB`;
  return [
    `${name}${demo ? ' (demo)' : ''}: ${[memory, ...more].join(', ')}`,
    ...models.map(({ provider, tier, vram }) => `  ${provider} ${tier}: ${figure(vram)}`),
    ...(others.bytes > 0 ? [`  other programs: ${figure(others)}`] : []),
    ...(reservedBytes > 0 ? [`  reserved for the sidecar: ${gib(reservedBytes)} GB`] : []),
  ];
}

function modelLines({ models, leases: given }: CortexState): string[] {
  return models.map(({ provider, tier, model, phase, detail, vram, leases, waiting, usage, egress, demo }) => {
    const more = [
      egress === 'local' ? figure(vram) : egress,
      leases.length > 0 ? `held by ${holdersOf(leases, given)}` : null,
      waiting > 0 ? `${waiting} wait` : null,
      usage === null ? null : usageWords(usage),
      detail,
    ].filter((part) => part !== null);
    return `${provider.padEnd(16)} ${tier.padEnd(8)} ${phase.padEnd(8)} ${model}${demo ? ' (demo)' : ''}: ${more.join(', ')}`;
  });
}

/** `grant plan the week, job job_12 and 3 more`. */
function holdersOf(ids: readonly string[], leases: CortexState['leases']): string {
  const names = leases.flatMap((lease) => (ids.includes(lease.id) ? [holderName(lease)] : [])).slice(0, 3);
  const more = ids.length - names.length;
  return [names.join(', '), more > 0 ? `${more} more` : ''].filter((part) => part !== '').join(' and ');
}

const holderName = ({ holder, task }: Pick<Lease, 'holder' | 'task'>) => `${holder.kind} ${task ?? holder.id}`;

/** `3 calls, 1 wait there, cache 25%`. */
function usageWords({ running, waiting, cacheShare }: Usage): string {
  const said = [
    running === null ? null : `${running} calls`,
    waiting === null || waiting === 0 ? null : `${waiting} wait there`,
    cacheShare === null ? null : `cache ${percent(cacheShare)}`,
  ];
  return said.filter((part) => part !== null).join(', ');
}

function lineLines({ queue }: Pick<CortexState, 'queue'>): string[] {
  return queue.map((waiter) => {
    const { position, need, eta, reason } = waiter;
    const left = eta === null ? '' : `, about ${Math.max(0, Math.ceil((eta - Date.now()) / 1000))} s`;
    return `⏳ ${position + 1}. ${holderName(waiter)} needs ${need.capabilities.join('+') || need.model}${left}: ${reason}`;
  });
}
