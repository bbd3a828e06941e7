/** Peer: `@fastify/http-proxy` as its manual shows it, with undici, no logging. */
import httpProxy from '@fastify/http-proxy';
import fastify from 'fastify';
import { announce, upstream } from './announce.ts';

const app = fastify({ logger: false, keepAliveTimeout: 60_000 });
await app.register(httpProxy, { upstream, undici: { connections: 64, pipelining: 1 } });
await app.listen({ host: '127.0.0.1', port: 0 });
announce(app.server, {});
