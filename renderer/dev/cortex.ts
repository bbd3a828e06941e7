/** What the imitation of the core has of a cortex: devices, models that load and go, a line, grants. */
import {
  type CortexState,
  type DeviceBudget,
  type Discovered,
  emptyCortex,
  type FigureSource,
  type GpuSample,
  type Grant,
  type Lease,
  type ModelState,
  type Need,
  type Resolved,
} from '../../shared/cortex.ts';
import { refuse, type WireError } from '../../shared/errors.ts';
import type { GpuState } from '../../shared/model.ts';
import type { World } from './work.ts';

/** full: a pretended card and a real one; halted: in trouble; none: no GPU; many: 200 providers; empty: nothing at all. */
export type Scene = 'full' | 'halted' | 'none' | 'many' | 'empty';

const GB = 1024 ** 3;
const figure = (gb: number, source: FigureSource = 'reported') => ({ bytes: Math.round(gb * GB), source });

function model(provider: string, tier: string, gb: number | null, more: Partial<ModelState> = {}): ModelState {
  return {
    provider,
    tier,
    model: `${provider}:${tier.toLowerCase()}`,
    capabilities: ['text-generation'],
    egress: 'local',
    phase: 'cold',
    detail: null,
    device: null,
    vram: gb === null ? null : figure(gb, 'estimated'),
    loadMs: 6000 + (gb ?? 0) * 700,
    stopMs: 2000,
    contextMs: 0,
    controller: 'ollama',
    leases: [],
    waiting: 0,
    usage: null,
    idleAt: null,
    lastUsedAt: null,
    pinned: false,
    groups: [],
    origin: { kind: 'registry', file: 'registry.yaml', line: 210 },
    demo: true,
    ...more,
  };
}

