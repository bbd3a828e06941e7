/** The controller of a provider, by its kind. */
import { assertNever } from '../../../shared/errors.ts';
import type { Controller, CreateController } from './controller.ts';
import { createLlamaSwap } from './llama-swap.ts';
import { createOllama } from './ollama.ts';
import { createOpenai } from './openai.ts';

export const createController: CreateController = (provider, parts): Controller => {
  const { controller } = provider;
  switch (controller.kind) {
    case 'ollama':
      return createOllama(provider, parts);
    case 'llama-swap':
      return createLlamaSwap(provider, parts);
    case 'openai':
    case 'container':
    case 'command':
      return createOpenai(provider, parts);
    default:
      return assertNever(controller);
  }
};
