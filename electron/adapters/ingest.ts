/** POST /callbacks/ingest: the one path where the signature of a body stands for a token. The bytes reach the core as they came. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { WireError } from '../../shared/errors.ts';
import type { Core } from '../core/core.ts';
import { json } from './answer.ts';

export type TurnAway = (request: IncomingMessage, response: ServerResponse, error: WireError) => void;

const nothing = Buffer.alloc(0);

export function mountIngest(app: FastifyInstance, core: Pick<Core, 'ingest'>, turnAway: TurnAway): void {
  // In a scope of its own, because it reads any content type, and reads nothing into it.
  app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, parsed) => parsed(null, body));
    scope.post('/callbacks/ingest', { config: { open: true } }, async (request, reply) => {
      const body = (request.body as Buffer | undefined) ?? nothing;
      const answer = await core.ingest({ headers: request.headers, body });
      if (answer.ok) json(reply.raw, JSON.stringify({ job_id: answer.job, replayed: answer.replayed }));
      else turnAway(request.raw, reply.raw, answer.error);
      return reply.hijack();
    });
    done();
  });
}
