import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { tempFolder } from '../testing.ts';
import { mayHaveUnits, readUnits } from './scan.ts';
import { watchUnits } from './scan-watch.ts';

const GiB = 1024 ** 3;
const compose = (text: string) => readUnits('/srv/My Stack/compose.yaml', text);
const quadlet = (text: string, file = join(homedir(), '.config/containers/systemd/vision.container')) => readUnits(file, text);
const told = ({ invalid }: ReturnType<typeof readUnits>) => invalid.map(({ line, unit, message }) => `${line} ${unit} | ${message}`);
/** A compose file with one service, whose labels start in line 6. */
const labelled = (...labels: string[]) =>
  compose(
    `services:\n  vision:\n    image: llava\n    ports: ["8081:8080"]\n    labels:\n${labels.map((label) => `      dispatcher.${label}\n`).join('')}`,
  );
const whole = ['capabilities: vision-analysis', 'model: m'];

describe('compose files', () => {
  test('every label compiles into its field', () => {
    const { providers, invalid } = labelled(
      'name: eyes',
      'description: Eyes',
      'capabilities: "vision-analysis, ocr"',
      'tier.34B.model: llava:34b',
      'tier.34B.vram: 20 GB',
      'tier.1.5B.vram: 1.5GiB',
      'tier.34B.load-time: 40s',
      'tier.34B.context: 8192',
      'groups: senses big',
      'tools: FND.crm',
      'devices: GPU-1',
      'priority: 80',
      'pinned: true',
      'concurrency: 2',
      'idle: 10m',
      'drain: 30',
      'warm_up: 90s',
      'stop_time: 500ms',
      'settings.temperature: 0.1',
      'settings.max_tokens: 200',
      'demo: true',
    );
    assert.deepEqual(invalid, []);
    assert.deepEqual(providers, [
      {
        name: 'eyes',
        description: 'Eyes',
        controller: { kind: 'container', container: 'mystack-vision-1', socket: null },
        endpoint: 'http://127.0.0.1:8081',
        egress: 'local',
        auth: null,
        capabilities: ['ocr', 'vision-analysis'],
        tiers: [
          { name: '34B', model: 'llava:34b', vram: { bytes: 20 * GiB, source: 'estimated' }, context: 8192, loadMs: 40_000 },
          { name: '1.5B', model: '1.5B', vram: { bytes: 1.5 * GiB, source: 'estimated' }, context: null, loadMs: 20_000 },
        ],
        tools: ['FND.crm'],
        groups: ['big', 'senses'],
        devices: ['GPU-1'],
        priority: 80,
        pinned: true,
        concurrency: 2,
        idleMs: 600_000,
        drainMs: 30_000,
        warmMs: 90_000,
        stopMs: 500,
        settings: { temperature: 0.1, top_p: 0.9, max_tokens: 200 },
        origin: { kind: 'compose', file: '/srv/My Stack/compose.yaml', line: 2 },
        demo: true,
      },
    ]);
  });

  test('labels as a list, from an anchor or a merge; variables by their defaults; what has none of ours is nobody', () => {
    const { providers, invalid } = compose(`name: lab
x-common: &common
  restart: always
  labels: &labels
    dispatcher.capabilities: stt
    dispatcher.model: whisper
    dispatcher.tier: large
    dispatcher.vram: 4 GB
services:
  list:
    container_name: "\${NAME:-ears}"
    ports: ["127.0.0.1:\${PORT:-8001}:8000/tcp"]
    labels:
      - dispatcher.capabilities=stt
      - dispatcher.model=a=b$$c
      - "other.label=\${UNKNOWN}"
  anchored:
    ports: [{ target: 8000, published: "8002", host_ip: 0.0.0.0 }]
    labels: *labels
  merged:
    <<: *common
    network_mode: host
    labels:
      <<: *labels
      dispatcher.port: 9000
      dispatcher.controller: openai
  stranger:
    image: postgres
    ports: ["\${X}:1"]
    labels: { traefik.enable: true }
  nothing:
`);
    assert.deepEqual(invalid, []);
    assert.deepEqual(
      providers.map(({ name, endpoint, controller, tiers: [tier], origin }) => [
        name,
        endpoint,
        JSON.stringify(controller),
        tier!.name,
        tier!.model,
        origin.line,
      ]),
      [
        ['list', 'http://127.0.0.1:8001', '{"kind":"container","container":"ears","socket":null}', 'a=b$c', 'a=b$c', 10],
        ['anchored', 'http://127.0.0.1:8002', '{"kind":"container","container":"lab-anchored-1","socket":null}', 'large', 'whisper', 17],
        ['merged', 'http://127.0.0.1:9000', '{"kind":"openai"}', 'large', 'whisper', 20],
      ],
    );
  });

  for (const [ports, port, expected] of [
    ['[8080]', null, 'publishes no port'],
    ['["8081-8083:8080-8082"]', null, 'http://127.0.0.1:8081'],
    ['["[::1]:8081:8080"]', null, 'http://[::1]:8081'],
    ['["[::]:8081:8080"]', null, 'http://127.0.0.1:8081'],
    ['["127.0.0.1::8080"]', null, 'publishes no port'],
    ['["8081:8080/udp"]', null, 'publishes no port'],
    ['["8081:8080", "9090:9090"]', null, 'publishes several ports'],
    ['["8081:8080", "9090:9090"]', '9090', 'http://127.0.0.1:9090'],
    ['["8081:8080", "8080:9090"]', '8080', 'http://127.0.0.1:8081'],
    ['["8081:8080"]', '8082', 'does not publish the port 8082'],
    ['["8081:8080"]', '0', '"0" is not a port'],
    ['["8081:8080"]', '8080; rm', '"8080; rm" is not a port'],
    ['["99999:8080"]', null, '"99999:8080" is not a port of this machine'],
    ['["a:b"]', null, '"a:b" is not a port'],
    ['[{target: 80, published: 8081}]', null, 'http://127.0.0.1:8081'],
    ['[{target: 80}]', null, 'publishes no port'],
    ['[[1]]', null, 'neither a text nor a block'],
    ['["10.0.0.7:8081:8080"]', null, '10.0.0.7 is another machine'],
    ['["$PORT:80"]', null, 'The variable PORT is not known here'],
  ] as const)
    test(`ports: ${ports}${port === null ? '' : `, dispatcher.port: ${port}`}: ${expected}`, () => {
      const scanned = compose(
        `services:\n  v:\n    ports: ${ports}\n    labels: { dispatcher.capabilities: ocr, dispatcher.model: m${port === null ? '' : `, dispatcher.port: "${port}"`} }\n`,
      );
      const found = [...scanned.providers.map(({ endpoint }) => endpoint), ...told(scanned)].join();
      assert.ok(found.includes(expected), found);
    });

  for (const [labels, expected] of [
    [['capabilities: vision-analysis'], '2 vision | vision does not say which model it has.'],
    [['model: m'], '2 vision | vision does not say what it can do.'],
    [['capabilities: Vision!', 'model: m'], '6 vision | dispatcher.capabilities: "Vision!" does not fit here.'],
    [[...whole, 'vram: lots'], '8 vision | dispatcher.vram: "lots" does not fit here.'],
    [[...whole, 'vram: -1'], '8 vision | dispatcher.vram: "-1" does not fit here.'],
    [['capabilities: ocr', 'tier.7B.vram: x'], '7 vision | dispatcher.tier.7B.vram: "x" does not fit here.'],
    [
      ['capabilities: ocr', 'tier.7B.size: 1'],
      '7 vision | dispatcher.tier.7B.size is no label of Dispatcher. Write dispatcher.tier.NAME.model',
    ],
    [['capabilities: ocr', 'tier: 7B', 'tier.8B.vram: 1'], '7 vision | dispatcher.tier names the one tier, but there are others.'],
    [[...whole, 'egress: nearby'], '8 vision | dispatcher.egress: "nearby" does not fit here. Write local, lan or remote.'],
    [
      [...whole, 'capabilites: ocr'],
      '8 vision | dispatcher.capabilites: The key "capabilites" means nothing here. Did you mean "capabilities"?',
    ],
    [[...whole, 'model: n'], '8 vision | dispatcher.model stands here twice.'],
    [[...whole, 'model.: n'], '8 vision | dispatcher.model. is no label of Dispatcher.'],
    [[...whole, 'controller: command'], '8 vision | dispatcher.controller may name a command only in the registry.'],
    [[...whole, 'controller.start: \'["rm"]\''], '8 vision | dispatcher.controller.start may only be said in the registry.'],
    [[...whole, 'controller.kind: command'], '8 vision | dispatcher.controller.kind may name a command only in the registry.'],
    [[...whole, 'auth.env: OPENAI_API_KEY'], '8 vision | dispatcher.auth.env may only be said in the registry.'],
    [[...whole, 'endpoint: ftp://x'], '8 vision | dispatcher.endpoint: Addresses that start with "ftp:" are not called.'],
    [[...whole, 'name: "a b"'], '8 vision | "a b" is not a name.'],
    [
      [...whole, 'priority: 101', 'pinned: maybe'],
      '8 vision | dispatcher.priority: A whole number belongs here, not 101. Write one from 0 to 100. (and 1 more)',
    ],
    [[...whole, 'idle: soon'], '8 vision | dispatcher.idle: "soon" does not fit here.'],
    [[...whole, 'vram: { a: 1 }'], '8 vision | dispatcher.vram is not a text.'],
    [[...whole, 'model.x: {}'], '8 vision | dispatcher.model.x is not a text.'],
    [[...whole, 'context: $TOKENS'], '8 vision | The variable TOKENS is not known here.'],
  ] as const)
    test(`${expected} ${labels.join(', ')}`, () => {
      const scanned = labelled(...labels);
      assert.deepEqual(scanned.providers, []);
      assert.equal(scanned.invalid.length, 1);
      assert.ok(told(scanned)[0]!.startsWith(expected), told(scanned)[0]);
    });

  test('one that is wrong leaves the others as they are', () => {
    const good = (name: string) => `  ${name}:\n    ports: ["81:80"]\n    labels: { dispatcher.capabilities: ocr, dispatcher.model: m }\n`;
    const scanned = compose(`services:\n${good('a')}${good('b').replace('ocr', '"O C R"')}${good('c')}`);
    assert.deepEqual([scanned.providers.map(({ name }) => name), told(scanned).length, scanned.invalid[0]?.line], [['a', 'c'], 1, 7]);
  });

  for (const [what, text, expected] of [
    ['what is no YAML', 'services:\n  a: [1\n  b: 2\n', '3 compose.yaml | This is not YAML: '],
    ['tabs', 'services:\n\ta: 1\n', '2 compose.yaml | This is not YAML: '],
    ['services that are none', 'services: [a]\n', '1 compose.yaml | services is not a block of services.'],
    ['an alias of nothing', 'services: *none\n', null],
    [
      'an alias bomb',
      `a: &a [1]\n${[...'bcdefghi'].map((name, i) => `${name}: &${name} [${`*${'abcdefgh'[i]},`.repeat(20)}]`).join('\n')}\nservices: *i\n`,
      'null compose.yaml | It has too many aliases, or one of nothing.',
    ],
    ['what is nested without end', `services: ${'['.repeat(100_000)}`, 'null compose.yaml | It is nested too deep.'],
  ] as const)
    test(`${what} is one invalid unit, soon`, () => {
      const started = performance.now();
      const scanned = compose(text);
      assert.ok(performance.now() - started < 3000);
      assert.deepEqual([scanned.providers.length, scanned.invalid.length], [0, 1]);
      if (expected !== null) assert.ok(told(scanned)[0]!.startsWith(expected), told(scanned)[0]);
    });

  test('many keys do not take the square of their number', () => {
    const started = performance.now();
    compose(`services:\n  a:\n    labels: {${Array.from({ length: 30_000 }, (_, i) => `k${i}: 1`).join(', ')}}\n`);
    assert.ok(performance.now() - started < 5000);
  });

  test('a file that says nothing of services is nobody’s', () => {
    for (const text of ['', '# nothing\n', 'include: [a.yaml]\n', 'services:\n', '[1, 2]\n', 'services: {}\n'])
      assert.deepEqual(compose(text), { providers: [], invalid: [] }, text);
  });
});

