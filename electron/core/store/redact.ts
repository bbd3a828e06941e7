/**
 * JSON text of a value with its secrets replaced, for what is kept: audit details, parameters, records.
 *
 * A secret is known by its place (a key or header named like one, userinfo or a parameter of a URL, what follows `password=`) or by its shape
 * (bearer, JWT, the prefixes of well-known keys, private keys), in plain text, in JSON inside a string, and in base64 of any of these.
 * A secret without place or shape cannot be known. Most values have none of it, and one pass over their JSON text finds that out.
 */

const MARK = '[redacted]';
const MAX_DEPTH = 64;
/** JSON in a string in JSON in a string, base64 of base64: followed this far. */
const MAX_LAYERS = 4;
/** Shorter runs of base64 letters hold no secret worth the name. */
const BASE64_MIN = 16;

const SECRET_KEY =
  /passw(?:or)?d|passphrase|passcode|passkey|^pass$|pwd|secret(?!ar)|token(?!s|iz|count|limit|type|usage|budget)|authorization|^auth$|^xauth|cookie|apikey|accesskey|privatekey|signingkey|encryptionkey|sshkey|credential|^jwt$|bearer|^otp$|^pin$|^cvv|sessionid|^sid$|^session$|connectionstring|^dsn$/;

const SHAPES: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|$)/g, MARK],
  [/\b([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/?#"'<>]{1,400}@/gi, `$1${MARK}@`],
  [
    /\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-auth-token)([\\"']{0,4}\s{0,4}[:=]\s{0,4}[\\"']{0,4})[^\r\n"']+/gi,
    `$1$2${MARK}`,
  ],
  [/\b(bearer\s{1,10})[\w.~+/=-]{6,}/gi, `$1${MARK}`],
  [/\b([Bb]asic\s{1,10})(?=[a-z+/]{0,200}[A-Z0-9=])[A-Za-z0-9+/]{8,}={0,2}/g, `$1${MARK}`],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, MARK],
  [/\bsk-[\w-]{8,}/g, MARK],
  [/\b[srp]k_(?:live|test)_\w{8,}/g, MARK],
  [/\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{12,}|xox[abeprs]-[\w-]{8,}|AIza[\w-]{30,}|npm_\w{20,}|hf_\w{20,})/g, MARK],
  [/\b(?:dsp_|dgk_|whsec_)[\w+/=-]{16,}/g, MARK],
  [/([?&;](?:key|sig|signature|auth|code|pass|sid|session|jwt|hmac)=)[^&\s"'#;]+/gi, `$1${MARK}`],
  [
    /((?:passw(?:or)?d|passphrase|passcode|pwd|secret(?!ar)|token(?!s\b|iz)|api[-_ ]?key|access[-_ ]?key|private[-_ ]?key|credentials?|session[-_]?id|connection[-_ ]?string)[\w-]{0,30}[\\"']{0,4}\s{0,4}(?:=>|[:=]|%3D)\s{0,4})(?!\[redacted\])(?:\\{0,3}"[^"]*(?:"|$)|\\{0,3}'[^']*(?:'|$)|[^\s"'&;,})\]]+)/gi,
    `$1${MARK}`,
  ],
  [/((?<![\w-])--?[\w-]{0,30}(?:password|passwd|token|secret|api-?key)\s{1,10})[^\s-]\S*/gi, `$1${MARK}`],
  [/((?:password|passphrase|passcode|token|secret|api key)\s{1,10}(?:is|was)\s{1,10})(?!\[redacted\])\S+/gi, `$1${MARK}`],
];

/** JSON text of `value`, never more than one line, with secrets replaced by `[redacted]`. Never throws; what cannot be read says so. */
export function redact(value: unknown): string {
  try {
    if (isPlain(value)) {
      const json = JSON.stringify(value);
      if (json !== undefined) {
        const seen = inspect(json);
        if (seen !== SUSPICIOUS) return seen === UNPRINTABLE ? escapeUnprintable(json) : json;
      }
    }
  } catch {
    // BigInt, a cycle, a nesting too deep or a getter that throws: the walk below copes.
  }
  return escapeUnprintable(createWalk(0).text(value));
}

