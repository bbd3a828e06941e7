/**
 * `fetch`: GET, HEAD or POST of an address that the caller chose. Public addresses only, but for hosts declared under
 * `tools.fetch.hosts`; every hop of a redirect is a new request judged like the first, by what its name resolves to and by
 * what the socket is connected to (egress.ts).
 */
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { ToolSettings } from '../../../shared/model.ts';
import { type Egress, EgressRefusal } from '../egress.ts';
import { declaredReach } from '../reach.ts';
import type { Run } from '../runners/runner.ts';
import { misfit, type Tool, tool } from './tools.ts';

const MOST_BYTES = 8 * 1024 ** 2;
const USUAL_BYTES = 1024 ** 2;
const redirects = new Set([301, 302, 303, 307, 308]);
/** What belongs to the connection, or says who asks. */
const reserved =
  /^(?:host|connection|content-length|transfer-encoding|upgrade|te|trailer|expect|keep-alive|proxy-.*|sec-.*|forwarded|x-forwarded-.*|x-real-ip|metadata(?:-flavor)?|x-aws-ec2-.*|x-google-.*)$/i;
/** The headers that may go to another origin than the one they were meant for. */
const harmless = new Set(['accept', 'accept-language', 'user-agent', 'content-type', 'range']);

type Headers = [name: string, value: string][];

export interface FetchOptions {
  egress: Egress;
  hosts(): ToolSettings['fetchHosts'];
  /** The clock of `run.deadlineAt`. */
  clock?: () => number;
}

export function createFetchTool({ egress, hosts, clock = Date.now }: FetchOptions): Tool {
  return tool({
    name: 'fetch',
    outward: true,
    summary: 'Gets a web page or calls a web address',
    examples: ['fetch https://example.com', 'get the page https://example.com/news', 'download https://example.com/data.json'],
    input: z.strictObject({
      text: z.string().max(10_000).optional(),
      url: z.string().max(8192).optional(),
      method: z.enum(['GET', 'HEAD', 'POST']).optional(),
      headers: z.record(z.string().max(200), z.string().max(8192)).default({}),
      body: z.string().max(1_000_000).optional(),
      /** Sent as JSON in place of `body`. */
      json: z.unknown().optional(),
      maxBytes: z.number().int().min(1).max(MOST_BYTES).default(USUAL_BYTES),
      /** Redirects followed; 0 answers the redirect itself. */
      redirects: z.number().int().min(0).max(10).default(5),
    }),
    async answer({ text, url: given, method: asked, headers: wanted, body: plain, json, maxBytes, redirects: most }, run) {
      const address = given ?? /https?:\/\/[^\s"'<>`]+/i.exec(text ?? '')?.[0]?.replace(/[.,;:!?)\]}]+$/, '');
      if (address === undefined) throw misfit('url', 'There is no address to fetch.', 'Give url, such as https://example.com.');
      let url = parse(address, null);
      let body = json !== undefined ? JSON.stringify(json) : (plain ?? null);
      let method = asked ?? (body === null ? 'GET' : 'POST');
      if (body !== null && method !== 'POST') throw misfit('body', `${method} has no body.`, 'Say method: POST.');
      let headers: Headers = [];
      for (const [name, value] of Object.entries(wanted)) {
        if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name) || reserved.test(name))
          throw misfit(`headers.${name.slice(0, 60)}`, 'This header may not be set here.', 'Leave it out.');
        if (/[^\t\x20-\x7e\x80-\xff]/.test(value))
          throw misfit(`headers.${name}`, 'This value cannot be in a header.', 'Write it in ASCII.');
        headers.push([name.toLowerCase(), value]);
      }
      if (json !== undefined && !headers.some(([name]) => name === 'content-type')) headers.push(['content-type', 'application/json']);
      if (!headers.some(([name]) => name === 'user-agent')) headers.push(['user-agent', 'dispatcher']);

      const hops: { status: number; from: string; to: string }[] = [];
      for (;;) {
        const answer = await send(run, { url, method, headers, body, maxBytes });
        const location = redirects.has(answer.status) ? answer.headers.location : undefined;
        if (location === undefined || most === 0) {
          return {
            url: url.href,
            status: answer.status,
            headers: answer.headers,
            redirects: hops,
            ...contentOf(answer.headers, answer.body),
          };
        }
        if (hops.length >= most)
          throw new Refusal(
            refuse('upstream_failed', `${url.host} redirects more than ${most} times.`, {
              hint: 'Fetch the last address itself.',
              status: answer.status,
            }),
          );
        const next = parse(location, url);
        hops.push({ status: answer.status, from: url.href, to: next.href });
        const elsewhere = next.origin !== url.origin;
        if (answer.status === 303 || (answer.status <= 302 && method === 'POST')) {
          if (method !== 'HEAD') method = 'GET';
          body = null;
          headers = headers.filter(([name]) => name !== 'content-type');
        } else if (body !== null && elsewhere) {
          // 307 and 308 ask for the same body at an address the caller did not name.
          throw new Refusal(
            refuse('egress_refused', `${url.host} redirects the body of this request to ${next.host}, and it was not sent there.`, {
              hint: 'Post it to that address yourself if it is right.',
              status: answer.status,
            }),
          );
        }
        if (elsewhere) headers = headers.filter(([name]) => harmless.has(name));
        url = next;
      }
    },
  });

  async function send(run: Run, ask: { url: URL; method: string; headers: Headers; body: string | null; maxBytes: number }) {
    const { url, method, headers, body } = ask;
    const reach = declaredReach(url, hosts());
    const leave = () => {
      if (reach === 'local') return;
      const bytes = (body === null ? 0 : Buffer.byteLength(body)) + url.pathname.length + url.search.length;
      run.left.push({ host: url.host, egress: reach === 'public' ? 'remote' : reach, bytes });
    };
    try {
      const answer = await egress.request({
        ...{ url: url.href, method, headers: headers.flat(), body, egress: reach, signal: run.signal },
        timeoutMs: Math.max(1, run.deadlineAt - clock()),
        maxBytes: Math.min(ask.maxBytes, run.route.maxResponseBytes),
      });
      leave();
      return answer;
    } catch (caught) {
      if (!(caught instanceof EgressRefusal) || caught.sent) leave();
      throw caught;
    }
  }
}

/** Refuses input_invalid or, on the way of a redirect, egress_refused. */
function parse(text: string, from: URL | null): URL {
  const no = (message: string) =>
    from === null
      ? misfit('url', message, 'Write an address such as https://example.com/page.')
      : new Refusal(refuse('egress_refused', `${from.host} redirects to an address that is not called: ${message}`));
  let url: URL;
  try {
    url = from === null ? new URL(text) : new URL(text, from);
  } catch {
    throw no('It is not a URL.');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw no(`${url.protocol} is not http: or https:.`);
  if (url.username !== '' || url.password !== '') throw no('It has a user name or password in it.');
  url.hash = '';
  return url;
}

function contentOf(headers: Record<string, string>, body: Buffer) {
  const contentType = headers['content-type'] ?? null;
  if (isUtf8(body) && !body.includes(0)) return { contentType, bytes: body.length, text: body.toString('utf8') };
  if (/^text\/|charset=(?:iso-8859-1|windows-1252|latin1)/i.test(contentType ?? ''))
    return { contentType, bytes: body.length, text: new TextDecoder('windows-1252').decode(body) };
  return { contentType, bytes: body.length, base64: body.toString('base64') };
}
