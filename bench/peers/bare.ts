/** Peer: the least that can be called a proxy, `node:http` in and undici out, with no parsing, lookup or record. */
import { createServer } from 'node:http';
import { Pool } from 'undici';
import { announce, upstream } from './announce.ts';

const pool = new Pool(upstream, { connections: 64, pipelining: 1 });

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    const answer: Buffer[] = [];
    pool.dispatch(
      { method: 'POST', path: request.url ?? '/', headers: { 'content-type': 'application/json' }, body },
      {
        onRequestStart() {},
        onResponseStart(_, status, headers) {
          response.writeHead(status, { 'content-type': String(headers['content-type'] ?? 'application/json') });
        },
        onResponseData(_, chunk) {
          answer.push(chunk);
        },
        onResponseEnd() {
          response.end(answer.length === 1 ? answer[0] : Buffer.concat(answer));
        },
        onResponseError() {
          response.writeHead(502).end();
        },
      },
    );
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => announce(server, {}));