/** What `redact` says of the value if that is `JSON.stringify(value)`; null if it may say something else. */
export function harmlessJson(value: unknown): string | null {
  try {
    const json = isPlain(value) ? JSON.stringify(value) : undefined;
    return json !== undefined && inspect(json) === CLEAN ? json : null;
  } catch {
    return null;
  }
}

/** A text with its secrets replaced. */
export function redactText(text: string): string {
  return clean(text, 0);
}

/** JSON.stringify makes nothing of errors and maps; further inside they are written as `{}`, which says nothing wrong. */
function isPlain(value: unknown): boolean {
  return !(value instanceof Error || value instanceof Map || value instanceof Set || ArrayBuffer.isView(value));
}

const OTHER = 0;
const LETTER = 1;
const SEPARATOR = 2;
const CLASS = new Uint8Array(128);
const SEXTET = new Uint8Array(128);
for (const [i, char] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].entries()) {
  CLASS[char.charCodeAt(0)] = LETTER;
  SEXTET[char.charCodeAt(0)] = i;
}
for (const char of '+/-_') CLASS[char.charCodeAt(0)] = SEPARATOR;
SEXTET[45] = 62;
SEXTET[95] = 63;

/**
 * What a rule needs to find something, as `rare` three letters and, checked only where those are, a pattern that begins at `word`. Wider than the
 * rules: a hit costs a closer look, nothing else.
 */
