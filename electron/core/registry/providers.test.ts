import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Provider } from '../../../shared/cortex.ts';
import { parseRegistry } from './parse.ts';

const example = readFileSync(join(import.meta.dirname, '../../../resources/registry.yaml'), 'utf8');
const gigabyte = 1024 ** 3;
const file = '/etc/dispatcher/registry.yaml';

/** A registry with these sections and one service; their first line is line 1. */
const registryWith = (sections: string) => `${sections}orgs:
  A:
    services:
      echo: { endpoint: "http://127.0.0.1:81/", egress: local }
`;
const parsed = (sections: string) => parseRegistry(registryWith(sections), { file });
const providersOf = (sections: string): Provider[] => {
  const { registry, problems } = parsed(sections);
  assert.deepEqual(problems, []);
  return registry!.providers;
};
/** The example between these comment lines, as if it were not a comment. */
function documented(section: string): string {
  const lines = example.split('\n');
  const from = lines.indexOf(`# ${section}:`);
  const rest = lines.slice(from + 1);
  const until = rest.findIndex((line) => !line.startsWith('#   '));
  return [`${section}:`, ...rest.slice(0, until).map((line) => line.slice(2))].join('\n');
}

describe('providers', () => {
  test('every key compiles into its field', () => {
    const [whole] = providersOf(
      `providers:
  vision:
    description: Eyes
    controller: { kind: container, container: eyes, socket: run/podman.sock }
    endpoint: http://127.0.0.1:8081/v1/
    egress: local
    auth: { env: VISION_KEY }
    capabilities: [vision-analysis, ocr, vision-analysis]
    tiers:
      70B: { model: "llava:70b", vram: 40 GB, context: 8192, load_time: 60s }
      7B: { model: "llava:7b", vram: 5.5GiB }
      tiny: { vram: 1000 }
    tools: [A.echo, OS.memory.search]
    groups: [senses]
    devices: [GPU-1, GPU-2]
    priority: 80
    pinned: true
    concurrency: 2
    idle: 10m
    drain: 30
    warm_up: 90s
    stop_time: 500ms
    settings: { temperature: 0.1, top_p: 1, max_tokens: 200 }
    demo: true
`.replace('OS.memory.search', 'OS.health'),
    );
    assert.deepEqual(whole, {
      name: 'vision',
      description: 'Eyes',
      controller: { kind: 'container', container: 'eyes', socket: '/etc/dispatcher/run/podman.sock' },
      endpoint: 'http://127.0.0.1:8081',
      egress: 'local',
      auth: { kind: 'bearer', env: 'VISION_KEY', header: null },
      capabilities: ['ocr', 'vision-analysis'],
      tiers: [
        { name: '70B', model: 'llava:70b', vram: { bytes: 40 * gigabyte, source: 'estimated' }, context: 8192, loadMs: 60_000 },
        { name: '7B', model: 'llava:7b', vram: { bytes: 5.5 * gigabyte, source: 'estimated' }, context: null, loadMs: 20_000 },
        { name: 'tiny', model: 'tiny', vram: { bytes: 1000, source: 'estimated' }, context: null, loadMs: 20_000 },
      ],
      tools: ['A.echo', 'OS.health'],
      groups: ['senses'],
      devices: ['GPU-1', 'GPU-2'],
      priority: 80,
      pinned: true,
      concurrency: 2,
      idleMs: 600_000,
      drainMs: 30_000,
      warmMs: 90_000,
      stopMs: 500,
      settings: { temperature: 0.1, top_p: 1, max_tokens: 200 },
      origin: { kind: 'registry', file, line: 2 },
      demo: true,
    });
  });

  test('what is not said is filled in; a server without tiers is to be asked', () => {
    const [server, cloud, one, listed, unit] = providersOf(`providers:
  server: { controller: ollama, endpoint: "http://127.0.0.1:11434", egress: local, tiers: auto }
  cloud: { endpoint: "https://api.example.org/openai/v1", egress: remote, capabilities: text-generation, model: big }
  one: { endpoint: "http://127.0.0.1:82", egress: local, capabilities: [stt], model: w, vram: 4 GB, context: 100, load_time: 5s }
  listed: { endpoint: "http://127.0.0.1:83", egress: local, capabilities: [stt], tiers: [{ name: L, model: l }, { name: S, model: s }] }
  unit: { controller: { start: [systemctl, start, x], stop: [systemctl, stop, x] }, endpoint: "http://127.0.0.1:84", egress: local,
    capabilities: [tts], model: t }
`);
    assert.deepEqual(server, {
      name: 'server',
      description: null,
      controller: { kind: 'ollama' },
      endpoint: 'http://127.0.0.1:11434',
      egress: 'local',
      auth: null,
      capabilities: [],
      tiers: [],
      tools: [],
      groups: [],
      devices: [],
      priority: 50,
      pinned: false,
      concurrency: null,
      idleMs: null,
      drainMs: 120_000,
      warmMs: 180_000,
      stopMs: 2000,
      settings: { temperature: 0.7, top_p: 0.9, max_tokens: 4096 },
      origin: { kind: 'registry', file, line: 2 },
      demo: false,
    });
    assert.deepEqual(
      [cloud?.endpoint, cloud?.controller, cloud?.tiers],
      [
        'https://api.example.org/openai',
        { kind: 'openai' },
        [{ name: 'big', model: 'big', vram: { bytes: 0, source: 'estimated' }, context: null, loadMs: 0 }],
      ],
    );
    assert.deepEqual(one?.tiers, [
      { name: 'w', model: 'w', vram: { bytes: 4 * gigabyte, source: 'estimated' }, context: 100, loadMs: 5000 },
    ]);
    assert.deepEqual(
      listed?.tiers.map(({ name, model, vram }) => [name, model, vram]),
      [
        ['L', 'l', null],
        ['S', 's', null],
      ],
    );
    assert.deepEqual(unit?.controller, { kind: 'command', start: ['systemctl', 'start', 'x'], stop: ['systemctl', 'stop', 'x'] });
  });

  const good = 'endpoint: "http://127.0.0.1:81", egress: local, capabilities: [stt], model: m';
  for (const [what, entry, expected] of [
    ['no endpoint', '{ egress: local, capabilities: [stt], model: m }', '2:3 providers.p | p has no endpoint.'],
    [
      'an endpoint that is none',
      `{ ${good.replace('http://127.0.0.1:81', 'ftp://x')} }`,
      '2:18 providers.p.endpoint | Addresses that start with "ftp:"',
    ],
    ['an endpoint with a query', `{ ${good.replace(':81', ':81/?a=1')} }`, '2:18 providers.p.endpoint | A base address has no query.'],
    ['egress that cannot be', `{ ${good.replace('127.0.0.1', '10.0.0.1')} }`, '2:18 providers.p.endpoint | 10.0.0.1 is another machine'],
    [
      'no egress',
      `{ ${good.replace(' egress: local,', '')} }`,
      '2:3 providers.p | p does not say where its endpoint is, so it counts as remote.',
    ],
    ['no capabilities', `{ ${good.replace(' capabilities: [stt],', '')} }`, '2:3 providers.p | p does not say what it can do.'],
    [
      'a capability that is none',
      `{ ${good.replace('[stt]', '[Speech To Text]')} }`,
      '2:71 providers.p.capabilities[0] | "Speech To Text" does not fit',
    ],
    [
      'a key that is none',
      `{ ${good}, tools_: [] }`,
      '2:87 providers.p.tools_ | The key "tools_" means nothing here. | Did you mean "tools"?',
    ],
    [
      'a controller that is none',
      `{ ${good}, controller: olama }`,
      '2:99 providers.p.controller.kind | "olama" does not fit here. | Did you mean ollama?',
    ],
    [
      'a key of another controller',
      `{ ${good}, controller: { kind: ollama, start: [x] } }`,
      '2:122 providers.p.controller | start does not belong to',
    ],
    [
      'a command that cannot start',
      `{ ${good}, controller: { start: [x] } }`,
      '2:99 providers.p.controller | There is no command to stop it. | Add stop: [systemctl',
    ],
    [
      'a command as somebody else',
      `{ ${good}, controller: { start: [sudo, x], stop: [x] } }`,
      '2:109 providers.p.controller.start | sudo would start it',
    ],
    [
      'a command as a text',
      `{ ${good}, controller: { start: "rm -rf /", stop: [x] } }`,
      '2:108 providers.p.controller.start | A command is a list',
    ],
    [
      'both tiers and vram',
      `{ ${good.replace('model: m', 'vram: 1GB')}, tiers: { a: {} } }`,
      '2:83 providers.p.vram | vram stands beside tiers.',
    ],
    [
      'vram of nothing',
      `{ ${good.replace('model: m', 'vram: 1GB')} }`,
      '2:83 providers.p.vram | vram is that of one model, and none is named.',
    ],
    [
      'vram that is none',
      `{ ${good}, vram: 6 gigs }`,
      '2:93 providers.p.vram | "6 gigs" does not fit here. | Write bytes, or a size such as 6 GB',
    ],
    ['no tiers', `{ ${good}, tiers: {} }`, '2:94 providers.p.tiers | There is nothing here.'],
    [
      'two tiers of one name',
      `{ ${good.replace(', model: m', '')}, tiers: [{ name: a }, { name: a }] }`,
      '2:106 providers.p.tiers[1] | There are two named a.',
    ],
    [
      'a container without a model',
      `{ ${good.replace(', model: m', '')}, controller: container }`,
      '2:3 providers.p | p does not say which model it has.',
    ],
    ['a tool that is none', `{ ${good}, tools: [A.ech] }`, '2:95 providers.p.tools[0] | There is no route A.ech. | Did you mean A.echo?'],
    ['a name that is none', null, '2:3 providers.a b | "a b" is not a name.'],
    [
      'a model name with a line break',
      `{ ${good.replace('model: m', 'model: "m\\r\\nX-Evil: 1"')} }`,
      '2:84 providers.p.model | "m\r\nX-Evil: 1" does not fit here.',
    ],
    [
      'a priority over 100',
      `{ ${good}, priority: 101 }`,
      '2:97 providers.p.priority | A whole number belongs here, not 101. | Write one from 0 to 100.',
    ],
    [
      'a header without a name',
      `{ ${good}, auth: { kind: header, env: K } }`,
      '2:93 providers.p.auth | auth of kind header does not name the header.',
    ],
    [
      'a temperature that is none',
      `{ ${good}, settings: { temperature: hot } }`,
      '2:112 providers.p.settings.temperature | A number belongs here. | Write one from 0 to 2.',
    ],
  ] as const)
    test(`${what} is told with its place`, () => {
      const { problems } = parsed(`providers:\n  ${entry === null ? `a b: { ${good} }` : `p: ${entry}`}\n`);
      const told = problems.map(({ line, column, path, message, hint }) => `${line}:${column} ${path} | ${message} | ${hint}`);
      assert.ok(
        told.some((each) => each.startsWith(expected)),
        told.join('\n'),
      );
    });
  test('two of a name, and one that is not a block', () => {
    const { problems } = parsed(`providers:\n  p: { ${good} }\n  p: { ${good} }\n`);
    assert.deepEqual(
      problems.map(({ line }) => line),
      [3],
    );
    assert.deepEqual(
      parsed('providers: [ollama]\n').problems.map(({ message }) => message),
      ['A block of names belongs here, not a list.'],
    );
  });
});

