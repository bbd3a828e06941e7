/** What may stand as an endpoint or health URL in the registry. Nothing is looked up: a name that does not exist is no fault. */
import type { Egress } from '../../../shared/model.ts';

export interface EndpointProblem {
  severity: 'error' | 'warning';
  message: string;
  hint: string;
}

/** Ports browsers and `fetch` refuse (WHATWG Fetch, "bad port"), because other protocols can be spoken to through them. */
const badPorts = new Set([
  0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117,
  119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636,
  989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

// Names whose every label starts with a letter cannot be another spelling of an address, so most URLs need no closer look.
const plainUrl = /^https?:\/\/([a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)*)(?::([1-9]\d{0,4}))?(?:\/[\w./~-]*)?$/;

/** 4, 6, or 0 for a name; `host` is as `URL` writes it, without brackets. */
const isIP = (host: string) => (host.includes(':') ? 6 : /^\d+(?:\.\d+){3}$/.test(host) ? 4 : 0);

/** The fault of `text` as an address called with `egress` (null: not declared), or null. */
export function checkEndpoint(text: string, egress: Egress | null): EndpointProblem | null {
  const plain = plainUrl.exec(text);
  if (plain && text.length <= 2048) {
    const port = Number(plain[2] ?? 80);
    if (port <= 65_535 && !badPorts.has(port)) return checkEgress(plain[1] ?? '', egress);
  }
  const error = (message: string, hint: string): EndpointProblem => ({ severity: 'error', message, hint });
  const example = 'Write an address such as http://lucidia:8091/v1/salesforce.';
  if (text.length > 2048) return error('This address is longer than 2,048 characters.', example);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
  if (/[\s\\\u0000-\u0020\u007f]/.test(text)) return error('An address has no spaces, control characters or backslashes.', example);
  const scheme = /^([A-Za-z][A-Za-z\d+.-]*):/.exec(text)?.[1]?.toLowerCase();
  if (scheme !== 'http' && scheme !== 'https') {
    if (scheme && !/^[A-Za-z][\w.-]*:\d/.test(text))
      return error(`Addresses that start with "${scheme}:" are not called.`, 'Write http:// or https://.');
    return error('An address starts with http:// or https://.', `Write http://${text.slice(0, 60)}.`);
  }
  const authority = /^https?:\/\/([^/?#]+)/i.exec(text)?.[1];
  if (!authority) return error('There is no host in this address.', example);
  if (authority.includes('@')) {
    return error(
      'An address may not hold a user name or password.',
      'Name an environment variable instead: auth: {kind: bearer, env: NAME}.',
    );
  }
  if (!URL.canParse(text)) return error('This is not an address that can be called.', example);
  const url = new URL(text);
  const written = authority.replace(/:\d*$/, '');
  const host = url.hostname;
  const port = /:(\d*)$/.exec(authority.replace(/^\[[^\]]*\]/, ''))?.[1];
  if (port !== undefined && (port === '' || Number(port) > 65_535)) return error('The port is missing after the colon.', example);
  if (port !== undefined && badPorts.has(Number(port))) {
    return error(
      `Port ${Number(port)} is not called: it belongs to another protocol.`,
      'Let the service listen on another port, such as 8091.',
    );
  }
  if (text.includes('#')) return error('The part after # is never sent.', 'Remove it.');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII
  if (/[^\u0000-\u007f]|%/.test(written))
    return error('The host has characters other than letters, digits, dots and hyphens.', `Write ${host}.`);
  const bare = host.replace(/^\[|\]$/g, '');
  if (isIP(bare) === 4 && written !== host) {
    return error(`The host ${written} is another spelling of the address ${host}.`, `Write ${host} if that is what is meant.`);
  }
  if (isIP(bare) === 4) {
    const first = Number(bare.split('.')[0]);
    if (first === 0) return error(`${bare} is an address to listen on, not one to call.`, 'Write 127.0.0.1.');
    if (first >= 224) return error(`${bare} is not the address of one machine.`, 'Write the address of the machine that runs the service.');
  }
  if (isIP(bare) === 6) {
    if (bare === '::') return error('[::] is an address to listen on, not one to call.', 'Write [::1].');
    if (/^::(?:ffff:)?[\da-f]{1,4}:[\da-f]{1,4}$|^64:ff9b:/.test(bare)) {
      return error(`${host} wraps an IPv4 address.`, 'Write the IPv4 address itself, such as 127.0.0.1.');
    }
    if (bare.startsWith('ff'))
      return error(`${host} is not the address of one machine.`, 'Write the address of the machine that runs the service.');
  }
  if (isIP(bare) === 0 && !/^(?:[a-z\d_](?:[a-z\d_-]{0,62})\.?)+$/.test(host))
    return error(`${host.slice(0, 80)} is not a host name.`, example);
  return checkEgress(bare, egress);
}

/** Declared and literal do not fit. A bare name may mean anything, so only what is certain is a fault. */
function checkEgress(host: string, egress: Egress | null): EndpointProblem | null {
  if (egress !== 'local' && egress !== 'lan') return null;
  const reach = reachOf(host);
  if (reach === null || reach === 'local' || reach === egress) return null;
  if (isIP(host) !== 0) {
    return {
      severity: 'error',
      message: `${host} is ${reach === 'lan' ? 'another machine in the local network' : 'outside the local network'}, but egress says ${egress}.`,
      hint: `Write egress: ${reach}.`,
    };
  }
  return {
    severity: 'warning',
    message: `${host} looks like a public name, but egress says ${egress}.`,
    hint: 'Write egress: remote if it is outside the local network; in sovereign mode a public address is refused in any case.',
  };
}

/** What a host is for certain, or very likely; null for a bare name. */
function reachOf(host: string): Egress | null {
  if (host === 'localhost' || host.endsWith('.localhost')) return 'local';
  if (isIP(host) === 4) {
    const [a = 0, b = 0] = host.split('.').map(Number);
    if (a === 127) return 'local';
    return a === 10 ||
      (a === 172 && b >= 16 && b <= 31) ||
      (a === 192 && b === 168) ||
      (a === 169 && b === 254) ||
      (a === 100 && b >= 64 && b <= 127)
      ? 'lan'
      : 'remote';
  }
  if (isIP(host) === 6) {
    if (host === '::1') return 'local';
    return /^f[cd]|^fe[89ab]/.test(host) ? 'lan' : 'remote';
  }
  if (!host.includes('.')) return null;
  return /\.(?:local|lan|home|internal|intranet|corp|private|test|home\.arpa)\.?$/.test(host) ? null : 'remote';
}