export function imitateCortex(
  { hex, emit, add }: Pick<World, 'hex' | 'emit' | 'add'>,
  scene: Scene,
): {
  state(): CortexState;
  gpu(): GpuState;
  plan(route: string): Resolved | null;
  answers: Record<string, (params: Record<string, unknown>) => unknown>;
} {
  const t0 = Date.now();
  const cards: DeviceBudget[] =
    scene === 'none' || scene === 'empty'
      ? []
      : [
          {
            id: 'demo0',
            name: 'Demo GPU 24 GB',
            total: figure(24, 'measured'),
            used: null,
            models: [],
            others: figure(1.3, 'measured'),
            reservedBytes: 1.6 * GB,
            freeBytes: null,
            utilization: 0.43,
            temperatureC: 61,
            powerW: 188,
            demo: true,
          },
          {
            id: 'gpu1',
            name: 'NVIDIA RTX 4000 Ada Generation',
            total: figure(19.99, 'measured'),
            used: null,
            models: [],
            others: figure(3.4, 'measured'),
            reservedBytes: 0,
            freeBytes: null,
            utilization: null,
            temperatureC: 83,
            powerW: null,
            demo: false,
          },
        ];

  let models: ModelState[] = [];
  let leases: Lease[] = [];
  let queue: CortexState['queue'] = [];
  let grants: Grant[] = [];
  const need = (capabilities: string[], more: Partial<Need> = {}): Need => ({
    capabilities,
    tier: null,
    model: null,
    priority: 50,
    context: 'interactive',
    contextTokens: null,
    sensitive: false,
    egress: 'remote',
    ...more,
  });
  const grant = (task: string, of: ModelState, more: Partial<Grant> = {}): Grant => ({
    id: `grant_${hex(8)}`,
    task,
    caller: 'owner',
    base_url: 'http://127.0.0.1:8000/v1',
    api_key: null,
    models: [
      { model: of.model, provider: of.provider, tier: of.tier, capabilities: of.capabilities, device: of.device, egress: of.egress },
    ],
    tools: [],
    settings: { temperature: 0.7, top_p: 0.9, max_tokens: 4096 },
    created_at: t0 - 600_000,
    expires_at: t0 + 3_000_000,
    revoked: null,
    requests: 0,
    reasons: [`${of.provider} ${of.tier} is warm and offers everything.`],
    ...more,
  });

  if (scene !== 'empty') {
    models.push(
      model('cloud-gpt', 'large', 0, {
        capabilities: ['text-generation', 'vision-analysis', 'tool_execution'],
        egress: 'remote',
        phase: 'warm',
        vram: figure(0, 'reported'),
        loadMs: 0,
        demo: false,
      }),
    );
  }
  if (scene === 'full' || scene === 'many' || scene === 'halted') {
    const day = { groups: ['day'] };
    models.push(
      model('demo-coder', '32B', 19.2, { capabilities: ['text-generation', 'tool_execution'], groups: ['night'], waiting: 2 }),
      model('demo-coder', '14B', 9.1, { capabilities: ['text-generation', 'tool_execution'], groups: ['night'], waiting: 1 }),
      model('demo-ears', 'large-v3', 3.1, { capabilities: ['stt'], phase: 'warming', detail: 'loading for 3 s', device: 'gpu1', ...day }),
      model('demo-embed', 'small', 0.7, {
        capabilities: ['embedding'],
        phase: 'warm',
        device: 'demo0',
        vram: figure(0.7, 'measured'),
        idleAt: t0 + 190_000,
        lastUsedAt: t0 - 110_000,
        ...day,
      }),
      model('demo-eyes', '7B', 8.6, {
        capabilities: ['text-generation', 'vision-analysis'],
        phase: 'warm',
        device: 'demo0',
        vram: figure(8.6),
        leases: ['lease_1'],
        lastUsedAt: t0 - 1000,
        ...day,
      }),
      model('demo-lexicon', '1.5B', 1.5, { capabilities: ['text-generation'], pinned: true, phase: 'cold', loadMs: 900 }),
      model('demo-voice', 'xtts', 2.2, { capabilities: ['tts'], phase: 'draining', device: 'gpu1', vram: figure(2.2, 'measured'), ...day }),
      model('demo-writer', '70B', 41, { capabilities: ['text-generation'], waiting: 1, ...day }),
      model('demo-writer', '8B', 6.1, {
        phase: 'warm',
        device: 'demo0',
        vram: figure(6.1, 'measured'),
        leases: ['lease_2'],
        lastUsedAt: t0 - 4000,
        ...day,
      }),
      model('ocr-أداة-التعرف-على-النصوص', 'base', null, {
        capabilities: ['ocr'],
        demo: false,
        phase: 'error',
        detail: 'connection refused at 127.0.0.1:8555',
        origin: { kind: 'compose', file: '/srv/ai/compose.yaml', line: 14 },
      }),
      model('Qwen2.5-VL-72B-Instruct-AWQ-with-a-very-long-name-that-somebody-gave-it', 'AWQ-INT4-GEMM-g128-long-tier-name', 44, {
        capabilities: ['text-generation', 'vision-analysis', 'rerank'],
        demo: false,
        phase: 'halted',
        detail: 'three loads failed: out of memory',
        origin: { kind: 'quadlet', file: '/etc/containers/systemd/qwen.container', line: 3 },
      }),
      model('thor-llama', '8B', 5.2, {
        egress: 'lan',
        demo: false,
        phase: 'unknown',
        detail: 'thor.lan:11434 does not answer',
        origin: { kind: 'running', file: null, line: null },
      }),
    );
    const job = add('describe the photos of the site', 'AI.vision', { state: 'running', startedAt: t0 - 44_000 });
    leases = [
      {
        id: 'lease_1',
        holder: { kind: 'job', id: job.id },
        caller: 'owner',
        task: null,
        models: [{ provider: 'demo-eyes', tier: '7B', model: 'demo-eyes:7b', device: 'demo0' }],
        priority: 50,
        since: t0 - 44_000,
        until: t0 + 34_000,
        state: 'held',
      },
      {
        id: 'lease_2',
        holder: { kind: 'grant', id: 'grant_writer' },
        caller: 'n8n',
        task: 'plan the week',
        models: [{ provider: 'demo-writer', tier: '8B', model: 'demo-writer:8b', device: 'demo0' }],
        priority: 70,
        since: t0 - 900_000,
        until: t0 + 2_700_000,
        state: 'held',
      },
      {
        id: 'lease_3',
        holder: { kind: 'load', id: 'load_1' },
        caller: 'owner',
        task: null,
        models: [{ provider: 'demo-ears', tier: 'large-v3', model: 'demo-ears:large-v3', device: 'gpu1' }],
        priority: 50,
        since: t0 - 3000,
        until: null,
        state: 'animating',
      },
    ];
    const waits = { kind: 'gpu' as const, reason: 'demo-eyes is in use by a job', until: t0 + 54_000, position: 0 };
    const waiting = add('refactor the parser and write the tests', 'AI.coder', { state: 'waiting', starts: 0, startedAt: null, waits });
    queue = [
      {
        id: 'lease_8',
        holder: { kind: 'job', id: waiting.id },
        caller: 'owner',
        task: null,
        need: need(['text-generation', 'tool_execution'], { tier: '32B', priority: 60 }),
        since: t0 - 12_000,
        position: 0,
        eta: t0 + 54_000,
        reason: `demo-eyes 7B is in use by ${job.id}; it takes 19.2 GB, 7.3 GB are free`,
        waitsFor: ['lease_1'],
      },
      {
        id: 'lease_9',
        holder: { kind: 'grant', id: 'grant_new' },
        caller: 'ci-bot',
        task: 'plan the week',
        need: need(['text-generation'], { tier: '70B', context: 'background', priority: 30 }),
        since: t0 - 31_000,
        position: 1,
        eta: null,
        reason: 'demo-writer 8B is held by a grant with no end before 45 min',
        waitsFor: ['lease_2'],
      },
      {
        id: 'lease_10',
        holder: { kind: 'job', id: 'job_gone' },
        caller: 'أتمتة-المبيعات',
        task: null,
        need: need(['vision-analysis', 'ocr', 'text-generation', 'rerank'], { sensitive: true, egress: 'local' }),
        since: t0 - 2000,
        position: 2,
        eta: t0 + 121_000,
        reason: 'two are before it',
        waitsFor: ['lease_1'],
      },
    ];
    const by = (name: string) => models.find((one) => one.provider === name)!;
    grants = [
      grant('nightly-digest', by('demo-writer'), {
        id: 'grant_writer',
        caller: 'n8n',
        requests: 142,
        tools: ['OS.fs.list', 'OS.memory.search'],
        expires_at: t0 + 2_700_000,
        models: [
          {
            model: 'demo-writer:8b',
            provider: 'demo-writer',
            tier: '8B',
            capabilities: ['text-generation'],
            device: 'demo0',
            egress: 'local',
          },
        ],
      }),
      grant('site photos', by('demo-eyes'), { caller: 'owner', requests: 3, expires_at: t0 + 44_000 }),
      grant('an old experiment', by('cloud-gpt'), {
        caller: 'ci-bot',
        requests: 12,
        expires_at: t0 - 100_000,
        revoked: { at: t0 - 200_000, why: 'sovereign was turned on' },
      }),
    ];
  }
  if (scene === 'halted')
    models = models.map((one) =>
      one.demo
        ? { ...one, phase: 'halted' as const, detail: 'three loads failed: the container exited with 137', device: null, leases: [] }
        : one,
    );
  if (scene === 'many')
    for (let i = 0; i < 200; i++)
      for (const [tier, gb] of [
        ['70B', 40],
        ['32B', 19],
        ['8B', 6],
      ] as const)
        models.push(model(`provider-${String(i).padStart(3, '0')}`, tier, gb, { capabilities: ['text-generation', `skill-${i % 40}`] }));

  const devices = (): DeviceBudget[] =>
    cards.map((card) => {
      const mine = models
        .filter((one) => one.device === card.id && one.phase !== 'cold')
        .map(({ provider, tier, vram }) => ({ provider, tier, vram }))
        .sort((a, b) => (b.vram?.bytes ?? 0) - (a.vram?.bytes ?? 0));
      const held = mine.reduce((sum, one) => sum + (one.vram?.bytes ?? 0), card.others.bytes);
      return {
        ...card,
        models: mine,
        used: { bytes: held, source: 'measured' as const },
        freeBytes: Math.max(0, (card.total?.bytes ?? 0) - held - card.reservedBytes),
      };
    });
  let version = 1;
  const state = (): CortexState =>
    scene === 'empty'
      ? emptyCortex
      : {
          version,
          devices: devices(),
          capabilities: [],
          transitions: [],
          models,
          leases,
          queue,
          unlisted: { leases: 0, queue: 0 },
          grants,
          pools:
            scene === 'none'
              ? []
              : [
                  {
                    name: 'BIG',
                    endpoint: 'http://127.0.0.1:11434',
                    providers: ['demo-coder', 'demo-writer'],
                    warm: ['demo-writer:8b'],
                    waiting: 2,
                  },
                  {
                    name: 'FAST',
                    endpoint: 'http://127.0.0.1:11435',
                    providers: ['demo-eyes', 'demo-embed'],
                    warm: ['demo-eyes:7b', 'demo-embed:small'],
                    waiting: 0,
                  },
                ],
          alerts:
            cards.length === 0
              ? []
              : [
                  { device: 'gpu1', what: 'temperature', level: 'critical', since: t0 - 95_000, message: '83 °C, over 80 °C' },
                  { device: 'demo0', what: 'memory', level: 'warning', since: t0 - 400_000, message: '81 % of 24 GB, over 80 %' },
                ],
          invalid:
            scene === 'none'
              ? []
              : [
                  {
                    file: '/srv/ai/compose.yaml',
                    line: 31,
                    unit: 'whisper',
                    message: 'dispatcher.vram: "3 gigs" is no size; write 3GB or 3GiB',
                  },
                  {
                    file: '/etc/containers/systemd/broken.container',
                    line: null,
                    unit: 'broken.container',
                    message: 'The file is not readable: permission denied',
                  },
                ],
          sidecar: scene === 'none' ? null : { provider: 'demo-lexicon', state: scene === 'halted' ? 'halted' : 'cold' },
        };
  const changed = () => {
    version++;
    emit({ type: 'cortex', cortex: state() });
  };
  const set = (provider: string, tier: string | null, more: Partial<ModelState>) => {
    models = models.map((one) => (one.provider === provider && (tier === null || one.tier === tier) ? { ...one, ...more } : one));
    changed();
  };

  const sampleOf = (device: DeviceBudget, at: number): GpuSample => {
    const wave = Math.sin(at / 47_000) + Math.sin(at / 311_000) * 0.6 + Math.random() * 0.25;
    const demo = device.demo;
    return {
      at,
      device: device.id,
      usedBytes: (device.used?.bytes ?? 0) * (1 - 0.06 * Math.max(0, Math.sin(at / 900_000))),
      utilization: demo ? Math.min(1, Math.max(0, 0.45 + wave * 0.28)) : null,
      temperatureC: Math.round((demo ? 58 : 79) + wave * 3),
      powerW: demo ? Math.round(150 + wave * 60) : null,
    };
  };
  if (cards.length > 0)
    setInterval(() => {
      const samples = devices().map((device) => sampleOf(device, Date.now()));
      samples.forEach((sample, index) => {
        Object.assign(cards[index]!, { utilization: sample.utilization, temperatureC: sample.temperatureC, powerW: sample.powerW });
      });
      emit({ type: 'gpu_samples', samples });
    }, 2000);

  const resolve = (ask: Partial<Need>): Resolved => {
    const asked = need(ask.capabilities ?? [], ask);
    const fits = models.filter((one) =>
      ask.model
        ? one.provider === ask.model || one.model === ask.model
        : asked.capabilities.every((capability) => one.capabilities.includes(capability)),
    );
    const wanted = fits.filter((one) => !asked.tier || one.tier === asked.tier);
    const chosen = wanted.find((one) => one.phase === 'warm') ?? wanted.find((one) => one.phase === 'cold') ?? null;
    const base = {
      need: asked,
      assignments: [],
      loads: [],
      evictions: [],
      etaMs: null,
      waitsFor: [],
      downgrade: null,
      error: null,
      reasons: [],
      rejected: [],
      version,
    };
    if (!chosen || chosen.phase === 'halted')
      return {
        ...base,
        outcome: 'refusal',
        error: chosen
          ? refuse('upstream_failed', `${chosen.provider} is halted: ${chosen.detail}.`, { hint: 'Reset it once the cause is gone.' })
          : refuse('no_capability', `No provider offers ${asked.capabilities.join(' and ') || 'this'}.`, {
              hint: 'Declare one under providers:.',
            }),
        reasons: ['Nothing that is known offers it.'],
      };
    const size = chosen.vram?.bytes ?? 0;
    if (size > 24 * GB)
      return {
        ...base,
        outcome: 'refusal',
        error: refuse('vram_exhausted', `${chosen.provider} ${chosen.tier} takes 41.0 GB; no device has as much.`, {
          hint: 'Ask for a smaller tier.',
          vram: {
            need: size,
            free: 7.3 * GB,
            holders: [
              { name: 'demo-eyes 7B', bytes: 8.6 * GB, source: 'reported' },
              { name: 'demo-writer 8B', bytes: 6.1 * GB, source: 'measured' },
              { name: 'other programs', bytes: 1.3 * GB, source: 'measured' },
            ],
          },
        }),
        reasons: ['demo-writer 70B takes 41.0 GB, the largest device has 24.0 GB.'],
        rejected: [{ provider: 'demo-writer', tier: '70B', reason: 'takes 41.0 GB, the device has 24.0 GB' }],
      };
    const cold = chosen.phase === 'cold';
    const tight = cold && size > 6.5 * GB;
    return {
      ...base,
      outcome: tight && size > 15 * GB ? 'wait' : 'grant',
      assignments: (asked.capabilities.length > 0 ? asked.capabilities : chosen.capabilities).map((capability) => ({
        capability,
        provider: chosen.provider,
        tier: chosen.tier,
        model: chosen.model,
        device: chosen.device ?? 'demo0',
        egress: chosen.egress,
        phase: cold ? ('cold' as const) : ('warm' as const),
      })),
      loads: cold
        ? [{ provider: chosen.provider, tier: chosen.tier, model: chosen.model, device: 'demo0', vram: chosen.vram, loadMs: chosen.loadMs }]
        : [],
      evictions: tight
        ? [
            {
              provider: 'demo-embed',
              tier: 'small',
              model: 'demo-embed:small',
              device: 'demo0',
              frees: figure(0.7, 'measured'),
              cause: 'memory',
              stopMs: 400,
              reloadMs: 2100,
              contextMs: 0,
            },
            {
              provider: 'demo-eyes',
              tier: '7B',
              model: 'demo-eyes:7b',
              device: 'demo0',
              frees: figure(8.6),
              cause: chosen.groups.includes('night') ? 'group' : 'memory',
              stopMs: 900,
              reloadMs: 12_000,
              contextMs: 3400,
            },
          ]
        : [],
      etaMs: cold ? chosen.loadMs + (tight ? 36_300 : 0) : 0,
      waitsFor: tight && size > 15 * GB ? ['lease_1'] : [],
      downgrade:
        chosen.provider === 'demo-writer' && chosen.tier === '8B' && !asked.tier
          ? { provider: 'demo-writer', from: '70B', to: '8B', cause: 'vision is resident' }
          : null,
      reasons: [
        `${chosen.provider} ${chosen.tier} offers ${chosen.capabilities.join(', ')} in one server.`,
        ...(tight
          ? [
              `It takes ${(size / GB).toFixed(1)} GB, 7.3 GB are free; demo-embed and demo-eyes make room.`,
              'Priority 50 × interactive 5 = 250 s is more than the swap of 18.8 s and the inertia of 20 s.',
            ]
          : []),
      ],
      rejected: fits
        .filter((one) => one !== chosen)
        .slice(0, 4)
        .map(({ provider, tier, egress }) => ({
          provider,
          tier,
          reason: egress === 'remote' ? 'remote, and a local one does' : 'takes more than is free',
        })),
    };
  };

  const later = <T>(ms: number, work: () => T) => new Promise<T>((done) => setTimeout(() => done(work()), ms));
  const proposal = (name: string, endpoint: string, kind: string) =>
    `  ${name}:\n    controller: ${kind}\n    endpoint: ${endpoint}\n    egress: local\n    capabilities: [text-generation]\n    tiers:\n      - { name: 8B, model: "llama3.1:8b", vram: 6.1GB }\n`;
  const found: Discovered[] = [
    {
      endpoint: 'http://127.0.0.1:11434',
      kind: 'ollama',
      models: [
        { model: 'llama3.1:8b', capabilities: ['text-generation', 'tool_execution'], vram: figure(6.1), resident: true },
        { model: 'nomic-embed-text', capabilities: ['embedding'], vram: null, resident: false },
      ],
      known: false,
      proposal: proposal('ollama', 'http://127.0.0.1:11434', 'ollama'),
    },
    {
      endpoint: 'http://127.0.0.1:8080',
      kind: 'llama.cpp',
      models: [],
      known: true,
      proposal: proposal('llama', 'http://127.0.0.1:8080', 'openai'),
    },
  ];

  return {
    state,
    gpu: () => ({
      probedAt: t0,
      devices: cards.map((card, index) => ({
        id: card.id,
        name: card.name,
        vendor: 'nvidia',
        source: card.demo ? 'demo' : 'nvidia-smi',
        memorySource: { total: 'measured', used: 'measured' },
        demo: card.demo,
        memoryTotalBytes: card.total?.bytes ?? null,
        memoryUsedBytes: devices()[index]!.used?.bytes ?? null,
        utilization: card.utilization,
        temperatureC: card.temperatureC,
        powerW: card.powerW,
        processes: [
          { pid: 1822, name: '/usr/lib/xorg/Xorg', memoryUsedBytes: 0.4 * GB },
          { pid: 40_211, name: 'blender --background', memoryUsedBytes: card.demo ? 0.9 * GB : 3 * GB },
        ],
      })),
      probes: [
        cards.length > 0
          ? { name: 'nvidia-smi', found: true, detail: 'driver 570.86, 1 device' }
          : { name: 'nvidia-smi', found: false, detail: 'not installed' },
        { name: 'amd sysfs', found: false, detail: 'no card under /sys/class/drm has mem_info_vram_total' },
      ],
    }),
    plan(route) {
      if (scene === 'empty') return null;
      if (route === 'AI.vision') return resolve({ capabilities: ['vision-analysis', 'text-generation'] });
      if (route === 'AI.coder') return resolve({ capabilities: ['text-generation', 'tool_execution'], tier: '32B' });
      if (route === 'AI.swap') return resolve({ capabilities: ['text-generation', 'tool_execution'], tier: '14B' });
      if (route === 'AI.big') return resolve({ model: 'demo-writer', tier: '70B' });
      if (route === 'AI.chat') return resolve({ model: 'demo-writer' });
      if (route === 'AI.cloud') return resolve({ model: 'cloud-gpt' });
      return null;
    },
    answers: {
      'OS.gpu.history': ({ hours = 0.25 }) => {
        const now = Date.now();
        const step = (Number(hours) * 3_600_000) / 600;
        return {
          samples: devices().flatMap((device) => Array.from({ length: 600 }, (_, index) => sampleOf(device, now - (600 - index) * step))),
        };
      },
      'OS.resolve.need': ({ need: asked }) => resolve(asked as Partial<Need>),
      'OS.models.load': ({ provider, tier }): Promise<unknown> | WireError => {
        const plan = resolve({ model: String(provider), ...(tier ? { tier: String(tier) } : {}) });
        if (plan.outcome === 'refusal') return plan.error!;
        for (const eviction of plan.evictions) set(eviction.provider, eviction.tier, { phase: 'cold', device: null, leases: [] });
        const [load] = plan.loads;
        if (!load) return refuse('conflict', 'It is in memory already.');
        set(load.provider, load.tier, { phase: 'warming', device: 'demo0', detail: 'loading for 0 s' });
        return later(4000, () => {
          set(load.provider, load.tier, {
            phase: 'warm',
            detail: null,
            vram: load.vram && { ...load.vram, source: 'measured' },
            idleAt: Date.now() + 300_000,
          });
          return { lease: leases[0], plan };
        });
      },
      'OS.models.unload': ({ provider }): Promise<unknown> | WireError => {
        const one = models.find((candidate) => candidate.provider === provider && candidate.device !== null);
        if (!one) return refuse('conflict', 'It is not in memory.');
        if (one.leases.length > 0)
          return refuse('conflict', `${one.provider} is in use by ${one.leases.join(', ')}.`, { hint: 'Wait until it is over.' });
        set(one.provider, one.tier, { phase: 'draining' });
        return later(1200, () => {
          set(one.provider, one.tier, { phase: 'cold', device: null, idleAt: null });
          return { provider: one.provider, freedBytes: one.vram?.bytes ?? null };
        });
      },
      'OS.models.reset': ({ provider }) => {
        set(String(provider), null, { phase: 'cold', detail: null });
        return { provider };
      },
      'OS.discover': () =>
        later(900, () => ({
          found: scene === 'empty' ? [] : found,
          looked: ['127.0.0.1:11434', '127.0.0.1:8080', '127.0.0.1:8000', '127.0.0.1:1234'],
        })),
      'OS.providers.add': ({ endpoint }) => {
        const one = found.find((candidate) => candidate.endpoint === endpoint);
        if (one) one.known = true;
        return { provider: one?.kind ?? 'server', revision: 'r3' };
      },
      'OS.grants.create': ({ need: asked, task, ttl_ms: ttl = 3_600_000 }): Promise<unknown> | WireError => {
        const plan = resolve(asked as Partial<Need>);
        if (plan.outcome === 'refusal') return plan.error!;
        return later(plan.outcome === 'wait' ? 6000 : 1200, () => {
          const of = models.find((one) => one.provider === plan.assignments[0]!.provider)!;
          const made = grant(String(task), of, { created_at: Date.now(), expires_at: Date.now() + Number(ttl), reasons: plan.reasons });
          grants = [made, ...grants];
          changed();
          return { ...made, api_key: `dsp_grant_${hex(40)}` };
        });
      },
      'OS.grants.revoke': ({ id }) => {
        grants = grants.map((one) => (one.id === id ? { ...one, revoked: { at: Date.now(), why: 'by owner' } } : one));
        changed();
        return { id };
      },
    },
  };
}