describe('the cortex section', () => {
  const small = 'providers:\n  small: { endpoint: "http://127.0.0.1:81", egress: local, capabilities: [stt], model: "qwen2.5:1.5b" }\n';

  test('every key compiles into its field, and the provider of the sidecar is pinned', () => {
    const { registry, problems } = parsed(`cortex:
  scan: [units, ~/compose, /srv/x, units]
  container_socket: ~/podman.sock
  inertia: 5s
  starvation: 2m
  grant_time: 30m
  pulse_fresh: 1s
  sidecar: { provider: small, lexicon: words.yaml, budget: 500ms }
  pools: { BIG: "http://127.0.0.1:11434/v1", FAST: { endpoint: "http://127.0.0.1:11435" } }
  alerts: { temperature: { warning: 60 }, memory: { warning: 70%, critical: 0.9 } }
${small}`);
    assert.deepEqual(problems, []);
    assert.deepEqual(registry?.cortex, {
      scan: ['/etc/dispatcher/units', join(homedir(), 'compose'), '/srv/x'],
      containerSocket: join(homedir(), 'podman.sock'),
      inertiaMs: 5000,
      starveMs: 120_000,
      grantMs: 1_800_000,
      pulseFreshMs: 1000,
      sidecar: { provider: 'small', lexicon: '/etc/dispatcher/words.yaml', budgetMs: 500 },
      pools: [
        { name: 'BIG', endpoint: 'http://127.0.0.1:11434' },
        { name: 'FAST', endpoint: 'http://127.0.0.1:11435' },
      ],
      alerts: { temperature: { warning: 60, critical: 80, hysteresis: 2 }, memory: { warning: 0.7, critical: 0.9, hysteresis: 0.05 } },
    });
    assert.equal(registry?.providers[0]?.pinned, true);
    assert.deepEqual(parsed('').registry?.cortex.inertiaMs, 30_000);
  });

  test('a sidecar that is large is a warning, one that is none an error, unless it may come from elsewhere', () => {
    const problemsOf = (sidecar: string, more = '') =>
      parsed(`cortex:\n  sidecar: ${sidecar}\n${more}`).problems.map(
        ({ severity, line, path, message, hint }) => `${severity} ${line} ${path} | ${message} | ${hint}`,
      );
    assert.deepEqual(problemsOf('small', small), []);
    assert.deepEqual(problemsOf('small', small.replace('1.5b', '7b')), [
      'warning 2 cortex.sidecar | qwen2.5:7b has more than two thousand million parameters, and it would be in memory all the time. | Choose a smaller model, such as qwen2.5:1.5b.',
    ]);
    assert.deepEqual(problemsOf('smal', small), ['error 2 cortex.sidecar | There is no provider smal. | Did you mean small?']);
    assert.deepEqual(problemsOf('{ budget: 1s }', small), [
      'error 2 cortex.sidecar | The sidecar does not name its provider. | Add provider: with a name of the section providers.',
    ]);
    assert.deepEqual(problemsOf('unit', '  scan: /srv\n'), []);
    assert.deepEqual(problemsOf('fast.qwen2.5:1.5b', 'providers:\n  fast: { endpoint: "http://127.0.0.1:81", egress: local }\n'), []);
  });

  test('alerts that contradict themselves and pools that cannot be called are told', () => {
    const { problems } = parsed('cortex:\n  alerts: { memory: { warning: 96% } }\n  pools: { BIG: localhost }\n');
    assert.deepEqual(
      problems.map(({ line, column, path, message }) => `${line}:${column} ${path} | ${message}`),
      [
        '2:21 cortex.alerts.memory | The warning is above what is critical.',
        '3:17 cortex.pools.BIG | An address starts with http:// or https://.',
      ],
    );
  });
});

