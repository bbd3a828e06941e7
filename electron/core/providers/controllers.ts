/** The controller of a provider, by its kind. */
import { assertNever } from '../../../shared/errors.ts';
import { createCommand } from './command.ts';
import { createContainer } from './container.ts';
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
      return createOpenai(provider, parts);
    case 'container':
      return createContainer({ ...provider, controller }, parts);
    case 'command':
      return createCommand({ ...provider, controller }, parts);
    default:
      return assertNever(controller);
  }
};
