/** Models are called like any service: same tries, breakers and fallbacks. Only the words differ; chat.ts has them. */
import { createHttpRunner, type HttpRunnerOptions } from './http.ts';
import type { Runner } from './runner.ts';

export function createModelRunner(options: HttpRunnerOptions): Runner {
  return createHttpRunner(options);
}
