/** What a model takes, guessed from its name where nobody knows better: parameters times bits, what its context takes, and a fixed part. */
import type { ControllerSpec } from '../../../shared/cortex.ts';

const MIB = 2 ** 20;
/** Buffers and the driver's own part. */
const FIXED_BYTES = 512 * MIB;
/** Tokens where no context is declared. */
const CONTEXT_DEFAULT = 4096;
/** Of a token's keys and values in 16 bits, for 8 billion parameters with grouped attention; it grows with their square root. */
const TOKEN_BYTES_AT_8B = 128 * 1024;
/** Experts share what is not in their own layers: Mixtral 8x7b has 46.7 billion parameters, not 56. */
const EXPERTS_SHARE = 0.85;

/** Bits a weight in the files of llama.cpp, by the digit in `q4_K_M` or `iq3_xs`, scales included. Source: its table for Llama 3 8B. */
const GGUF_BITS: Record<string, number> = { 1: 2, 2: 3.2, 3: 3.9, 4: 4.9, 5: 5.7, 6: 6.6, 8: 8.5 };

/** Bytes on a device; null where the names do not say how many parameters there are. The first name that does counts. */
export function ruleOfThumb(names: readonly string[], more: { context: number | null; controller: ControllerSpec['kind'] }): number | null {
  const billions = names.map(billionsIn).find((found) => found !== null) ?? null;
  if (billions === null) return null;
  const bits = names.map(bitsIn).find((found) => found !== null) ?? usualBits(more.controller);
  const weights = (billions * 1e9 * bits) / 8;
  const tokens = more.context ?? CONTEXT_DEFAULT;
  return Math.round(weights + tokens * TOKEN_BYTES_AT_8B * Math.sqrt(billions / 8) + FIXED_BYTES);
}

/** `70b`, `3.8B`, `135m`, `8x7b`. Not `a3b`, which are the active ones, and not `4bit`. */
function billionsIn(name: string): number | null {
  const found = /(?<![a-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)([bm])(?![a-z0-9])/i.exec(name);
  if (found === null) return null;
  const [, experts, size, unit] = found;
  const billions = Number(size) / (unit!.toLowerCase() === 'b' ? 1 : 1000);
  if (billions <= 0) return null;
  return experts === undefined ? billions : billions * Number(experts) * EXPERTS_SHARE;
}

function bitsIn(name: string): number | null {
  const gguf = /(?<![a-z0-9])i?q([1-68])(?:_[a-z0-9]+)*(?![a-z0-9])/i.exec(name);
  if (gguf !== null) return GGUF_BITS[gguf[1]!] ?? null;
  if (/(?<![a-z0-9])(?:f|fp)32(?![0-9])/i.test(name)) return 32;
  if (/(?<![a-z0-9])(?:b?f|fp)16(?![0-9])/i.test(name)) return 16;
  if (/(?<![a-z0-9])(?:fp8|int8|w8a(?:8|16)|8-?bit)(?![0-9])/i.test(name)) return 8.5;
  // With scales, and what stays in 16 bits.
  if (/(?<![a-z0-9])(?:awq|gptq|int4|nf4|mxfp4|nvfp4|fp4|w4a16|4-?bit)(?![0-9])/i.test(name)) return 5;
  return null;
}

/** What a server has if nobody says: Ollama and llama-swap files of four bits, the others the weights as they were published. */
function usualBits(controller: ControllerSpec['kind']): number {
  return controller === 'ollama' || controller === 'llama-swap' ? GGUF_BITS[4]! : 16;
}
