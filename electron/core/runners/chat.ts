/** The words of an OpenAI-compatible chat completion (`POST /v1/chat/completions`, streamed). */
import type { Route } from '../../../shared/model.ts';
import { createMessages } from './lines.ts';
import { failed, type Protocol, parseJson, readAnswer, wordsOf } from './protocol.ts';
import type { Outcome, Run } from './runner.ts';

interface Completion {
  model?: unknown;
  usage?: unknown;
  error?: unknown;
  choices?: { delta?: { content?: unknown }; message?: { content?: unknown }; finish_reason?: unknown }[];
}

const headers = ['content-type', 'application/json', 'accept', 'text/event-stream, application/json'];
const passed = [
  'temperature',
  'top_p',
  'max_tokens',
  'max_completion_tokens',
  'stop',
  'seed',
  'response_format',
  'tools',
  'tool_choice',
  'presence_penalty',
  'frequency_penalty',
];

/**
 * `messages` of the params as they are, else the text (or `prompt`, `query`) as one user message, after `system` if given. Deltas go
 * to `run.chunk`; the result is `{text, model, usage}`, with `finishReason` where the server gives one.
 */
export const chatProtocol: Protocol = (route, run) => {
  const stream = createCompletion(route, run);
  return {
    url: completionsUrl(route.endpoint!),
    method: 'POST',
    headers,
    body: JSON.stringify(chatBody(route, run)),
    onChunk: stream.push,
    read: (answer) => stream.end() ?? readWhole(route, run, { status: answer.status, outcome: readAnswer(route, answer) }),
  };
};

/** `http://host:11434` and `.../v1` mean the completions below them; a longer path is taken as it is. */
function completionsUrl(endpoint: string): string {
  const url = new URL(endpoint);
  const path = url.pathname.replace(/\/+$/, '');
  if (path === '') url.pathname = '/v1/chat/completions';
  else if (/\/v\d+$/.test(path)) url.pathname = `${path}/chat/completions`;
  return url.href;
}

function chatBody(route: Route, { params, text }: Run): Record<string, unknown> {
  const body: Record<string, unknown> = { model: route.model ?? (typeof params.model === 'string' ? params.model : 'default') };
  if (Array.isArray(params.messages)) body.messages = params.messages;
  else {
    const asked = params.prompt ?? params.query ?? text ?? '';
    const content = typeof asked === 'string' ? asked : JSON.stringify(asked);
    body.messages = [...(typeof params.system === 'string' ? [{ role: 'system', content: params.system }] : []), { role: 'user', content }];
  }
  for (const name of passed) if (params[name] !== undefined) body[name] = params[name];
  return { ...body, stream: true, stream_options: { include_usage: true } };
}

function createCompletion(route: Route, run: Run) {
  let messages: ReturnType<typeof createMessages> | null = null;
  let text = '';
  let saying = '';
  let model: string | null = route.model;
  let usage: unknown = null;
  let finishReason: string | null = null;
  let error: Outcome | null = null;

  function take(data: string): void {
    if (error !== null || data === '[DONE]') return;
    const chunk = parseJson(data) as Completion | undefined;
    if (chunk === undefined || chunk === null || typeof chunk !== 'object') return;
    if (chunk.error !== undefined && chunk.error !== null) {
      error = { ok: false, error: failed(route, 200, wordsOf(chunk.error)) };
      return;
    }
    if (typeof chunk.model === 'string') model = chunk.model;
    if (chunk.usage !== undefined && chunk.usage !== null) usage = chunk.usage;
    const choice = Array.isArray(chunk.choices) ? chunk.choices[0] : undefined;
    if (typeof choice?.finish_reason === 'string') finishReason = choice.finish_reason;
    const said = choice?.delta?.content;
    if (typeof said === 'string') saying += said;
  }

  /** One chunk for all that one piece brought. */
  function tell(): void {
    if (saying !== '') run.chunk(saying);
    text += saying;
    saying = '';
  }

  return {
    push(piece: string, contentType: string): void {
      messages ??= createMessages(contentType.startsWith('text/event-stream') ? 'events' : 'lines', take);
      messages.push(piece);
      tell();
    },
    end(): Outcome | null {
      if (messages === null) return null;
      messages.end();
      tell();
      return error ?? { ok: true, result: { text, model, usage, finishReason } };
    },
  };
}

/** Servers that cannot stream answer whole. */
function readWhole(route: Route, run: Run, { status, outcome }: { status: number; outcome: Outcome }): Outcome {
  if (!outcome.ok) return outcome;
  const whole = outcome.result as Completion | null;
  const choice = typeof whole === 'object' && Array.isArray(whole?.choices) ? whole.choices[0] : undefined;
  const said = choice?.message?.content;
  if (typeof said !== 'string') {
    return { ok: false, error: failed(route, status, whole?.error === undefined ? 'no completion in the answer' : wordsOf(whole.error)) };
  }
  run.chunk(said);
  const finishReason = typeof choice?.finish_reason === 'string' ? choice.finish_reason : null;
  return {
    ok: true,
    result: { text: said, model: typeof whole!.model === 'string' ? whole!.model : route.model, usage: whole!.usage ?? null, finishReason },
  };
}
