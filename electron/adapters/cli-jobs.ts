/** The commands about jobs and what belongs to them: lanes, callbacks, MCP servers. */
import { jobStates } from '../../shared/job.ts';
import { confirmed, type Run } from './cli-context.ts';
import { clock, inert, jobLine, print, printJson } from './cli-print.ts';
import { misworded, nearest, numberOf, unfit } from './cli-words.ts';

export const jobCommands: Record<'jobs' | 'lanes' | 'callbacks' | 'mcp', Run> = {
  async jobs({ words: [action = 'list', id], flags }, { client, terminal }) {
    if (action === 'get' && id !== undefined) {
      const job = await client.operate('OS.jobs.get', { id });
      if (flags.json) return printJson(terminal, job);
      const lines = [jobLine(job), `why         ${job.why}`, `params      ${JSON.stringify(job.params)}`];
      for (const { at, kind, detail } of job.events) lines.push(`${clock(at)} ${kind}${detail === '' ? '' : `: ${inert(detail)}`}`);
      if (job.key) lines.push(`key         ${inert(job.key.key)}, used again ${job.key.uses.length} times`);
      for (const attempt of job.attempts)
        lines.push(
          `attempt     ${attempt.route} ${attempt.endpoint ?? ''} ${attempt.status ?? attempt.error ?? ''} ${Math.round(attempt.durationMs)} ms`,
        );
      if (job.errorMessage) lines.push(`error       ${job.errorMessage}`);
      for (const { url, state, attempts } of job.deliveries) lines.push(`callback    ${inert(url)} ${state}, ${attempts.length} tries`);
      if (job.state === 'succeeded') lines.push(JSON.stringify(job.result, null, 2));
      return print(terminal, lines);
    }
    if (action === 'cancel' && id !== undefined) {
      const found = await client.operate('OS.jobs.cancel', { id });
      return flags.json ? printJson(terminal, found) : print(terminal, [`${found.id} ${found.state}: ${found.outcome}`]);
    }
    if (action === 'retry' && id !== undefined) {
      const again = await client.operate('OS.jobs.retry', { id });
      return flags.json ? printJson(terminal, again) : print(terminal, [`${again.id} runs again as ${again.job}`]);
    }
    if (action !== 'list' || id !== undefined) throw misworded('jobs', action, ['list', 'get ID', 'cancel ID', 'retry ID']);
    const limit = numberOf(flags, 'limit', [1, 500]) ?? 20;
    const { route, q } = flags;
    const state = jobStates.find((one) => one === flags.state);
    if (flags.state !== undefined && state === undefined)
      throw unfit(`There is no state ${flags.state}.`, nearest(flags.state, [...jobStates]), `of ${jobStates.join(', ')}`);
    const found = await client.operate('OS.jobs', { limit, ...(state && { state }), ...(route && { route }), ...(q && { q }) });
    if (flags.json) return printJson(terminal, found);
    return print(terminal, [...found.jobs.map(jobLine), `${found.jobs.length} of ${found.total} jobs`]);
  },

  async lanes({ flags }, { client, terminal }) {
    const { lanes } = await client.operate('OS.lanes', {});
    if (flags.json) return printJson(terminal, { lanes });
    if (lanes.length === 0) return print(terminal, ['Nothing runs or stands in a lane.']);
    const line = (ids: string[]) =>
      ids.length === 0 ? 'nothing' : ids.slice(0, 5).join(', ') + (ids.length > 5 ? ` and ${ids.length - 5} more` : '');
    return print(
      terminal,
      lanes.flatMap(({ name, kind, capacity, running, queued }) => [
        `${name} (${kind}, ${running.length} of ${capacity})`,
        `  runs    ${line(running)}`,
        `  waits   ${line(queued)}`,
      ]),
    );
  },

  async callbacks({ words: [action = 'list', id], flags }, { client, terminal }) {
    if (action === 'redeliver' && id !== undefined) {
      const delivery = await client.operate('OS.callbacks.redeliver', { id });
      return flags.json ? printJson(terminal, delivery) : print(terminal, [`${delivery.id} ${delivery.state}: ${inert(delivery.url)}`]);
    }
    if (action !== 'list' || id !== undefined) throw misworded('callbacks', action, ['list', 'redeliver ID']);
    const { state } = flags;
    if (state !== undefined && state !== 'pending' && state !== 'delivered' && state !== 'dead')
      throw unfit(`There is no state ${state}.`, null, 'of pending, delivered and dead');
    const found = await client.operate('OS.callbacks', { limit: numberOf(flags, 'limit', [1, 500]) ?? 20, ...(state && { state }) });
    if (flags.json) return printJson(terminal, found);
    return print(
      terminal,
      found.deliveries.map(({ id: name, job, url, state: now, attempts, nextAt }) => {
        const last = attempts.at(-1);
        const said = last ? `, last ${last.status ?? last.error ?? 'no answer'}` : '';
        return `${name}  ${now.padEnd(9)} ${job} → ${inert(url)}, ${attempts.length} tries${said}${nextAt === null ? '' : `, next ${clock(nextAt)}`}`;
      }),
    );
  },

  async mcp({ words: [action = 'list', name, ...rest], flags }, context) {
    const { client, terminal } = context;
    const show = (server: Awaited<ReturnType<typeof client.operate<'OS.mcp.refresh'>>>) =>
      flags.json
        ? printJson(terminal, server)
        : print(terminal, [
            `${server.name}  ${server.state}${server.approved ? '' : ', not approved'}  ${inert(server.target)}`,
            ...(server.detail === null ? [] : [`  ${inert(server.detail)}`]),
            ...server.tools.map(
              ({ route, approval, description }) =>
                `  ${route}${approval === 'approved' ? '' : ` (${approval}: approve it first)`}${description ? `  ${inert(description.slice(0, 80))}` : ''}`,
            ),
          ]);
    if (action === 'list' && name === undefined) {
      const { servers } = await client.operate('OS.mcp', {});
      if (flags.json) return printJson(terminal, { servers });
      if (servers.length === 0)
        return print(terminal, ['The registry names no MCP server. dispatcher mcp add NAME -- COMMAND … adds one.']);
      for (const server of servers) show(server);
      return 0;
    }
    if (name === undefined) throw misworded('mcp', action, ['list', 'add NAME URL', 'approve NAME', 'refresh NAME', 'stop NAME']);
    switch (action) {
      case 'add': {
        if (rest.length === 0)
          throw unfit(
            'mcp add needs a URL or a command.',
            null,
            'dispatcher mcp add files -- npx -y @modelcontextprotocol/server-filesystem /srv',
          );
        const target = rest.length === 1 && /^https?:/.test(rest[0]!) ? { url: rest[0]! } : { command: rest };
        const { server } = await client.operate('OS.mcp.add', { name, ...target });
        return show(server);
      }
      case 'approve':
        return show(
          await confirmed(
            (confirm) => client.operate('OS.mcp.approve', { server: name, ...(rest[0] !== undefined && { tool: rest[0] }) }, confirm),
            flags,
            context,
          ),
        );
      case 'refresh':
        return show(await client.operate('OS.mcp.refresh', { server: name }));
      case 'stop':
        return show(await client.operate('OS.mcp.stop', { server: name }));
      default:
        throw misworded('mcp', action, ['list', 'add NAME URL', 'approve NAME', 'refresh NAME', 'stop NAME']);
    }
  },
};