const HINTS: readonly (readonly [word: string, rare: string, pattern: RegExp])[] = [
  ['password', 'ssw', /passw/iy],
  ['passphrase', 'ssp', /passphr/iy],
  ['passcode', 'ssc', /passcode/iy],
  ['passkey', 'ssk', /passkey/iy],
  ['pass"', 'ss"', /pass"/iy],
  ['pass\\', 'ss\\', /pass\\/iy],
  ['pass=', 'ss=', /pass=/iy],
  ['pwd', 'pwd', /pwd/iy],
  ['secret', 'cre', /secret/iy],
  // But for how many there were, which every model says of its answer.
  ['token', 'oke', /token(?!s(?:_details)?":[{\dn])/iy],
  ['auth', 'uth', /auth(?:oriz|["\\=_-])/iy],
  ['cookie', 'oki', /cookie/iy],
  ['key', 'key', /(?<=(?:api|access|private|signing|encryption|ssh)[-_. ]{0,3}|[?&;])key/iy],
  ['credential', 'ede', /credential/iy],
  ['bearer', 'bea', /bearer/iy],
  ['basic', 'sic', /basic\s/iy],
  ['session', 'ssi', /session(?:["\\=]|[-_. ]{0,3}id)/iy],
  ['connection', 'nne', /connection[-_. ]{0,3}string/iy],
  ['jwt', 'jwt', /jwt["\\=]/iy],
  ['otp', 'otp', /(?<=")otp["\\]/iy],
  ['pin', 'pin', /(?<=")pin["\\]/iy],
  ['cvv', 'cvv', /(?<=")cvv/iy],
  ['sid', 'sid', /(?<=["?&;])sid["\\=]/iy],
  ['dsn', 'dsn', /(?<=")dsn["\\]/iy],
  ['sig=', 'ig=', /(?<=[?&;])sig=/iy],
  ['signature=', 're=', /(?<=[?&;])signature=/iy],
  ['code=', 'de=', /(?<=[?&;])code=/iy],
  ['hmac=', 'ac=', /(?<=[?&;])hmac=/iy],
  ['eyJ', 'eyJ', /eyJ[\w-]{5}/y],
  ['AKIA', 'AKI', /AKIA[A-Z0-9]{16}/y],
  ['ASIA', 'ASI', /ASIA[A-Z0-9]{16}/y],
  ['sk-', 'sk-', /sk-[\w-]{8}/y],
  ['k_live_', 'k_l', /k_live_\w{8}/y],
  ['k_test_', 'k_t', /k_test_\w{8}/y],
  ...['p', 'o', 'u', 's', 'r'].map((kind) => [`gh${kind}_`, `h${kind}_`, new RegExp(`gh${kind}_\\w{16}`, 'y')] as const),
  ['github_pat_', 'b_p', /github_pat_/y],
  ['glpat-', 'glp', /glpat-/y],
  ['xox', 'xox', /xox[abeprs]-/y],
  ['AIza', 'AIz', /AIza[\w-]{30}/y],
  ['npm_', 'npm', /npm_\w{20}/y],
  ['hf_', 'hf_', /hf_\w{20}/y],
  ['dsp_', 'dsp', /dsp_/y],
  ['dgk_', 'dgk', /dgk_/y],
  ['whsec_', 'whs', /whsec_/y],
  ['-----B', '--B', /-----BEGIN/y],
  ['://', '://', /:\/\/[^\s/?#"'<>]{1,400}@/y],
  // Bytes, which JSON.stringify writes as numbers.
  ['type":"Buffer"', 'Buf', /type":"Buffer"/y],
  ['{"0":', '"0"', /\{"0":/y],
];

/** Three characters as 15 bits; upper and lower case fall together, and so do others, which the pattern then tells apart. */
const slot = (a: number, b: number, c: number): number => ((a & 31) << 10) | ((b & 31) << 5) | (c & 31);
const SLOTS = new Uint8Array(32768);
const HINTS_AT: { back: number; pattern: RegExp }[][] = [[]];
for (const [word, rare, pattern] of HINTS) {
  const at = slot(rare.charCodeAt(0), rare.charCodeAt(1), rare.charCodeAt(2));
  if (SLOTS[at] === 0) SLOTS[at] = HINTS_AT.push([]) - 1;
  HINTS_AT[SLOTS[at]!]!.push({ back: word.indexOf(rare) + 2, pattern });
}

function hinted(text: string, at: number, entry: number): boolean {
  for (const { back, pattern } of HINTS_AT[entry]!) {
    if (at < back) continue;
    pattern.lastIndex = at - back;
    if (pattern.test(text)) return true;
  }
  return false;
}

const CLEAN = 0;
const UNPRINTABLE = 1;
const SUSPICIOUS = 2;

/** One pass over a text, JSON or not: whether a rule could apply, or there is a character that JSON leaves but a line should not have. */
function inspect(text: string): typeof CLEAN | typeof UNPRINTABLE | typeof SUSPICIOUS {
  let found: typeof CLEAN | typeof UNPRINTABLE = CLEAN;
  let window = 0;
  let run = 0;
  let separated = false;
  const length = text.length;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    window = ((window << 5) | (code & 31)) & 32767;
    const entry = SLOTS[window]!;
    if (entry !== 0 && hinted(text, i, entry)) return SUSPICIOUS;
    const kind = code < 128 ? CLASS[code]! : OTHER;
    if (kind !== OTHER) {
      run++;
      if (kind === SEPARATOR) separated = true;
      continue;
    }
    if (run >= BASE64_MIN && maybeBase64(text, i - run, i, separated)) return SUSPICIOUS;
    const escaped = run === -1;
    run = 0;
    separated = false;
    // The letter behind a backslash belongs to the escape, as do the four digits of \u.
    if (code === 92 && !escaped) run = text.charCodeAt(i + 1) === 117 ? -5 : -1;
    else if (code > 126 && (code < 160 || code === 0x2028 || code === 0x2029)) found = UNPRINTABLE;
  }
  return run >= BASE64_MIN && maybeBase64(text, length - run, length, separated) ? SUSPICIOUS : found;
}

/** Whether a run of base64 letters may be text: from its start, or from behind a separator, as in a path. */
function maybeBase64(text: string, from: number, to: number, separated: boolean): boolean {
  if (startsAsText(text, from)) return true;
  if (!separated) return false;
  for (let i = from + 1; to - i >= BASE64_MIN; i++) if (CLASS[text.charCodeAt(i - 1)] === SEPARATOR && startsAsText(text, i)) return true;
  return false;
}

/** Whether the first 12 bytes that base64 gives from `at` on could begin a text: no control characters and mostly ASCII. */
function startsAsText(text: string, at: number): boolean {
  let ascii = 0;
  for (let i = at; i < at + 16; i += 4) {
    const word =
      (SEXTET[text.charCodeAt(i)]! << 18) |
      (SEXTET[text.charCodeAt(i + 1)]! << 12) |
      (SEXTET[text.charCodeAt(i + 2)]! << 6) |
      SEXTET[text.charCodeAt(i + 3)]!;
    for (let shift = 16; shift >= 0; shift -= 8) {
      const byte = (word >>> shift) & 255;
      if (byte < 32 && byte !== 9 && byte !== 10 && byte !== 13) return false;
      if (byte < 127) ascii++;
    }
  }
  return ascii >= 8;
}

function escapeUnprintable(json: string): string {
  return json.replaceAll(/[\u007f-\u009f\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key.toLowerCase().replaceAll(/[-_.\s]/g, ''));
}

/** What of a header list can stand before its value. */
function isHeaderName(value: unknown): boolean {
  return typeof value === 'string' && value.length < 60 && /^[\w-]+$/.test(value) && isSecretKey(value);
}

function createWalk(layer: number) {
  const above = new Set<object>();

  function text(value: unknown): string {
    return write(value) ?? 'null';
  }

  /** JSON text of a value; undefined where JSON has none. */
  function write(value: unknown): string | undefined {
    switch (typeof value) {
      case 'string':
        return JSON.stringify(clean(value, layer));
      case 'number':
        return Number.isFinite(value) ? String(value) : 'null';
      case 'boolean':
        return String(value);
      case 'bigint':
        return `"${value}"`;
      case 'object':
        return value === null ? 'null' : nested(value);
      default:
        return undefined;
    }
  }

  function nested(value: object): string | undefined {
    if (above.has(value)) return '"[circular]"';
    if (above.size >= MAX_DEPTH) return '"[too deep]"';
    above.add(value);
    try {
      return container(value);
    } catch {
      return '"[unreadable]"';
    } finally {
      above.delete(value);
    }
  }

  function container(value: object): string | undefined {
    if (ArrayBuffer.isView(value)) return write(bytesText(Buffer.from(value.buffer, value.byteOffset, value.byteLength)));
    if (Array.isArray(value)) return list(value);
    if (value instanceof Map) return list([...value]);
    if (value instanceof Set) return list([...value]);
    if (value instanceof Error) {
      const { name, message, cause, code } = value as Error & { code?: unknown };
      return fields([
        ['name', name],
        ['message', message],
        ['code', code],
        ['cause', cause],
      ]);
    }
    if ('toJSON' in value && typeof value.toJSON === 'function') return write(value.toJSON());
    const { type, data } = value as { type?: unknown; data?: unknown };
    if (type === 'Buffer' && Array.isArray(data)) return write(bytesText(Buffer.from(data)));
    const keys = Object.keys(value);
    // `{name: 'authorization', value: '…'}`, as logs and HAR files list headers.
    const named = ['name', 'key', 'header', 'field'].some(
      (key) => Object.hasOwn(value, key) && isHeaderName((value as Record<string, unknown>)[key]),
    );
    return fields(keys.map((key) => [key, named && key === 'value' ? MARK : read(value, key)]));
  }

  function read(value: object, key: string): unknown {
    try {
      return (value as Record<string, unknown>)[key];
    } catch {
      return '[unreadable]';
    }
  }

  function fields(pairs: [string, unknown][]): string {
    let out = '';
    for (const [key, value] of pairs) {
      const hidden = isSecretKey(key) && value !== null && value !== '' && typeof value !== 'boolean' && value !== undefined;
      const json = hidden ? `"${MARK}"` : write(value);
      if (json !== undefined) out += `${out === '' ? '' : ','}${JSON.stringify(clean(key, layer))}:${json}`;
    }
    return `{${out}}`;
  }

  function list(values: unknown[]): string {
    let out = '';
    for (let i = 0; i < values.length; i++) {
      // A flat or paired list of headers: the secret stands behind its name.
      const hidden = i > 0 && typeof values[i] === 'string' && i % 2 === 1 && isHeaderName(values[i - 1]);
      out += `${i === 0 ? '' : ','}${hidden ? `"${MARK}"` : (write(values[i]) ?? 'null')}`;
    }
    return `[${out}]`;
  }

  return { text };
}

function bytesText(bytes: Buffer): string {
  const text = bytes.toString();
  return text.includes('\uFFFD') ? bytes.toString('base64') : text;
}

/** A text with its secrets replaced. `layer` counts how many wrappings (JSON, base64) it has been taken out of. */
function clean(text: string, layer: number): string {
  if (text.length < 4 || layer >= MAX_LAYERS) return text;
  const container = /^\s*[[{"]/.test(text);
  if (inspect(text) !== SUSPICIOUS && !(container && text.includes('\\'))) return text;
  if (container) {
    const parsed = cleanJson(text, layer);
    if (parsed !== null) return parsed;
  }
  let out = hideJwts(text);
  for (const [shape, replacement] of SHAPES) out = out.replace(shape, replacement);
  return out.length < BASE64_MIN ? out : out.replace(/[A-Za-z0-9+/_-]{16,}={0,2}/g, (run) => cleanBase64(run, layer));
}

/** JSON text inside a string: cleaned by its keys. The text itself when it has no secret, null when it is no JSON. */
function cleanJson(text: string, layer: number): string | null {
  try {
    const parsed: unknown = JSON.parse(text);
    const cleaned = createWalk(layer + 1).text(parsed);
    return cleaned === JSON.stringify(parsed) ? text : cleaned;
  } catch {
    return null;
  }
}

/** JSON Web Tokens replaced. Every run of their letters is read once: a pattern would read on to its end from each `eyJ` in it. */
function hideJwts(text: string): string {
  let out = '';
  let kept = 0;
  for (let at = text.indexOf('eyJ'); at >= 0; ) {
    JWT_HEADER.lastIndex = at;
    if ((at > 0 && /\w/.test(text[at - 1]!)) || !JWT_HEADER.test(text)) {
      at = text.indexOf('eyJ', at + 3);
      continue;
    }
    let end = JWT_HEADER.lastIndex;
    JWT_REST.lastIndex = end;
    if (JWT_REST.test(text)) {
      end = JWT_REST.lastIndex;
      out += text.slice(kept, at) + MARK;
      kept = end;
    }
    at = text.indexOf('eyJ', end);
  }
  return out + text.slice(kept);
}

const JWT_HEADER = /[\w-]{8,}/y;
const JWT_REST = /\.[\w-]{2,}(?:\.[\w-]*)?/y;

function cleanBase64(run: string, layer: number): string {
  // Bounded, because each try may read the whole run, and each try of a run in a run again.
  let tries = layer === 0 ? 8 : 2;
  for (let at = 0; run.length - at >= BASE64_MIN && tries > 0; at++) {
    if (at > 0 && CLASS[run.charCodeAt(at - 1)] !== SEPARATOR) continue;
    if (!startsAsText(run, at)) continue;
    tries--;
    const decoded = Buffer.from(run.slice(at), 'base64').toString();
    if (clean(decoded, layer + 1) !== decoded) return run.slice(0, at) + MARK;
  }
  return run;
}
