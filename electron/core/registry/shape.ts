/**
 * What may stand in the registry file: every key, its meaning, its bounds. One definition reads the nodes of the file and writes
 * the JSON Schema for editors (`node electron/core/registry/shape.ts > resources/registry.schema.json`).
 */
import { argv, auth, egress, endpoint, environment, name, names, reference, timeout, wait } from './fields.ts';
import { cortexShape, needShape, providersShape } from './provider-shape.ts';
import {
  amount,
  choice,
  duration,
  free,
  listOf,
  located,
  named,
  namedOrListed,
  orOff,
  record,
  shorthand,
  text,
  truth,
  whole,
} from './readers.ts';

export const mostServices = 20_000;
const mostRules = 50_000;
/** Steps of one grid. */
export const mostSteps = 50;

const orgCode = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/;
const serviceName = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;
/** What a service and a flow have in common. */
const common = {
  description: text('What it does, in one line.'),
  endpoint,
  health: located(
    text('Address that answers whether the service is well. Without it health is unknown until it is called.', { max: 2048 }),
  ),
  answer: located(
    choice('Of a flow. response: what it answers is the result; callback: it calls back at /callbacks/ingest with the result.', [
      'response',
      'callback',
    ]),
  ),
  auth,
  egress,
  timeout: timeout('30s, or 2m for a flow or grid,'),
  concurrency: whole('Most calls at one time; others stand in line. No bound unless given.', { min: 1, max: 10_000 }),
  lane: text('Calls in the same lane run one after the other, whichever service they are for.', { max: 100 }),
  idempotent: truth('Calling it twice does no more than calling it once, so that it may be tried again.'),
  retry: shorthand(
    'times',
    record('Tries after a failure that can pass, with a longer pause each time. A number alone is `times`.', {
      times: whole('Most tries after the first.', { min: 0, max: 100 }),
      backoff: wait('Pause before the first of them, doubled each time. 1s unless given.'),
      max: wait('Longest pause. 30s unless given.'),
    }),
  ),
  examples: listOf(
    'Requests that belong here, in the words people use. Five or more make the operator sure.',
    text('A request.', { max: 500 }),
    2000,
  ),
  demo: truth('Belongs to the demo services.'),
};

const stepShape = record(
  'One route of the grid.',
  {
    route: reference('What it runs: a name of the same org, or ORG.name.'),
    after: listOf('Steps that have to be over first, besides those its references read.', reference('Name of a step.'), 100),
    params: free('Its parameters. $.params.x, $.text and $.steps.name.result.x stand for what they point at; $$. is a plain $.'),
  },
  { required: ['route'] },
);

