/** Runs the built-in tools: input checked against the tool's schema, everything in this process, nothing leaves. */
import type { z } from 'zod';
import { type Issue, refuse, toWire } from '../../../shared/errors.ts';
import type { Tool } from '../tools/tools.ts';
import { beginAttempt } from './attempt.ts';
import type { Outcome, Runner } from './runner.ts';

/** The tool of a route is the one its endpoint names (`tool:calc`), else the one called like its service. Codes: input_invalid, not_found. */
export function createToolRunner(tools: Map<string, Tool>, clock: () => number): Runner {
  return async (run): Promise<Outcome> => {
    const { route, text, params } = run;
    const named = route.endpoint?.startsWith('tool:') ? route.endpoint.slice('tool:'.length) : route.service;
    const tool = tools.get(named);
    if (tool === undefined) {
      return {
        ok: false,
        error: refuse('not_found', `There is no tool "${named}".`, { hint: `The tools are ${[...tools.keys()].join(', ')}.` }),
      };
    }
    const parsed = tool.input.safeParse(text === null || 'text' in params ? params : { text, ...params });
    if (!parsed.success) return { ok: false, error: misfit(tool, parsed.error) };
    const attempt = beginAttempt(run, { endpoint: null, at: clock() });
    const began = performance.now();
    let outcome: Outcome;
    try {
      outcome = await tool.run(parsed.data, run);
    } catch (caught) {
      const error = toWire(caught);
      if (error.code === 'internal') throw caught;
      outcome = { ok: false, error };
    }
    attempt.durationMs = Math.round((performance.now() - began) * 1000) / 1000;
    attempt.error = outcome.ok ? null : outcome.error.code;
    return outcome;
  };
}

function misfit(tool: Tool, error: z.ZodError): ReturnType<typeof refuse> {
  const issues: Issue[] = error.issues.slice(0, 10).map(({ path, message }) => ({ path: ['params', ...path].join('.'), message }));
  const first = issues[0]!;
  return refuse('input_invalid', `${tool.name} does not take that: ${first.path}: ${first.message}`, {
    issues,
    hint: `For example: ${tool.examples[0]}`,
  });
}
