/** The package `yaml`, loaded when it is first asked for: a start reads the registry without it. */
import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);

export const yaml = () => load('yaml') as typeof import('yaml');
