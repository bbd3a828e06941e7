import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checkPattern } from '../operator/rules.ts';
import { checkEndpoint } from './endpoint.ts';
import { parseRegistry, surelyGood } from './parse.ts';
import { registrySchema } from './shape.ts';

const resources = join(import.meta.dirname, '../../../resources');
const example = readFileSync(join(resources, 'registry.yaml'), 'utf8');
const tools = [
  ...['calc', 'time', 'system', 'hash', 'uuid', 'text', 'json', 'echo', 'memory.write', 'memory.search', 'memory.list', 'memory.delete'],
  ...['fs.list', 'fs.read', 'fs.head', 'fs.write', 'fetch', 'ssh.exec.peek', 'ssh.exec'],
];

/** A registry with one service, and what is added to it. */
const withService = (more: string) => `orgs:
  FND:
    services:
      crm:
        endpoint: http://lucidia:8090/v1/crm
        egress: lan
${more}`;

/** Problems as `line:column path | message | hint`. */
const told = (text: string, options = {}) =>
  parseRegistry(text, options).problems.map(({ line, column, path, message, hint }) => `${line}:${column} ${path} | ${message} | ${hint}`);

describe('the registry text', () => {
  test('the documented example is whole: 15 orgs, the seed’s services, the built-in tools, FACTS’ priorities, and no problem', () => {
    const { registry, problems } = parseRegistry(example, { tools });
    assert.deepEqual(problems, []);
    assert.ok(registry);
    assert.equal(registry.orgs.length, 15);
    assert.deepEqual(
      registry.routes.filter((route) => route.kind === 'tool').map((route) => route.service),
      tools,
    );
    assert.ok(registry.routes.length >= 39 + 7 && registry.rules.length >= 25);
    for (const route of registry.routes) assert.ok(route.examples.length >= 5 && route.examples.length <= 10, route.name);
    const texts = registry.routes.flatMap((route) => route.examples);
    assert.equal(new Set(texts).size, texts.length, 'an example belongs to one service');
    const salesforce = registry.routes.find((route) => route.name === 'FND.salesforce');
    assert.equal(salesforce?.endpoint, 'http://lucidia:8091/v1/salesforce');
    assert.deepEqual(
      registry.rules.filter((rule) => rule.priority >= 100).map((rule) => `${rule.pattern} ${rule.route} ${rule.priority}`),
      [
        ...['copilot', 'lucidia', 'ollama'].map((name) => `@${name} AI.ollama 1000`),
        'salesforce FND.salesforce 100',
        'stripe FND.stripe 100',
        'cloudflare CLD.cloudflare 100',
        'hailo(-8)? HW.hailo 100',
        'figma STU.figma 100',
        'gdrive|google drive CLD.gdrive 100',
      ],
    );
    assert.equal(registry.fallbackOrg, 'AI');
  });

  test('seed 000’s own example is a registry', () => {
    const seed = `orgs:
  FND:
    name: BlackRoad-Foundation
    services:
      salesforce:
        endpoint: http://lucidia:8091/v1/salesforce
        health: http://lucidia:8091/health
      stripe:
        endpoint: http://lucidia:8092/v1/stripe

  AI:
    name: BlackRoad-AI
    services:
      router:
        endpoint: http://alice:8080/v1/complete
      agents:
        endpoint: http://alice:8082/v1/agents

rules:
  - pattern: "salesforce"
    org: FND
    service: salesforce
    priority: 100
`;
    const { registry, problems } = parseRegistry(seed);
    assert.deepEqual(
      problems.map((problem) => `${problem.severity} ${problem.line}`),
      ['warning 5', 'warning 8', 'warning 14', 'warning 16'],
    );
    assert.deepEqual(
      registry?.routes.map(({ name, egress, line, timeoutMs }) => [name, egress, line, timeoutMs]),
      [
        ['FND.salesforce', 'remote', 5, 30_000],
        ['FND.stripe', 'remote', 8, 30_000],
        ['AI.router', 'remote', 14, 30_000],
        ['AI.agents', 'remote', 16, 30_000],
      ],
    );
    assert.deepEqual(registry?.rules, [{ pattern: 'salesforce', route: 'FND.salesforce', priority: 100, order: 0, line: 20 }]);
  });

  test('every key compiles into its field', () => {
    const { registry, problems } = parseRegistry(`fallback_org: A
limits: {calls: {per_second: 7, burst: 9}}
health: {interval: 5m}
orgs:
  A:
    name: Alpha
    code: A
    status: planned
    description: First
    primary_node: n1
    default_service: one
    repos: [r1]
    services:
      one: {kind: model, description: D, type: external, endpoint: "https://api.example.org/v1", health: "https://api.example.org/h", method: PUT,
        auth: {kind: header, env: KEY, header: X-Key}, egress: remote, timeout: 500ms, max_response: 2MB, concurrency: 3, lane: l, idempotent: true,
        retry: {times: 2, backoff: 500ms, max: 4s}, provider: p, model: m, fallback: B.two, nodes: [n1], examples: [do one], demo: true}
  B:
    services:
      two: {endpoint: "http://127.0.0.1:81/", egress: local, timeout: 2.5, max_response: 1000}
rules:
  - {pattern: "one", org: A}
`);
    assert.deepEqual(problems, []);
    assert.deepEqual(registry?.orgs[0], {
      code: 'A',
      name: 'Alpha',
      status: 'planned',
      description: 'First',
      primaryNode: 'n1',
      repos: ['r1'],
      defaultService: 'one',
    });
    assert.deepEqual(registry?.routes[0], {
      name: 'A.one',
      org: 'A',
      service: 'one',
      kind: 'model',
      description: 'D',
      type: 'external',
      endpoint: 'https://api.example.org/v1',
      health: 'https://api.example.org/h',
      method: 'PUT',
      auth: { kind: 'header', env: 'KEY', header: 'X-Key' },
      egress: 'remote',
      timeoutMs: 500,
      maxResponseBytes: 2 * 1024 ** 2,
      concurrency: 3,
      lane: 'l',
      idempotent: true,
      retry: { times: 2, backoffMs: 500, maxMs: 4000 },
      answer: 'response',
      grid: null,
      mcp: null,
      inputSchema: null,
      provider: 'p',
      model: 'm',
      need: null,
      fallback: 'B.two',
      nodes: ['n1'],
      examples: ['do one'],
      demo: true,
      line: 14,
    });
    assert.deepEqual([registry?.routes[1]?.timeoutMs, registry?.routes[1]?.maxResponseBytes], [2500, 1000]);
    assert.deepEqual(registry?.rules[0], { pattern: 'one', route: 'A.one', priority: 50, order: 0, line: 21 });
    assert.deepEqual([registry?.fallbackOrg, registry?.limits, registry?.healthIntervalMs], ['A', { perSecond: 7, burst: 9 }, 300_000]);
    assert.equal(parseRegistry(withService('limits: off\n')).registry?.limits, null);
    assert.deepEqual(parseRegistry(withService('')).registry?.limits, { perSecond: 100, burst: 200 });
  });

  test('an error names its place and says what to write', () => {
    assert.deepEqual(told(withService('        timout: 30s\n')), [
      '7:9 orgs.FND.services.crm.timout | The key "timout" means nothing here. | Did you mean "timeout"?',
    ]);
    assert.deepEqual(told(withService('fallbackOrg: FND\n')), [
      '7:1 fallbackOrg | The key "fallbackOrg" means nothing here. | Did you mean "fallback_org"?',
    ]);
    assert.deepEqual(told(withService('        timeout: soon\n')), [
      '7:18 orgs.FND.services.crm.timeout | "soon" does not fit here. | Write seconds, or a time such as 500ms, 30s or 2m, up to 1h.',
    ]);
    assert.deepEqual(told(withService('        method: post\n')), [
      '7:17 orgs.FND.services.crm.method | "post" does not fit here. | Did you mean POST? The choices are GET, POST, PUT, DELETE, PATCH.',
    ]);
    assert.deepEqual(told(withService('    name: 42\n')), [
      '7:11 orgs.FND.name | A text belongs here; 42 is read as a number. | Write "42" in quotes.',
    ]);
    assert.deepEqual(told(withService('    default_service: crn\n')), [
      '7:22 orgs.FND.default_service | FND has no service crn. | Did you mean crm?',
    ]);
    assert.deepEqual(told(withService('        fallback: crm\n')), [
      '7:19 orgs.FND.services.crm.fallback | FND.crm is its own fallback. | Name another service.',
    ]);
    assert.deepEqual(told('orgs:\n  FND:\n    services:\n      crm:\n'), [
      '4:7 orgs.FND.services.crm | FND.crm has no endpoint. | Add endpoint: http://host:port/path.',
    ]);
    assert.deepEqual(told(''), ['1:1  | The registry is empty. | Start with "orgs:"; the manual is resources/registry.yaml.']);
    assert.deepEqual(told(withService('        auth: {kind: bearer, env: "sk-live 1"}\n')), [
      '7:35 orgs.FND.services.crm.auth.env | "sk-live 1" does not fit here. | Write the name of an environment variable, such as SALESFORCE_TOKEN; the secret itself never stands here.',
    ]);
    assert.match(told(withService('fallback_org: FDN\n'))[0] ?? '', /^7:15 fallback_org \| There is no org FDN\. \| Did you mean FND\?/);
    assert.match(told('orgs:\n  FND:\n    services:\n      bad name: {endpoint: "http://a:81/"}\n')[0] ?? '', /"bad name" is not a name/);
  });

  test('the section tools says what the built-in tools may reach; relative paths and equal names are errors', () => {
    const { registry, problems } = parseRegistry(
      withService(`tools:
  fs: { roots: [{ name: notes, path: /srv/notes, write: true }, { name: logs, path: /var/log }] }
  fetch: { hosts: [{ host: "Wiki:8080", egress: lan }] }
  ssh:
    known_hosts: /etc/hosts.known
    hosts: [{ name: pi, address: 10.0.0.7, port: 2222, user: pi, identity: /keys/pi, egress: lan }, { name: far.example.com }]
`),
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(registry?.tools, {
      roots: [
        { name: 'notes', path: '/srv/notes', write: true },
        { name: 'logs', path: '/var/log', write: false },
      ],
      fetchHosts: [{ host: 'wiki:8080', egress: 'lan' }],
      ssh: {
        knownHosts: '/etc/hosts.known',
        hosts: [
          { name: 'pi', address: '10.0.0.7', port: 2222, user: 'pi', identity: '/keys/pi', egress: 'lan' },
          { name: 'far.example.com', address: 'far.example.com', port: 22, user: null, identity: null, egress: 'remote' },
        ],
      },
    });
    assert.deepEqual(
      told(withService('tools: { fs: { roots: [{ name: a, path: notes }, { name: a, path: /x }] } }\n')).map((line) =>
        line.split(' | ').slice(0, 2),
      ),
      [
        ['7:41 tools.fs.roots[0]', 'notes is not an absolute path.'],
        ['7:58 tools.fs.roots[1]', 'There are two named a.'],
      ],
    );
    assert.match(told(withService('tools: { fs: { roots: [{ name: a b, path: /x }] } }\n'))[0]!, /letters, digits/);
  });

  test('a fallback with a dot is a service of the same org where there is one, else ORG.service', () => {
    const service = (name: string, fallback: string) =>
      `      ${name}: { endpoint: "http://127.0.0.1:8091/x", egress: local, fallback: ${fallback} }\n`;
    const { registry, problems } = parseRegistry(
      `orgs:\n  A:\n    services:\n${service('one', 'two.half')}${service('two.half', 'B.three')}  B:\n    services:\n      three: { endpoint: "http://127.0.0.1:8091/x", egress: local }\n`,
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(
      registry?.routes.map(({ name, fallback }) => `${name} ${fallback}`),
      ['A.one A.two.half', 'A.two.half B.three', 'B.three null'],
    );
  });

  test('sections of later versions are warnings', () => {
    const { registry, problems } = parseRegistry(withService('models: []\n'));
    assert.ok(registry);
    assert.deepEqual(
      problems.map(({ severity, path }) => `${severity} ${path}`),
      ['warning models'],
    );
  });

  test('seed 003’s map of flows is a section: an address alone or a block, each the route FLOW.<intent> with two minutes', () => {
    const { registry, problems } = parseRegistry(
      withService(`flows:
  gmail.triage: http://127.0.0.1:5678/webhook/gmail-triage
  slack.summarize:
    endpoint: http://127.0.0.1:5678/webhook/slack
    egress: local
    answer: callback
    timeout: 10m
    retry: 3
    auth: {env: N8N_TOKEN}
    idempotent: true
    lane: slack
    examples: [summarize the channel]
rules:
  - {pattern: triage, org: FLOW, service: gmail.triage}
`),
    );
    assert.deepEqual(
      problems.map(({ severity, line, path }) => `${severity} ${line} ${path}`),
      ['warning 8 flows.gmail.triage'],
    );
    assert.deepEqual(registry?.orgs.at(-1), {
      ...{ code: 'FLOW', name: 'Flows', status: 'active', description: 'Flows, by intent', primaryNode: null, repos: [] },
      defaultService: null,
    });
    const [, alone, whole] = registry?.routes ?? [];
    assert.deepEqual(
      [alone?.name, alone?.kind, alone?.endpoint, alone?.egress, alone?.timeoutMs, alone?.answer, alone?.retry, alone?.line],
      ['FLOW.gmail.triage', 'flow', 'http://127.0.0.1:5678/webhook/gmail-triage', 'remote', 120_000, 'response', null, 8],
    );
    assert.deepEqual(
      [whole?.name, whole?.answer, whole?.timeoutMs, whole?.retry, whole?.auth?.env, whole?.idempotent, whole?.lane, whole?.examples],
      [
        'FLOW.slack.summarize',
        'callback',
        600_000,
        { times: 3, backoffMs: 1000, maxMs: 30_000 },
        'N8N_TOKEN',
        true,
        'slack',
        ['summarize the channel'],
      ],
    );
    assert.equal(registry?.rules[0]?.route, 'FLOW.gmail.triage');
    assert.match(told('orgs:\n  Flow: {}\n')[0] ?? '', /^2:3 orgs\.Flow \| The org Flow is made of the section flows\./);
    assert.deepEqual(
      told(withService('flows:\n  x: ftp://a/\n')).at(0),
      '8:6 flows.x.endpoint | Addresses that start with "ftp:" are not called. | Write http:// or https://.',
    );
    assert.deepEqual(told(withService('        answer: callback\n')), [
      '7:17 orgs.FND.services.crm | answer belongs to kind flow. | Remove it, or write kind: flow.',
    ]);
  });

  test('a grid is its steps, as a list or a block; what their references read comes before them', () => {
    const grid = (steps: string) =>
      withService(`  G:\n    services:\n      one: {endpoint: "http://a:81/", egress: lan}\n      grid:\n        kind: grid\n${steps}`);
    const both = [
      `        steps:
          fetch: {route: one, params: {text: $.params.text}}
          note: {route: FND.crm, after: [fetch], params: {list: ["$.steps.fetch.result.items[0]", "got $.text"]}}
          sum: {route: FND.crm, params: {a: {b: "$.steps.note.result['odd key'] and $$.params"}}}
`,
      `        steps:
          - {name: fetch, route: one, params: {text: $.params.text}}
          - {name: note, route: FND.crm, after: [fetch], params: {list: ["$.steps.fetch.result.items[0]", "got $.text"]}}
          - {name: sum, route: FND.crm, params: {a: {b: "$.steps.note.result['odd key'] and $$.params"}}}
`,
    ].map((steps) => {
      const { registry, problems } = parseRegistry(grid(steps));
      assert.deepEqual(problems, []);
      return registry?.routes.find((route) => route.name === 'G.grid');
    });
    assert.deepEqual(both[0], both[1]);
    assert.deepEqual(
      [both[0]?.kind, both[0]?.endpoint, both[0]?.egress, both[0]?.timeoutMs, both[0]?.grid],
      [
        ...['grid', null, 'local', 120_000],
        {
          policy: 'all',
          steps: [
            { name: 'fetch', route: 'G.one', after: [], params: { text: '$.params.text' } },
            { name: 'note', route: 'FND.crm', after: ['fetch'], params: { list: ['$.steps.fetch.result.items[0]', 'got $.text'] } },
            { name: 'sum', route: 'FND.crm', after: ['note'], params: { a: { b: "$.steps.note.result['odd key'] and $$.params" } } },
          ],
        },
      ],
    );

    const wrong = (steps: string) => told(grid(`        steps:\n${steps}`)).map((line) => line.split(' | ').slice(0, 2).join(' | '));
    const at = 'orgs.G.services.grid.steps';
    assert.deepEqual(wrong('          a: {route: onee}\n'), [`13:22 ${at}.a.route | There is no service G.onee to run.`]);
    assert.deepEqual(wrong('          a: {route: one, after: [b]}\n'), [`13:35 ${at}.a.after | There is no step b.`]);
    assert.deepEqual(wrong('          a: {route: one, params: {x: $.steps.b.result}}\n'), [`13:39 ${at}.a.params | There is no step b.`]);
    assert.deepEqual(wrong('          a: {route: one, params: {x: [$.stps.b.result]}}\n'), [
      `13:40 ${at}.a.params.x[0] | $.stps.b.result points at nothing.`,
    ]);
    assert.deepEqual(wrong('          a: {route: one}\n          b: {route: one, params: {x: $.steps.a.items}}\n'), [
      `14:39 ${at}.b.params.x | $.steps.a.items does not read a result.`,
    ]);
    assert.deepEqual(
      wrong(
        '          a: {route: one, after: [c]}\n          b: {route: one, after: [a]}\n          c: {route: one, params: {x: $.steps.b.result}}\n          d: {route: one, after: [c]}\n',
      ),
      [`13:11 ${at}.a | These steps wait for each other: a, b, c.`],
    );
    assert.deepEqual(wrong('          a: {route: one, after: [a]}\n'), [`13:11 ${at}.a | The step a waits for itself.`]);
    assert.deepEqual(wrong('          a: {route: OS.status}\n'), [`13:22 ${at}.a.route | There is no service OS.status to run.`]);
    assert.deepEqual(
      told(grid('')).map((line) => line.split(' | ')[1]),
      ['G.grid has no steps.'],
    );
    assert.match(
      told(grid(`        steps: {${Array.from({ length: 51 }, (_, step) => `s${step}: {route: one}`).join(', ')}}\n`))[0] ?? '',
      /51 entries here; 50 are the most/,
    );
    assert.match(
      told(grid('        steps: {a: {route: one, params: {__proto__: 1}}}\n'))[0] ?? '',
      /__proto__ is not a name that can be used/,
    );
    assert.match(told(withService('        policy: any\n'))[0] ?? '', /policy and steps belong to kind grid/);
  });

  test('a grid that contains itself, by way of others or alone, is refused; so are too many grids or calls inside each other', () => {
    const grids = (all: Record<string, string[]>) =>
      told(
        `orgs:\n  G:\n    services:\n      one: {endpoint: "http://a:81/", egress: lan}\n${Object.entries(all)
          .map(
            ([name, routes]) =>
              `      ${name}: {kind: grid, steps: {${routes.map((route, index) => `s${index}: {route: ${route}}`).join(', ')}}}\n`,
          )
          .join('')}`,
      ).map((line) => line.split(' | ').slice(0, 2).join(' | '));
    assert.deepEqual(grids({ a: ['a'] }), ['5:7 orgs.G.services.a | G.a contains itself.']);
    assert.deepEqual(grids({ a: ['one', 'b'], b: ['c'], c: ['one', 'a'], d: ['a'] }), [
      ...['5:7 orgs.G.services.a | G.a', '6:7 orgs.G.services.b | G.b', '7:7 orgs.G.services.c | G.c'].map(
        (start) => `${start} contains itself, by way of others.`,
      ),
    ]);
    const deep = Object.fromEntries(Array.from({ length: 9 }, (_, level) => [`g${level}`, [level === 8 ? 'one' : `g${level + 1}`]]));
    assert.deepEqual(grids(deep), ['5:7 orgs.G.services.g0 | 9 grids are inside each other here; 8 are the most.']);
    // Named after the service each runs.
    const laned = (lanes: Record<string, string>) =>
      told(
        [
          'orgs: {G: {services: {',
          'one: {endpoint: "http://a:81/", egress: lan, lane: x}, two: {endpoint: "http://a:81/", egress: lan, lane: y}, ',
          ...Object.entries(lanes).map(([name, lane]) => `${name}: {kind: grid, lane: ${lane}, steps: {a: {route: ${name.slice(0, 3)}}}},`),
          '}}}',
        ].join(' '),
      ).map((line) => line.split(' | ')[1]?.slice(0, 29));
    assert.deepEqual(laned({ 'one-grid': 'y' }), []);
    assert.deepEqual(laned({ 'one-grid': 'x' }), ['G.one-grid holds the lane x w']);
    assert.deepEqual(laned({ 'one-grid': 'y', 'two-grid': 'x' }), ['G.one-grid holds the lane y w', 'G.two-grid holds the lane x w']);
    const wide = { a: Array(50).fill('b') as string[], b: Array(20).fill('one') as string[] };
    assert.deepEqual(grids(wide), ['5:7 orgs.G.services.a | One call of this comes to 1051 calls; 500 are the most.']);
  });

  test('M13: an MCP server is a program with its arguments, or a url; what wants a shell, another user or the current folder is not started', () => {
    const { registry, problems } = parseRegistry(
      withService(`mcp:
  everything: { command: [npx, -y, "@modelcontextprotocol/server-everything"], egress: local, idle: 1m, timeout: 5s, cwd: /srv, env: { TOKEN: EVERYTHING_TOKEN } }
  far: { url: "https://mcp.example.org/mcp", egress: remote, auth: { env: FAR_TOKEN } }
`),
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(registry?.mcp, [
      {
        name: 'everything',
        transport: {
          kind: 'stdio',
          argv: ['npx', '-y', '@modelcontextprotocol/server-everything'],
          cwd: '/srv',
          env: [{ name: 'TOKEN', from: 'EVERYTHING_TOKEN' }],
        },
        ...{ auth: null, egress: 'local', timeoutMs: 5000, idleMs: 60_000, line: 8 },
      },
      {
        name: 'far',
        transport: { kind: 'http', url: 'https://mcp.example.org/mcp' },
        auth: { kind: 'bearer', env: 'FAR_TOKEN', header: null },
        ...{ egress: 'remote', timeoutMs: 60_000, idleMs: 300_000, line: 9 },
      },
    ]);

    const about = (server: string) =>
      parseRegistry(withService(`mcp:\n  x: {${server}, egress: local}\n`)).problems.map(
        ({ severity, message }) => `${severity}: ${message}`,
      );
    assert.deepEqual(about('command: "npx -y x && curl .."'), [
      'error: A command is a list with an entry for each argument; no shell takes a text apart.',
    ]);
    assert.deepEqual(about('command: []'), ['error: There is no program in this command.']);
    assert.deepEqual(about('timeout: 5s'), ['error: x has neither a command nor a url.']);
    assert.deepEqual(about('command: [sudo, npx]'), ['error: sudo would start it as somebody else.']);
    assert.deepEqual(about('command: [/usr/bin/sudo, npx]'), ['error: sudo would start it as somebody else.']);
    assert.deepEqual(about('command: [./server]'), ['error: Where ./server is depends on where Dispatcher was started.']);
    assert.deepEqual(about('command: ["npx -y x"]'), ['error: "npx -y x" is not the name of a program.']);
    assert.deepEqual(about('command: [npx, -y, x, "&&", curl]'), ['warning: No shell reads "&&": the program gets it as it is.']);
    assert.deepEqual(about('command: [npx, "$(id)"]'), ['warning: No shell reads "$(id)": the program gets it as it is.']);
    assert.deepEqual(about('command: [npx, "https://a/?b=1&c=2", "a b"]'), []);
    assert.deepEqual(about('command: [bash, -c, "x"]'), ['warning: bash is a shell, so whatever stands in its arguments is run.']);
    assert.deepEqual(about('command: [npx], url: "http://a:81/"'), ['error: x has a command and a url.']);
    assert.deepEqual(about('command: [npx], cwd: here'), ['error: here is not an absolute path.']);
    assert.deepEqual(about('command: [npx], auth: {env: A}'), ['error: auth belongs to a url.']);
    assert.deepEqual(about('url: "http://a:81/", env: {A: B}'), ['error: env belongs to a command; a url starts no program.']);
    assert.deepEqual(about('url: "file:///x"'), ['error: Addresses that start with "file:" are not called.']);
    assert.match(told(withService('mcp:\n  x: {command: [npx], env: {A: sk-live-1}}\n'))[0] ?? '', /name of an environment variable/);
    assert.match(told(withService('mcp:\n  a.b: {command: [npx]}\n'))[0] ?? '', /"a\.b" is not a name/);
  });

  test('orchestrator and callbacks have their defaults, and name what there is', () => {
    const { registry } = parseRegistry(withService(''));
    assert.deepEqual(
      [registry?.orchestrator, registry?.callbacks],
      [
        { service: null, actionsPerMinute: 10, cooldownMs: 5000, waitMs: 8000 },
        { signEnv: null, ingestEnv: null, hosts: [], attempts: 8 },
      ],
    );
    const { registry: given, problems } = parseRegistry(
      withService(`      podium: {kind: podium, endpoint: "http://a:81/api/command", egress: lan}
orchestrator: {service: FND.podium, actions_per_minute: 20, cooldown: 0, wait: 500ms}
callbacks: {sign: SIGN, ingest: INGEST, hosts: [{host: "App:9000", egress: lan}], attempts: 3}
`),
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(
      [given?.orchestrator, given?.callbacks],
      [
        { service: 'FND.podium', actionsPerMinute: 20, cooldownMs: 0, waitMs: 500 },
        { signEnv: 'SIGN', ingestEnv: 'INGEST', hosts: [{ host: 'app:9000', egress: 'lan' }], attempts: 3 },
      ],
    );
    assert.deepEqual(told(withService('orchestrator: {service: FND.crm}\n')), [
      '7:25 orchestrator.service | FND.crm is of kind http. | Name a service of kind podium.',
    ]);
    assert.match(told(withService('orchestrator: {service: FND.podim}\n'))[0] ?? '', /There is no service FND\.podim/);
  });

  test('tools are of the org OS and of the list; names of built-in operations are taken', () => {
    const os = (service: string) => `orgs:\n  OS:\n    services:\n      ${service}\n`;
    assert.deepEqual(told(os('calc: {kind: tool}'), { tools }), []);
    assert.deepEqual(told(os('clac: {kind: tool}'), { tools }), [
      '4:7 orgs.OS.services.clac | There is no built-in tool clac. | Did you mean calc?',
    ]);
    assert.deepEqual(told(os('routes: {kind: tool}')), [
      '4:7 orgs.OS.services.routes | OS.routes is built in. | Give the service another name.',
    ]);
    assert.equal(parseRegistry('orgs:\n  A:\n    services:\n      calc: {kind: tool}\n').registry, null);
  });

  test('R07: a pattern RE2 does not have is an error that names the rule', () => {
    const [problem] = told(withService('rules:\n  - {pattern: "(?<=a)b", org: FND, service: crm}\n'));
    assert.match(problem ?? '', /^8:15 rules\[0\]\.pattern \| .*lookbehind/);
  });

  test('R12: a rule to a missing service is an error; equal rules keep the order of the file', () => {
    assert.deepEqual(told(withService('rules:\n  - pattern: x\n    org: FND\n    service: cmr\n')), [
      '10:14 rules[0] | There is no service FND.cmr. | Did you mean crm?',
    ]);
    assert.deepEqual(told(withService('rules:\n  - {pattern: x, org: FND}\n')), [
      '8:5 rules[0] | This rule names no service, and FND has no default_service. | Add service: to the rule, or default_service: to FND.',
    ]);
    const same = withService(
      'rules:\n  - {pattern: x, org: FND, service: crm, priority: 5}\n  - {pattern: y, org: FND, service: crm, priority: 5}\n',
    );
    assert.deepEqual(
      parseRegistry(same).registry?.rules.map(({ pattern, order, line }) => [pattern, order, line]),
      [
        ['x', 0, 8],
        ['y', 1, 9],
      ],
    );
  });

  test('fallbacks that lead in a circle are errors', () => {
    const circle = (['a b', 'b c', 'c a', 'd a'] as const).map((pair) => {
      const [name, next] = pair.split(' ');
      return `      ${name}: {endpoint: "http://x:81/", egress: lan, fallback: ${next}}`;
    });
    const { problems } = parseRegistry(`orgs:\n  A:\n    services:\n${circle.join('\n')}\n`);
    assert.deepEqual(
      problems.map((problem) => problem.line),
      [4, 5, 6],
    );
  });

  test('R02: 50 MB, 100,000 rules, 100,000 faults and 19,000 grids in a ring are answered soon', () => {
    const timed = (text: string) => {
      const start = performance.now();
      const { registry, problems } = parseRegistry(text);
      assert.ok(performance.now() - start < 5000);
      assert.equal(registry, null);
      assert.ok(problems.length <= 101);
      return problems[0]?.message;
    };
    assert.equal(timed('#'.repeat(50_000_000)), 'The registry is larger than 16 MB.');
    assert.equal(
      timed(withService(`rules:\n${'  - {pattern: x, org: FND, service: crm}\n'.repeat(100_000)}`)),
      'There are 100000 entries here; 50000 are the most.',
    );
    assert.equal(
      timed(withService(`rules:\n${'  - {pattern: x, org: FND, service: crn}\n'.repeat(50_000)}`)),
      'There is no service FND.crn.',
    );
    assert.equal(
      timed(withService(Array.from({ length: 100_000 }, (_, index) => `key${index}: 1`).join('\n'))),
      'The key "key0" means nothing here.',
    );
    const ring = Array.from({ length: 19_000 }, (_, index) => `g${index}: {kind: grid, steps: {a: {route: g${(index + 1) % 19_000}}}}`);
    assert.equal(timed(`orgs: {G: {services: {${ring.join(', ')}}}}`), 'G.g0 contains itself, by way of others.');
  });

  test('R05: a byte order mark is no part of the first line', () => {
    assert.ok(parseRegistry(`\ufeff${withService('')}`).registry);
    assert.match(told('\ufefforg: {}\n')[0] ?? '', /^1:1 org \| .*\| Did you mean "orgs"\?/);
  });

  test('names of objects’ own parts are plain names or refused, and change nothing', () => {
    const { registry } = parseRegistry(
      'orgs:\n  A:\n    services:\n      constructor: {endpoint: "http://a:81/", egress: lan}\n      toString: {endpoint: "http://a:81/", egress: lan}\n',
    );
    assert.deepEqual(
      registry?.routes.map((route) => route.name),
      ['A.constructor', 'A.toString'],
    );
    assert.equal(parseRegistry(withService('__proto__: {polluted: 1}\n')).registry, null);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });

  test('patterns that are taken for good without a closer look are good', () => {
    const pieces = fc.constantFrom(...'ab7 @:_-?+*|()[]', '[a-z]', '[0-9]+', '\\d', '\\s', '\\w*', '(?:', '(a|b)', 'word', '[a-z0-9]');
    let taken = 0;
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
        const pattern = parts.join('');
        if (!surelyGood.test(pattern)) return;
        taken++;
        assert.equal(checkPattern(pattern), null, pattern);
      }),
      { numRuns: 20_000 },
    );
    assert.ok(taken > 500, `${taken} were taken`);
    for (const pattern of ['salesforce', 'keyword7s?|item [a-z]+ 7', '@ollama', 'sha(1|256)', '(?:a|b)+ \\d'])
      assert.ok(surelyGood.test(pattern), pattern);
  });

  test('R08: addresses that are not called', () => {
    const message = (text: string) => checkEndpoint(text, 'remote')?.message ?? null;
    assert.deepEqual(
      ['file:///etc/passwd', 'gopher://a:70/', 'unix:/run/x.sock', 'javascript:alert(1)', 'ftp://a/'].map(message),
      ['file', 'gopher', 'unix', 'javascript', 'ftp'].map((scheme) => `Addresses that start with "${scheme}:" are not called.`),
    );
    for (const port of [0, 1, 22, 25, 6000, 6667, 10080])
      assert.match(message(`http://a:${port}/`) ?? 'accepted', /^Port \d+ is not called/);
    assert.match(message('http://user:pw@a/') ?? 'accepted', /user name or password/);
    assert.match(message('http://[::]:80/') ?? 'accepted', /to listen on/);
    assert.match(message('http://0.0.0.0:80/') ?? 'accepted', /to listen on/);
    for (const spelled of ['0177.1', '127.1', '2130706433', '0x7f.0.0.1', '0177.0.0.1'])
      assert.match(message(`http://${spelled}/`) ?? 'accepted', /another spelling/, spelled);
    for (const text of [
      'http://１２７.0.0.1/',
      'http://[::ffff:127.0.0.1]/',
      'http://a%2eb/',
      'http://',
      'http:a',
      'lucidia:8091',
      'http://a:99999/',
      'http://a b/',
      'http:\\\\a',
      'http://255.255.255.255/',
      'http://a/#x',
      `http://a/${'x'.repeat(2100)}`,
      'http://a..b/',
      ' http://a/',
      'http://a\n/',
    ]) {
      assert.notEqual(message(text), null, text);
    }
    for (const text of [
      'http://lucidia:8091/v1/salesforce',
      'https://api.cloudflare.com/client/v4/accounts?page=1',
      'http://127.0.0.1:11434/',
      'http://[::1]:80/',
      'http://localhost',
      'http://my_host:81/',
      'HTTP://Lucidia:81/',
    ]) {
      assert.equal(message(text), null, text);
    }
    const line = told('orgs:\n  A:\n    services:\n      s:\n        endpoint: http://0177.1/\n        egress: lan\n')[0];
    assert.equal(
      line,
      '5:19 orgs.A.services.s.endpoint | The host 0177.1 is another spelling of the address 127.0.0.1. | Write 127.0.0.1 if that is what is meant.',
    );
  });

  test('an address that certainly is elsewhere than egress says is refused; a name that looks public is a warning', () => {
    assert.equal(checkEndpoint('http://8.8.8.8/', 'lan')?.severity, 'error');
    assert.equal(checkEndpoint('http://192.168.1.5:81/', 'local')?.severity, 'error');
    assert.equal(checkEndpoint('http://api.example.org/', 'local')?.severity, 'warning');
    assert.equal(checkEndpoint('http://lucidia:81/', 'local'), null);
    assert.equal(checkEndpoint('http://lucidia.local:81/', 'lan'), null);
    assert.equal(checkEndpoint('http://127.0.0.1:81/', 'remote'), null);
  });

  test('the JSON Schema that ships is the one of these definitions', () => {
    assert.deepEqual(
      JSON.parse(readFileSync(join(resources, 'registry.schema.json'), 'utf8')),
      registrySchema(),
      'run: node electron/core/registry/shape.ts > resources/registry.schema.json',
    );
    assert.match(example, /^# yaml-language-server: \$schema=\.\/registry\.schema\.json\n/);
  });
});