describe('Quadlet units', () => {
  const unit = (...lines: string[]) =>
    `[Unit]\nDescription=Eyes\n\n[Container]\nImage=quay.io/llava:7b\nPublishPort=8081:8080\n${lines.join('\n')}\n\n[Install]\nWantedBy=default.target\n`;
  const labels = ['Label=dispatcher.capabilities=vision-analysis dispatcher.model=llava:7b'];

  test('repeated labels, quotes, escapes, comments and lines that go on', () => {
    const { providers, invalid } = quadlet(
      unit(
        '; dispatcher.model=no',
        'Label=dispatcher.model=forgotten',
        'Label=',
        'Label="dispatcher.capabilities=vision-analysis, ocr" \'dispatcher.description=It\\x73 \\"eyes\\"\' \\',
        '# in between',
        '  dispatcher.vram="7 GB" other=1',
        'Label = dispatcher.model=llava\\u003a7b',
        'Label=dispatcher.groups=old',
        'Label=dispatcher.groups=100%%new',
      ),
    );
    assert.deepEqual(invalid, []);
    assert.deepEqual(
      providers.map(({ description, capabilities, tiers, groups, endpoint, egress, controller, origin }) => [
        description,
        capabilities,
        tiers[0],
        groups,
        endpoint,
        egress,
        controller,
        origin.line,
      ]),
      [
        [
          'Its "eyes"',
          ['ocr', 'vision-analysis'],
          { name: 'llava:7b', model: 'llava:7b', vram: { bytes: 7 * GiB, source: 'estimated' }, context: null, loadMs: 20_000 },
          ['100%new'],
          'http://127.0.0.1:8081',
          'local',
          {
            kind: 'command',
            start: ['systemctl', '--user', 'start', 'vision.service'],
            stop: ['systemctl', '--user', 'stop', 'vision.service'],
          },
          4,
        ],
      ],
    );
  });

  test('its manager, its container, its image and its port', () => {
    const controllerOf = (file: string, ...more: string[]) => quadlet(unit(...labels, ...more), file).providers[0]?.controller;
    const system = '/etc/containers/systemd/vision.container';
    assert.deepEqual(controllerOf(system), {
      kind: 'command',
      start: ['systemctl', 'start', 'vision.service'],
      stop: ['systemctl', 'stop', 'vision.service'],
    });
    assert.deepEqual(controllerOf('/etc/containers/systemd/users/1000/vision.container', 'ServiceName=eyes'), {
      kind: 'command',
      start: ['systemctl', '--user', 'start', 'eyes.service'],
      stop: ['systemctl', '--user', 'stop', 'eyes.service'],
    });
    assert.deepEqual(controllerOf(system, 'Label=dispatcher.controller=container'), {
      kind: 'container',
      container: 'systemd-vision',
      socket: null,
    });
    assert.deepEqual(controllerOf(system, 'Label=dispatcher.controller=container', 'ContainerName=%p-1'), {
      kind: 'container',
      container: 'vision-1',
      socket: null,
    });
    assert.equal(quadlet(unit(...labels)).providers[0]?.description, 'quay.io/llava:7b');
    assert.equal(
      quadlet(unit(...labels, 'PublishPort=', 'Network=host', 'Label=dispatcher.port=9000')).providers[0]?.endpoint,
      'http://127.0.0.1:9000',
    );
  });

  for (const [what, text, expected] of [
    ['a line that is none', unit(...labels, 'Label'), '8 vision.container | "Label" is neither a section nor Key=value.'],
    ['what stands before a section', `Label=dispatcher.model=m\n`, '1 vision.container | This stands before any [Section].'],
    ['a quote that is not closed', unit('Label="dispatcher.model=m'), '7 vision.container | A quote is opened here and not closed'],
    [
      'a label that is none',
      unit(...labels, 'Label=dispatcher.vrma=7'),
      '8 vision | dispatcher.vrma: The key "vrma" means nothing here. Did you mean "vram"?',
    ],
    ['a port that is none', unit(...labels, 'PublishPort=many'), '8 vision.container | "many" is not a port.'],
    ['no port', unit(...labels, 'PublishPort='), '4 vision | It publishes no port of this machine.'],
    ['a service that would be an option', unit(...labels, 'ServiceName=--now'), '4 vision | "--now" cannot be the name of a service.'],
  ] as const)
    test(`${what} is told with its line`, () => {
      const scanned = quadlet(text);
      assert.deepEqual([scanned.providers, scanned.invalid.length], [[], 1]);
      assert.ok(told(scanned)[0]!.startsWith(expected), told(scanned)[0]);
    });

  test('a template has no container; a unit without labels is nobody’s, however it is written', () => {
    assert.match(told(quadlet(unit(...labels), '/srv/vision@.container'))[0]!, /^4 vision@ \| A template/);
    for (const text of ['', 'nonsense', unit(), '[Container]\nLabel="open\n'])
      assert.deepEqual(quadlet(text), { providers: [], invalid: [] }, text);
  });
});

