/** The built-in routes of the cortex. */
import { emptyCortex } from '../../../shared/cortex.ts';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { CortexOperation, Implementation } from '../operations.ts';

export function cortexOperations(): Pick<Implementation, CortexOperation> {
  const none = (): never => {
    throw new Refusal(refuse('no_capability', 'No provider is declared.', { hint: 'Name one under providers: in the registry.' }));
  };
  return {
    'OS.resolve.need': none,
    'OS.cortex': () => emptyCortex,
    'OS.gpu.history': () => ({ samples: [] }),
    'OS.models.load': none,
    'OS.models.unload': none,
    'OS.models.reset': none,
    'OS.discover': () => ({ found: [], looked: [] }),
    'OS.providers.add': none,
    'OS.grants': () => ({ grants: [], leases: [], queue: [] }),
    'OS.grants.create': none,
    'OS.grants.revoke': none,
  };
}
