/** What may stand under `providers:`, `cortex:` and a service's `need:`. */
import { argv, auth, decimal, egress, endpoint, memory, reference, share, wait } from './fields.ts';
import { choice, duration, listOf, located, named, namedOrListed, type Reader, record, shorthand, text, truth, whole } from './readers.ts';

export const mostProviders = 2000;

const providerName = /^[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,98}[A-Za-z0-9])?$/;
const pool = /^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$/;
const capability = text('A capability.', {
  max: 60,
  pattern: /^[a-z0-9][a-z0-9_-]{0,59}$/,
  say: 'A capability has small letters, digits, "-" and "_", such as text-generation.',
});
const tierName = text('Name of the tier.', { max: 60 });
const modelName = text('What its server calls the model.', {
  max: 200,
  // It travels in URLs and JSON, and is shown.
  pattern: /^[^\p{Cc}\p{Zl}\p{Zp}]+$/u,
  say: 'Write it in one line, as the server lists it.',
});
const word = text('A name.', { max: 200 });
const path = (description: string) => located(text(`${description} Relative to this file, absolute, or under ~.`, { max: 4096 }));
const priority = (description: string) => whole(`${description} 50 unless given.`, { min: 0, max: 100 });
const context = (description: string) => whole(description, { min: 1, max: 100_000_000 });
const takes = (description: string, max: number) =>
  duration(description, { min: 0, max, say: 'Write seconds, or a time such as 500ms, 30s or 2m.' });
const half = 1_800_000;

/** One value in place of a list of one. */
function oneOrMore<T>(reader: Reader<T[]>): Reader<T[]> {
  const { description, items } = reader.schema;
  return {
    schema: { description, anyOf: [items, reader.schema] },
    read(node, report) {
      if (node.kind !== 'scalar' || node.value === null) return reader.read(node, report);
      return reader.read({ kind: 'list', at: node.at, items: [node] }, report);
    },
  };
}

const capabilities = oneOrMore(
  listOf('What is wanted of it or what it offers, such as text-generation or vision-analysis.', capability, 64),
);

const controller = shorthand(
  'kind',
  record('Who starts and ends its models.', {
    kind: choice(
      'ollama, llama-swap: servers that load and unload models when asked; openai: a server that is always warm (the default); container: the Docker or Podman API; command: programs.',
      ['ollama', 'llama-swap', 'openai', 'container', 'command'],
    ),
    container: located(
      text('Of kind container: its name. The name of the provider unless given.', {
        max: 200,
        pattern: /^[A-Za-z0-9][A-Za-z0-9_.-]*$/,
        say: 'Write the name of the container, such as vision.',
      }),
    ),
    socket: path(
      'Of kind container: the socket of the Docker or Podman API. container_socket of cortex, or the usual places unless given.',
    ),
    start: located(argv),
    stop: located(argv),
  }),
);

const tier = record('One size of what it offers.', {
  model: modelName,
  vram: memory('What it takes on a device: 6 GB, 5.5GiB, or bytes. Learned from its loads, and guessed from its name, unless given.'),
  context: context('Longest context in tokens.'),
  load_time: takes('How long a load takes, until that is learned. 20s unless given.', half),
});

const tiersShape = namedOrListed(
  'The sizes it can be had in, best first: at most one of them is loaded at a time.',
  { name: /^\S(?:.{0,58}\S)?$/, say: 'A tier has a name, such as 70B.', max: 50 },
  tier,
);
/** `auto` is no tiers: the server is asked. */
const tiers: typeof tiersShape = {
  schema: { description: tiersShape.schema.description, anyOf: [...(tiersShape.schema.anyOf as unknown[]), { const: 'auto' }] },
  read: (node, report) => (node.kind === 'scalar' && node.value === 'auto' ? undefined : tiersShape.read(node, report)),
};