test('what registry.yaml shows of labels is right as it stands', () => {
  const lines = readFileSync(join(import.meta.dirname, '../../../resources/registry.yaml'), 'utf8').split('\n');
  const example = (first: string) => {
    const from = lines.findIndex((line) => line.startsWith(`#     ${first}`));
    const rest = lines.slice(from);
    const until = rest.findIndex((line) => !line.startsWith('#     '));
    return rest
      .slice(0, until)
      .map((line) => line.slice(6).replace(/ {2,}# .*/, ''))
      .join('\n');
  };
  const scanned = [compose(example('services:')), quadlet(example('[Container]'))];
  assert.deepEqual(
    scanned.map(({ providers: [provider], invalid }) => [provider?.name, provider?.endpoint, provider?.tiers[0]?.vram?.bytes, invalid]),
    [
      ['vision', 'http://127.0.0.1:8081', 7 * GiB, []],
      ['vision', 'http://127.0.0.1:8002', Math.round(4.2 * GiB), []],
    ],
  );
});

describe('folders', () => {
  const unit = (port: number) => `[Container]\nPublishPort=${port}:80\nLabel=dispatcher.capabilities=ocr dispatcher.model=m\n`;
  const file = (text: string) =>
    `services:\n  c:\n    ports: ["82:80"]\n    labels: { dispatcher.capabilities: ocr, dispatcher.model: ${text} }\n`;

  /** Units that are watched, and the next time they change. */
  function open(folders: string[]) {
    let changed = Promise.withResolvers<void>();
    const units = watchUnits({
      onChange() {
        changed.resolve();
        changed = Promise.withResolvers();
      },
    });
    units.follow(folders);
    return Object.assign(units, {
      next: () => changed.promise,
      endpoints: () => units.providers().map(({ name, endpoint }) => `${name} ${endpoint.slice(17)}`),
    });
  }

  test('which files are read', () => {
    const names = [
      'compose.yaml',
      'compose.yml',
      'docker-compose.yaml',
      'docker-compose.yml',
      'compose.gpu.yml',
      'x.container',
      'docker-compose.override.yaml',
    ];
    assert.deepEqual(
      [...names, 'compose.json', 'x.containers', 'my-compose.yaml', '.x.container.swp', 'compose.yaml~'].filter(mayHaveUnits),
      names,
    );
  });

  test('units come, change and go with their files, however they are written, and a folder that was not there is found', async () => {
    using folder = tempFolder();
    const later = join(folder.path, 'later');
    using units = open([folder.path, later]);
    units.start();
    assert.deepEqual(
      units.invalid().map(({ file: where, message }) => `${where} ${message}`),
      [`${later} This folder cannot be read: there is no such file or folder.`],
    );
    const started = performance.now();
    let change = units.next();
    writeFileSync(join(folder.path, 'a.container'), unit(81));
    await change;
    assert.deepEqual(units.endpoints(), ['a 81']);
    change = units.next();
    // As editors do it: a new file takes the place of the old.
    writeFileSync(join(folder.path, '.a.tmp'), unit(83));
    renameSync(join(folder.path, '.a.tmp'), join(folder.path, 'a.container'));
    await change;
    assert.deepEqual(units.endpoints(), ['a 83']);
    assert.ok(performance.now() - started < 4000, 'two changes, each within 2 s');
    change = units.next();
    mkdirSync(later);
    writeFileSync(join(later, 'compose.yml'), file('m'));
    await change;
    while (units.endpoints().length < 2) await units.next();
    assert.deepEqual([units.endpoints(), units.invalid()], [['a 83', 'c 82'], []]);
    change = units.next();
    unlinkSync(join(folder.path, 'a.container'));
    await change;
    assert.deepEqual(units.endpoints(), ['c 82']);
    change = units.next();
    rmSync(later, { recursive: true });
    await change;
    while (units.endpoints().length > 0) await units.next();
    units.follow([]);
    assert.deepEqual([units.endpoints(), units.invalid()], [[], []]);
  });

  test('drop-ins say more of a unit, and a fault in one is told with its own file and line', async () => {
    using folder = tempFolder();
    const dropIns = join(folder.path, 'a.container.d');
    writeFileSync(join(folder.path, 'a.container'), unit(81));
    using units = open([folder.path]);
    units.start();
    const groups = () => units.providers().map(({ name, groups: those }) => `${name}: ${those.join()}`);
    const before = groups();
    let change = units.next();
    mkdirSync(dropIns);
    writeFileSync(join(dropIns, '10-groups.conf'), '[Container]\nLabel=dispatcher.groups=night\n');
    writeFileSync(join(dropIns, '20-later.conf'), '[Container]\nLabel=dispatcher.groups=day\n');
    writeFileSync(join(dropIns, 'notes.txt'), 'not a unit');
    await change;
    const during = groups();
    change = units.next();
    writeFileSync(join(dropIns, '20-later.conf'), '[Container]\n\nLabel=dispatcher.priority=often\n');
    await change;
    assert.deepEqual([before, during, groups()], [['a: '], ['a: day'], []]);
    const [fault] = units.invalid();
    assert.deepEqual([fault?.file, fault?.line, fault?.unit], [join(dropIns, '20-later.conf'), 3, 'a']);
  });

  test('a file that cannot be read is one invalid unit, and the others stand', (t) => {
    using folder = tempFolder();
    const put = (name: string, text: string | Buffer) => writeFileSync(join(folder.path, name), text);
    put('good.container', unit(81));
    put('large.container', `# dispatcher.\n${'#\n'.repeat(200_000)}`);
    put('binary.container', Buffer.from([0xff, 0xfe, 0x00]));
    mkdirSync(join(folder.path, 'folder.container'));
    symlinkSync(join(folder.path, 'loop.container'), join(folder.path, 'loop.container'));
    execFileSync('mkfifo', [join(folder.path, 'pipe.container')]);
    put('secret.container', unit(82));
    chmodSync(join(folder.path, 'secret.container'), 0);
    using units = open([folder.path]);
    const refused = Object.fromEntries(units.invalid().map(({ unit: name, message }) => [name, message]));
    // Whoever is root reads what is not to be read.
    const secret = process.getuid?.() === 0 ? [] : [['secret.container', 'It cannot be read: permission denied.']];
    if (process.getuid?.() === 0) t.diagnostic('root: the file without permissions is read');
    assert.deepEqual(refused, {
      'binary.container': 'It is not UTF-8 text.',
      'folder.container': 'It is not a regular file.',
      'large.container': 'It is larger than 256 KB.',
      'loop.container': 'It cannot be read: its links lead in a circle.',
      'pipe.container': 'It is not a regular file.',
      ...Object.fromEntries(secret),
    });
    assert.ok(units.endpoints().includes('good 81'));
  });
});
