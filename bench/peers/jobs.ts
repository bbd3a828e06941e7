/**
 * Dispatcher's own jobs: calls of the built-in echo through the seam, its route named, the audit as it always is. It is idempotent, as in the registry
 * that comes with Dispatcher: its sealed words are kept beside the job until it has ended, to run it again after a crash.
 */
import { createCore } from '../../electron/core/core.ts';
import { offer, type Way } from './rounds.ts';

const [home = ''] = process.argv.slice(2);
const template = `orgs:
  OS: { name: Bench, services: { echo: { kind: tool, idempotent: true } } }
limits: off
`;
const core = await createCore({ home, template, version: 'bench' });
const { principal } = core.owner;

let n = 0;
const single: Way = {
  batch: 1,
  async submit() {
    const { ok, error } = await core.dispatch({ route: 'OS.echo', params: { n: n++ }, door: 'library', principal });
    if (!ok) throw new Error(`a job ended with ${error?.code}`);
  },
  // Built-in routes wait until all that was answered is on record.
  async settled() {
    await core.dispatch({ route: 'OS.status', door: 'library', principal });
  },
};
offer({ single }, async () => {
  await core[Symbol.asyncDispose]();
});
