/** The parts of the cortex, put together: devices, budget, world, and what brings plans to life over them. */
import type { EventBody } from '../../../shared/contract.ts';
import type { GpuDevice, Registry } from '../../../shared/model.ts';
import type { Egress } from '../egress.ts';
import { createGpu, type Gpu } from '../gpu.ts';
import type { Loop } from '../jobs/loop.ts';
import type { Discover } from '../providers/controller.ts';
import { createController } from '../providers/controllers.ts';
import type { Store } from '../store/store.ts';
import { createAlerts } from './alerts.ts';
import { createBudget } from './budget.ts';
import { type Cortex, type CortexParts, createCortex } from './cortex.ts';
import { createSchemaCheck } from './schema-check.ts';
import type { Sidecar } from './sidecar.ts';
import { createSidecarHost } from './sidecar-host.ts';
import { createWorldSource, type LiveWorld } from './world.ts';

export interface OpenCortexOptions extends Pick<CortexParts, 'registry' | 'hasRoute' | 'job' | 'url' | 'clock' | 'record'> {
  /** Somebody looks at what is published. */
  watched(): boolean;
  store: Store;
  egress: Egress;
  loop: Loop;
  /** The registry as it is served. */
  served(): Registry;
  sovereign(): boolean;
  secret(name: string): string | null;
  publish(event: EventBody, signal?: string | null): void;
  discover: Discover;
  /** Devices of the demo, in place of those of the machine. */
  pretended?: (() => GpuDevice[]) | undefined;
}

export interface OpenCortex extends AsyncDisposable {
  cortex: Cortex;
  gpu: Gpu;
  /** null: none is configured, or it is not warm. */
  sidecar(): Sidecar | null;
  /** The registry that is served is another, or the sovereign switch was turned. */
  configure(): void;
  start(): void;
}

export function openCortex(options: OpenCortexOptions): OpenCortex {
  const { store, egress, loop, served, sovereign, secret, clock, publish, pretended } = options;
  const stack = new AsyncDisposableStack();
  const parts = { egress, secret, clock };
  const alerts = createAlerts({ settings: () => served().cortex.alerts, clock });
  const gpu: Gpu = stack.use(
    createGpu({
      clock,
      ...(pretended && { pretended }),
      onChange(state) {
        publish({ type: 'gpu', gpu: state });
        alerts.read(state);
        world.sensed();
        cortex.changed();
      },
      onSamples(samples) {
        store.saveGpuSamples(samples);
        publish({ type: 'gpu_samples', samples });
      },
    }),
  );
  const budget = createBudget({ store, clock });
  const world: LiveWorld = stack.use(
    createWorldSource({
      ...{ registry: served, createController, parts, gpu, budget, sovereign },
      now: loop.now,
      onChange: (next) => cortex.moved(next),
      onUsage: () => cortex.changed(),
    }),
  );
  const cortex: Cortex = stack.use(
    createCortex({
      ...{ world, budget, loop, store, gpu, clock },
      registry: options.registry,
      hasRoute: options.hasRoute,
      job: options.job,
      url: options.url,
      record: options.record,
      watched: options.watched,
      alerts: alerts.alerts,
      settings: () => served().cortex,
      discover: (signal) => options.discover(parts, signal),
      publish: (event, signal) => publish(event, signal),
    }),
  );
  const checker = stack.use(createSchemaCheck());
  const sidecar = stack.use(
    createSidecarHost({ ...{ checker, world, loop, egress, secret, clock }, settings: () => served().cortex.sidecar }),
  );
  return {
    cortex,
    sidecar: sidecar.current,
    gpu,
    configure() {
      world.configure();
      cortex.configure();
      sidecar.configure();
    },
    start() {
      gpu.start();
      world.start();
      cortex.start();
      sidecar.configure();
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
