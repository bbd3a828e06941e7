/** Before the tests: the renderer, built from its sources as they are now. */
import { buildRenderer } from '../bin/build.ts';

// biome-ignore lint/style/noDefaultExport: Playwright calls the default export.
export default function build(): void {
  buildRenderer();
}
