/** node:test reporter: failures in full, skips with their reason, and the counts as one last line for test.ts. */
import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

export interface Counts {
  passed: number;
  failed: number;
  skipped: { name: string; reason: string }[];
}

export const countsMark = '#counts ';

// biome-ignore lint/style/noDefaultExport: node:test reads the default export.
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const counts: Counts = { passed: 0, failed: 0, skipped: [] };
  for await (const event of source) {
    if (event.type === 'test:pass') {
      const { name, skip, todo, details, file } = event.data;
      if (details.type === 'suite') continue;
      if (skip === undefined && todo === undefined) counts.passed++;
      else counts.skipped.push({ name: `${place(file)}: ${name}`, reason: String(skip || todo || 'no reason given') });
    } else if (event.type === 'test:fail') {
      const { name, details, file, line } = event.data;
      // A suite or a test with parts fails because of a part of it, which is counted by itself.
      if (details.type === 'suite' || (details.error as Error & { failureType?: string }).failureType === 'subtestsFailed') continue;
      counts.failed++;
      const { cause } = details.error;
      const text = cause instanceof Error ? cause.stack : String(cause ?? details.error.message);
      yield `✖ ${place(file)}:${line ?? 0}: ${name}\n${text?.replace(/^/gm, '    ')}\n`;
    } else if (event.type === 'test:stderr') yield event.data.message;
  }
  yield `${countsMark}${JSON.stringify(counts)}\n`;
}

function place(file: string | undefined): string {
  return file === undefined ? '-' : relative(process.cwd(), file);
}