export const providerShape = record('A model server, a container or a remote API: what it can do, at which sizes, and what that takes.', {
  description: text('What it is, in one line.'),
  controller: located(controller),
  endpoint,
  egress,
  auth: located(auth),
  capabilities,
  tiers: located(tiers),
  model: located(modelName),
  vram: located(memory('In place of tiers: what the one model takes on a device.')),
  context: located(context('In place of tiers: longest context in tokens.')),
  load_time: located(takes('In place of tiers: how long a load takes, until that is learned.', half)),
  tools: listOf('Routes that are granted together with it while it is warm: ORG.name.', reference('A route.'), 200),
  groups: oneOrMore(
    listOf(
      'Two providers may be resident together when they share a group, or when one of them is in none.',
      text('A group.', { max: 100 }),
      50,
    ),
  ),
  devices: oneOrMore(listOf('Ids of the devices it may be on, as `dispatcher gpu` shows them. Any unless given.', word, 64)),
  priority: priority('While it is idle it makes room only for needs of at least this priority.'),
  pinned: truth('It is never evicted.'),
  concurrency: whole('Most calls at one time.', { min: 1, max: 10_000 }),
  idle: wait('It is unloaded when nobody used it for so long. Never unless given.'),
  drain: takes('How long what runs may take to end before an unload gives up. 2m unless given.', half),
  warm_up: duration('How long a load may take. 3m unless given.', {
    min: 100,
    max: 3_600_000,
    say: 'Write seconds, or a time such as 90s or 3m, up to 1h.',
  }),
  stop_time: takes('How long an unload takes. 2s unless given.', half),
  settings: record('Bounds and defaults of the requests under a grant.', {
    temperature: decimal('0.7 unless given.', { min: 0, max: 2 }),
    top_p: decimal('0.9 unless given.', { min: 0, max: 1 }),
    max_tokens: whole('4096 unless given.', { min: 1, max: 10_000_000 }),
  }),
  demo: truth('Belongs to the demo.'),
});

export type ProviderShape = Exclude<ReturnType<typeof providerShape.read>, undefined>;

export const providersShape = named(
  'Who offers capabilities, by name.',
  {
    name: providerName,
    say: 'A provider name has letters, digits, "-", "_", "." and ":", such as ollama-big.',
    max: mostProviders,
  },
  providerShape,
);

export const needShape = shorthandList(
  record('Of kind model, in place of an endpoint: what it needs. The cortex finds who has it.', {
    capabilities,
    tier: tierName,
    model: text('This model or provider and no other.', { max: 200 }),
    priority: priority('Below 40 nothing is evicted for it.'),
    context: choice('How much it hurts to wait; interactive unless given.', ['speech', 'interactive', 'background', 'training']),
    context_tokens: context('Tokens that have to fit.'),
    sensitive: truth('Never for remote providers.'),
    egress: choice('How far it may go at most; remote unless given.', ['local', 'lan', 'remote']),
  }),
);

/** A lone list, or a lone capability, is `capabilities`. */
function shorthandList<T>(block: Reader<T>): Reader<T> {
  const { description, properties } = block.schema as { description: string; properties: Record<string, unknown> };
  return {
    schema: { description, anyOf: [properties.capabilities, block.schema] },
    read(node, report) {
      if (node.kind === 'map' || (node.kind === 'scalar' && node.value === null)) return block.read(node, report);
      return block.read({ kind: 'map', at: node.at, entries: [{ key: 'capabilities', at: node.at, value: node }] }, report);
    },
  };
}

const degrees = (description: string) => decimal(description, { min: 0, max: 200 });

export const cortexShape = record('How models share this machine.', {
  scan: oneOrMore(listOf('Folders with compose and Podman Quadlet files, whose labels name providers.', path('A folder.'), 100)),
  container_socket: path('Socket of the Docker or Podman API. The usual places unless given.'),
  inertia: takes('How reluctant to change what runs: added to the cost of every swap. 30s unless given.', 86_400_000),
  starvation: wait('Nobody in line for models is overtaken for longer. 1m unless given.'),
  grant_time: duration('How long a grant lasts if nobody said. 1h unless given.', {
    min: 1000,
    max: 86_400_000,
    say: 'Write seconds, or a time such as 30m or 1h, up to 24h.',
  }),
  pulse_fresh: takes('A warm model that answered a pulse so short a time ago is not asked again. 10s unless given.', 3_600_000),
  sidecar: located(
    shorthand(
      'provider',
      record('A model under 2B that is always there. Its provider is pinned.', {
        provider: reference('Name of its provider.'),
        lexicon: path("YAML or text with the owner's words."),
        budget: wait('How long it may take for one question. 2s unless given.'),
      }),
    ),
  ),
  pools: named(
    'Named sets of model servers that share a purpose, by the address of their server.',
    { name: pool, say: 'A pool has a name such as BIG.', max: 50 },
    shorthand('endpoint', record('One pool.', { endpoint }, { required: ['endpoint'] })),
  ),
  alerts: record('When a reading is too high. It has to fall by the hysteresis before it is well again.', {
    temperature: located(
      record('Degrees Celsius: 70, 80 and 2 unless given.', {
        warning: degrees('Too warm.'),
        critical: degrees('Much too warm.'),
        hysteresis: degrees('What it has to fall.'),
      }),
    ),
    memory: located(
      record('Shares of the memory: 80%, 95% and 5% unless given.', {
        warning: share('Much is used.'),
        critical: share('Nearly all is used.'),
        hysteresis: share('What it has to fall.'),
      }),
    ),
  }),
});
