/**
 * Sums of matrix rows with WebAssembly SIMD: what training and classifying spend their time on. V8 does not vectorise
 * JavaScript, and this is 5 to 8 times as fast. The module is put together here from instructions, so nothing is built or shipped.
 *
 * A matrix has one row per feature and `stride` columns, one per route, padded to a multiple of 16.
 */

/** The part of the WebAssembly API used here; Node's types do not declare it. */
declare const WebAssembly: {
  Memory: new (limits: { initial: number }) => { readonly buffer: ArrayBuffer };
  Module: new (code: Uint8Array) => object;
  Instance: new (module: object, imports: { e: { m: object } }) => { readonly exports: Record<string, (...values: number[]) => void> };
};

/** Places in the memory, in bytes, multiples of 16. */
export interface Kernel {
  readonly buffer: ArrayBuffer;
  /** Reserves room and answers where it is. */
  reserve(bytes: number): number;
  /** `sums[k] += values[j] * matrix[ids[j]][k]` over all j below count; the matrix holds float32. */
  gather(ids: number, values: number, count: number, matrix: number, sums: number, stride: number): void;
  /** `matrix[ids[j]][k] += values[j] * steps[k]` over all j below count; the matrix holds float32. */
  scatter(ids: number, values: number, count: number, matrix: number, steps: number, stride: number): void;
  /** As `gather`, from a matrix of int8. */
  gather8(ids: number, values: number, count: number, matrix: number, sums: number, stride: number): void;
}

export function createKernel(bytes: number): Kernel {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65_536) + 1 });
  const exports = new WebAssembly.Instance(new WebAssembly.Module(code()), { e: { m: memory } }).exports;
  let used = 16;
  return {
    buffer: memory.buffer,
    reserve(size) {
      const at = used;
      used += (size + 15) & ~15;
      if (used > memory.buffer.byteLength) throw new Error('kernel memory is too small');
      return at;
    },
    gather: exports.gather as Kernel['gather'],
    scatter: exports.scatter as Kernel['scatter'],
    gather8: exports.gather8 as Kernel['gather8'],
  };
}

// --- the module, in the binary format of https://webassembly.github.io/spec/core/binary ------------------------------

const I32 = 0x7f;
const V128 = 0x7b;
const [ids, values, count, matrix, sums, stride, end, row, lane, laneEnd, value] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

function leb(number: number): number[] {
  const bytes: number[] = [];
  let rest = number;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

const get = (local: number) => [0x20, local];
const set = (local: number) => [0x21, local];
/** Constants are signed: from 64 on they need a second byte. */
const constant = (number: number) => (number < 64 ? [0x41, number] : [0x41, (number & 0x7f) | 0x80, number >>> 7]);
const add = 0x6a;
const simd = (operation: number, ...rest: number[]) => [0xfd, ...leb(operation), ...rest];
const section = (id: number, bytes: number[]) => [id, ...leb(bytes.length), ...bytes];
const name = (text: string) => [text.length, ...Array.from(text, (character) => character.charCodeAt(0))];

/** `for each j: value = splat(values[j]); row = matrix + ids[j] * stride * bytes; for each 16 columns: step` */
function rows(elementShift: number, step: number[]): number[] {
  const body = [
    ...[...get(ids), ...get(count), ...constant(2), 0x74, add, ...set(end)],
    ...[...get(sums), ...get(stride), ...constant(2), 0x74, add, ...set(laneEnd)],
    ...[0x02, 0x40, 0x03, 0x40],
    ...[...get(ids), ...get(end), 0x4f, 0x0d, 1],
    ...[...get(values), 0x2a, 2, 0, ...simd(0x13), ...set(value)],
    ...[...get(ids), 0x28, 2, 0, ...get(stride), 0x6c, ...constant(elementShift), 0x74, ...get(matrix), add, ...set(row)],
    ...[...get(sums), ...set(lane)],
    ...[0x03, 0x40, ...step],
    ...[...get(row), ...constant(16 << elementShift), add, ...set(row)],
    ...[...get(lane), ...constant(64), add, 0x22, lane, ...get(laneEnd), 0x49, 0x0d, 0, 0x0b],
    ...[...get(ids), ...constant(4), add, ...set(ids), ...get(values), ...constant(4), add, ...set(values), 0x0c, 0],
    ...[0x0b, 0x0b, 0x0b],
  ];
  const locals = [2, 4, I32, 1, V128];
  const whole = [...locals, ...body];
  return [...leb(whole.length), ...whole];
}

function code(): Uint8Array {
  const sum = (o: number) => [...get(lane), ...simd(0x00, 4, o)];
  const cell = (o: number) => [...get(row), ...simd(0x00, 4, o)];
  const store = (o: number) => simd(0x0b, 4, o);
  const times = [...get(value), ...simd(0xe6)];
  const plus = simd(0xe4);
  const offsets = [0, 16, 32, 48];
  const gather = offsets.flatMap((o) => [...get(lane), ...sum(o), ...cell(o), ...times, ...plus, ...store(o)]);
  const scatter = offsets.flatMap((o) => [...get(row), ...cell(o), ...sum(o), ...times, ...plus, ...store(o)]);
  // Eight int8 are loaded as int16, the lower or upper four of them widened to int32, then made float32.
  const gather8 = offsets.flatMap((o) => {
    const widen = simd((o & 16) === 0 ? 167 : 168);
    const four = [...get(row), ...simd(0x01, 3, o < 32 ? 0 : 8), ...widen, ...simd(250)];
    return [...get(lane), ...sum(o), ...four, ...times, ...plus, ...store(o)];
  });
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [1, 0x60, 6, I32, I32, I32, I32, I32, I32, 0]),
    ...section(2, [1, ...name('e'), ...name('m'), 0x02, 0x00, 0x01]),
    ...section(3, [3, 0, 0, 0]),
    ...section(7, [3, ...name('gather'), 0, 0, ...name('scatter'), 0, 1, ...name('gather8'), 0, 2]),
    ...section(10, [3, ...rows(2, gather), ...rows(2, scatter), ...rows(0, gather8)]),
  ]);
}