const serviceShape = record('One thing that answers requests. Its route is ORG.name.', {
  ...common,
  kind: located(
    choice(
      'How it is called: http (the default), model (an OpenAI-compatible chat endpoint), flow (a webhook of n8n, Activepieces or Node-RED), podium (the orchestrator), grid (several routes as one), tool (built in, org OS only).',
      ['http', 'model', 'tool', 'flow', 'podium', 'grid'],
    ),
  ),
  type: choice('internal: ours; external: somebody else runs it.', ['internal', 'external']),
  input: free('JSON Schema of its parameters. With a sidecar, words become parameters by it, and wrong ones are repaired once.'),
  method: choice('HTTP method; POST unless given.', ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']),
  max_response: amount('Most bytes of an answer: a number, or with a unit (64KB, 8MB). 8MB unless given.', {
    units: { B: 1, KB: 1024, MB: 1024 ** 2, KiB: 1024, MiB: 1024 ** 2 },
    bare: 1,
    min: 1,
    max: 256 * 1024 ** 2,
    say: 'Write bytes, or a size such as 64KB or 8MB, up to 256MB.',
  }),
  provider: name('Who makes or runs it.'),
  model: name('Model name sent to an endpoint of kind model.'),
  need: located(needShape),
  fallback: reference('Service used when this one cannot be reached: a name of the same org, or ORG.name.'),
  nodes: names('Machines it runs on.'),
  policy: located(
    choice('Of a grid. all: every step has to succeed; any: the first success ends it; best: whatever succeeds is the answer.', [
      'all',
      'any',
      'best',
    ]),
  ),
  steps: located(
    namedOrListed(
      'Of a grid: its steps, by name.',
      {
        name: /^[A-Za-z_](?:-*\w)*$/,
        say: 'A step name starts with a letter and has letters, digits, "-" and "_", such as fetch.',
        max: mostSteps,
      },
      stepShape,
    ),
  ),
});

export type ServiceShape = Exclude<ReturnType<typeof serviceShape.read>, undefined>;

const flowShape = shorthand(
  'endpoint',
  record('One flow: the address of its webhook, alone or with more about it. Its route is FLOW.name.', common),
);

const orgShape = record('An organisation: a group of services under one short code.', {
  name: name('Its full name.'),
  code: located(text('Its code again, as in the original files.', { max: 32 })),
  status: choice('active or planned.', ['active', 'planned']),
  description: text('What it is for, in one line.'),
  primary_node: name('The machine most of it runs on.'),
  default_service: reference('The service taken when only the org is known.'),
  repos: names('Its repositories.'),
  services: named(
    'The services, by name.',
    {
      name: serviceName,
      say: 'A service name has letters, digits, "-", "_" and ".", such as salesforce or deploy-worker.',
      max: mostServices,
    },
    serviceShape,
  ),
});

const ruleShape = record(
  'Sends every text that matches to one service.',
  {
    pattern: located(
      text('RE2 pattern, without regard to case, for whole words unless it says otherwise. @name is a mention.', { max: 20_000 }),
    ),
    org: reference('Code of the org.'),
    service: reference('Name of the service; the default_service of the org unless given.'),
    priority: whole('The highest wins. 50 unless given.', { min: -1_000_000, max: 1_000_000 }),
  },
  { required: ['pattern', 'org'] },
);

const hostName = /^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/;
const toolsShape = record('What the built-in tools may reach. What is not declared here they refuse.', {
  fs: record('Files.', {
    roots: listOf(
      'Folders whose files fs.list, fs.read, fs.head and fs.write reach.',
      located(
        record(
          'One folder.',
          {
            name: located(
              text('The name calls use for it.', {
                max: 64,
                pattern: /^[A-Za-z0-9][A-Za-z0-9_-]*$/,
                say: 'Write letters, digits, "-" and "_", such as notes.',
              }),
            ),
            path: located(text('Where it is: an absolute path.', { max: 4096 })),
            write: truth('fs.write may change it. false unless given.'),
          },
          { required: ['name', 'path'] },
        ),
      ),
      100,
    ),
  }),
  fetch: record('Web requests. Public addresses need no entry.', {
    hosts: listOf(
      'Hosts on this machine or network that fetch may call.',
      located(
        record(
          'One host.',
          {
            host: text('Name or address, with :port to allow that port alone.', { max: 300 }),
            egress: choice('Where it is: local or lan.', ['local', 'lan']),
          },
          { required: ['host', 'egress'] },
        ),
      ),
      1000,
    ),
  }),
  ssh: record('Commands on other machines, over the OpenSSH client of this one.', {
    known_hosts: located(text('File with the keys of the hosts: an absolute path. ~/.ssh/known_hosts unless given.', { max: 4096 })),
    hosts: listOf(
      'Hosts that anybody who may dispatch can reach. Others need admin, and their key in known_hosts.',
      located(
        record(
          'One host.',
          {
            name: located(
              text('The name calls use for it.', { max: 253, pattern: hostName, say: 'Write letters, digits, "-" and ".", such as pi.' }),
            ),
            address: text('Name or address; the name unless given.', {
              max: 253,
              pattern: /^[A-Za-z0-9:][A-Za-z0-9.:-]*$/,
              say: 'Write one such as 10.0.0.7.',
            }),
            port: whole('22 unless given.', { min: 1, max: 65_535 }),
            user: text('Who logs in.', { max: 64, pattern: /^[A-Za-z_][A-Za-z0-9_.-]*$/, say: 'Write a user name, such as pi.' }),
            identity: located(text('File of the private key: an absolute path.', { max: 4096 })),
            egress: choice('Where it is: local, lan or remote. Missing means remote.', ['local', 'lan', 'remote']),
          },
          { required: ['name'] },
        ),
      ),
      1000,
    ),
  }),
});

const serverShape = record('One MCP server: a program that speaks over its standard streams (command), or an address (url).', {
  command: located(argv),
  url: located(text('Address of a streamable HTTP server.', { max: 2048 })),
  cwd: located(text('Folder the program starts in: an absolute path.', { max: 4096 })),
  env: located(
    named(
      'What the program finds in its environment: its variable, and the name of ours that has the value.',
      {
        name: /^[A-Za-z_][A-Za-z0-9_]{0,199}$/,
        say: 'Write the name of an environment variable, such as GITHUB_TOKEN.',
        max: 100,
      },
      environment('Name of our environment variable that has the value.'),
    ),
  ),
  auth: located(auth),
  egress,
  timeout: timeout('1m'),
  idle: wait('A program nobody called for so long is ended; it starts again when it is called. 5m unless given.'),
});

export type ServerShape = Exclude<ReturnType<typeof serverShape.read>, undefined>;

const orchestratorShape = record('The orchestrator endpoints.', {
  service: reference('Service of kind podium that /api/orchestrator/dispatch forwards to; the first there is unless given.'),
  actions_per_minute: whole('Actions of one caller in any minute. 10 unless given.', { min: 1, max: 100_000 }),
  cooldown: duration('Pause between two actions about the same story. 5s unless given.', {
    min: 0,
    max: 3_600_000,
    say: 'Write seconds, or a time such as 5s, up to 1h.',
  }),
  wait: duration('How long /orchestrate waits for the result before it answers with the job. 8s unless given.', {
    min: 0,
    max: 600_000,
    say: 'Write seconds, or a time such as 8s, up to 10m.',
  }),
});

const callbacksShape = record('Callbacks: results that are sent, and results that come in.', {
  sign: environment('Environment variable with the secret (whsec_...) that signs what is sent; one of our own unless given.'),
  ingest: environment('Environment variable with the secret (whsec_...) that callbacks in are checked with. Without it they are refused.'),
  hosts: listOf(
    'Hosts on this machine or network that a callback URL may name.',
    record(
      'One host.',
      {
        host: text('Name or address, with :port to allow that port alone.', { max: 300 }),
        egress: choice('Where it is: local or lan.', ['local', 'lan']),
      },
      { required: ['host', 'egress'] },
    ),
    1000,
  ),
  attempts: whole('Most tries to deliver a result. 8 unless given.', { min: 1, max: 100 }),
});

export const fileShape = record(
  'The registry of Dispatcher: orgs, their services, and the rules that choose between them.',
  {
    orgs: named(
      'The orgs, by code.',
      { name: orgCode, say: 'An org code starts with a letter and has letters, digits, "-" and "_", such as FND.', max: 5000 },
      orgShape,
    ),
    rules: listOf('Rules are tried before anything learned.', located(ruleShape), mostRules),
    fallback_org: reference('The org whose default_service gets what nothing else fits.'),
    limits: orOff(
      record('How much is let in. `limits: off` switches limits off.', {
        calls: orOff(
          record(
            'Calls of one caller, which is the owner or a token; built-in routes do not count.',
            {
              per_second: whole('Calls a second over time.', { min: 1, max: 1_000_000 }),
              burst: whole('Calls at one instant.', { min: 1, max: 1_000_000 }),
            },
            { required: ['per_second', 'burst'] },
          ),
        ),
      }),
    ),
    health: record('How health is watched.', {
      interval: duration('Time between two probes of a service: seconds, or with a unit. 30s unless given.', {
        min: 1000,
        max: 3_600_000,
        say: 'Write seconds, or a time such as 30s or 5m, from 1s to 1h.',
      }),
    }),
    tools: toolsShape,
    flows: named(
      'Flows by intent: the webhook that runs each. The route of an intent is FLOW.<intent>.',
      { name: serviceName, say: 'An intent has letters, digits, "-", "_" and ".", such as gmail.triage.', max: 5000 },
      flowShape,
    ),
    mcp: named(
      'MCP servers, by name. Nothing is started before somebody has approved it; its tools are the routes MCP.<server>.<tool>.',
      {
        name: /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,58}[A-Za-z0-9])?$/,
        say: 'A server name has letters, digits, "-" and "_", such as files.',
        max: 500,
      },
      serverShape,
    ),
    orchestrator: orchestratorShape,
    callbacks: callbacksShape,
    providers: providersShape,
    cortex: cortexShape,
  },
  { required: ['orgs'], later: ['models'] },
);

export type FileShape = Exclude<ReturnType<typeof fileShape.read>, undefined>;

/** JSON Schema 2020-12 of the registry file. */
export function registrySchema(): Record<string, unknown> {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:dispatcher:registry',
    title: 'Dispatcher registry',
    ...fileShape.schema,
  };
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(registrySchema(), null, 2)}\n`);