describe('a need in place of an endpoint', () => {
  const withService = (service: string) => parseRegistry(`orgs:\n  A:\n    services:\n      see: ${service}\n`);
  const needOf = (service: string) => {
    const { registry, problems } = withService(service);
    assert.deepEqual(problems, []);
    const route = registry!.routes[0]!;
    assert.deepEqual([route.endpoint, route.egress], [null, 'local'], 'what it needs says how far it may go');
    return route.need;
  };
  const usual = {
    tier: null,
    model: null,
    priority: 50,
    context: 'interactive',
    contextTokens: null,
    sensitive: false,
    egress: 'remote',
  };

  test('a list, a word or a block', () => {
    assert.deepEqual(needOf('{ kind: model, need: [vision-analysis, text-generation, vision-analysis] }'), {
      ...usual,
      capabilities: ['text-generation', 'vision-analysis'],
    });
    assert.deepEqual(needOf('{ kind: model, need: ocr }'), { ...usual, capabilities: ['ocr'] });
    assert.deepEqual(needOf('{ kind: model, need: { model: gemma } }'), { ...usual, capabilities: [], model: 'gemma' });
    assert.deepEqual(
      needOf(
        '{ kind: model, need: { capabilities: [stt], tier: L, priority: 90, context: speech, context_tokens: 8000, sensitive: true, egress: lan } }',
      ),
      {
        capabilities: ['stt'],
        tier: 'L',
        model: null,
        priority: 90,
        context: 'speech',
        contextTokens: 8000,
        sensitive: true,
        egress: 'lan',
      },
    );
  });

  for (const [service, expected] of [
    ['{ kind: model, need: { priority: 9 } }', '4:33 | This need names neither capabilities nor a model.'],
    ['{ need: [ocr], endpoint: "http://127.0.0.1:81", egress: local }', '4:20 | need belongs to kind model.'],
    ['{ kind: model, need: [ocr], endpoint: "http://127.0.0.1:81" }', '4:50 | A.see has a need, so it has no endpoint of its own.'],
    ['{ kind: model, need: [ocr], egress: local }', '4:7 | egress of A.see would say nothing, because it has a need.'],
    ['{ kind: model, need: { context: slow } }', '4:44 | "slow" does not fit here.'],
    ['{ kind: model }', '4:7 | A.see has no endpoint.'],
  ] as const)
    test(`${expected} ${service}`, () => {
      const told = withService(service).problems.map(({ line, column, message }) => `${line}:${column} | ${message}`);
      assert.ok(told.includes(expected), told.join('\n'));
    });
});

test('what registry.yaml shows of providers and cortex is right as it stands', () => {
  const { registry, problems } = parseRegistry(`${documented('providers')}\n${documented('cortex')}\norgs: { OS: {} }\n`, { file });
  assert.deepEqual(
    problems.filter(({ path }) => path !== 'orgs.OS' && !path.endsWith('tools[0]')),
    [],
  );
  const again = parseRegistry(`${documented('providers').replace(/^.*tools:.*\n/m, '')}\n${documented('cortex')}\n${registryWith('')}`, {
    file,
  });
  assert.equal(registry, null, 'its tool is one of the real registry');
  assert.deepEqual(
    again.registry?.providers.map(({ name, controller, tiers, pinned }) => `${name} ${controller.kind} ${tiers.length} ${pinned}`),
    ['gemma ollama 2 false', 'fast ollama 0 false', 'whisper container 1 false', 'small ollama 1 true', 'cloud openai 1 false'],
  );
  assert.equal(again.registry?.cortex.sidecar?.lexicon, '/etc/dispatcher/lexicon.yaml');
});
