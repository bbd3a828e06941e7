/** The service behind every proxy of the benchmark: answers any POST at once, OpenAI chat completions in their shape. */
import { createServer } from 'node:http';
import { announce } from './announce.ts';

const plain = Buffer.from('{"success":true,"synced":150,"objects":["Contact"]}');
const chat = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'porter-ngram',
    choices: [{ index: 0, message: { role: 'assistant', content: 'There is one door.' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
  }),
);

const server = createServer((request, response) => {
  const body = request.url === '/v1/chat/completions' ? chat : plain;
  request.resume();
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => announce(server, {}));
