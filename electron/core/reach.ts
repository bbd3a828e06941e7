/** How far a connection may go, and what an address or a URL says of that by its text alone. Opens nothing, looks nothing up. */
import { BlockList, isIP } from 'node:net';
import { refuse, type WireError } from '../../shared/errors.ts';
import type { Egress as EgressClass } from '../../shared/model.ts';

/** How far a connection may go: the class a route declares, or `public`. */
export type Reach = EgressClass | 'public';

// --- addresses ------------------------------------------------------------------------------------------------------

/** `never` may not be connected to in any class. */
export type AddressKind = 'loopback' | 'private' | 'public' | 'never';

function blockList(subnets: string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [net, bits] = subnet.split('/') as [string, string];
    list.addSubnet(net, Number(bits), net.includes(':') ? 'ipv6' : 'ipv4');
  }
  return list;
}

const loopback = blockList(['127.0.0.0/8', '::1/128']);
const privateNetworks = blockList(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7']);
// Unspecified, link-local (metadata services live there), multicast, reserved, broadcast; then the metadata services that hide in
// private ranges (Alibaba; AWS over IPv6; GCP over IPv6); then IPv6 forms that tunnel an IPv4 address past this list.
const never = blockList([
  ...['0.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ...['::/128', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
  ...['100.100.100.200/32', 'fd00:ec2::/32', 'fd20:ce::254/128'],
  ...['64:ff9b:1::/48'],
]);

/** What kind of address a literal is; `never` for text that is no address. IPv4 inside IPv6 (mapped, NAT64, 6to4) is judged as IPv4. */
export function addressKind(address: string): AddressKind {
  const bare = address.includes('%') ? address.slice(0, address.indexOf('%')) : address;
  const version = isIP(bare);
  if (version === 0) return 'never';
  if (version === 4) return listed(bare, 'ipv4');
  const groups = expand(bare);
  const tail = `${groups[6]! >> 8}.${groups[6]! & 255}.${groups[7]! >> 8}.${groups[7]! & 255}`;
  const zeros = groups.slice(0, 5).every((group) => group === 0);
  if (zeros && groups[5] === 0xffff) return listed(tail, 'ipv4');
  if (zeros && groups[5] === 0 && groups[6] !== 0) return 'never'; // ::a.b.c.d, withdrawn by RFC 4291
  if (groups[0] === 0x64 && groups[1] === 0xff9b && groups.slice(2, 6).every((group) => group === 0)) {
    return listed(tail, 'ipv4') === 'public' ? 'public' : 'never';
  }
  if (groups[0] === 0x2002) {
    const inner = `${groups[1]! >> 8}.${groups[1]! & 255}.${groups[2]! >> 8}.${groups[2]! & 255}`;
    return listed(inner, 'ipv4') === 'public' ? 'public' : 'never';
  }
  return listed(bare, 'ipv6');
}

function listed(address: string, family: 'ipv4' | 'ipv6'): AddressKind {
  if (never.check(address, family)) return 'never';
  if (loopback.check(address, family)) return 'loopback';
  return privateNetworks.check(address, family) ? 'private' : 'public';
}

/** The eight groups of a valid IPv6 address. */
function expand(address: string): number[] {
  let text = address;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted !== null) {
    const [a, b, c, d] = dotted.slice(2).map(Number) as [number, number, number, number];
    text = `${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = '', rest] = text.split('::') as [string, string | undefined];
  const left = head === '' ? [] : head.split(':');
  const right = rest === undefined || rest === '' ? [] : rest.split(':');
  const gap = rest === undefined ? [] : new Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...gap, ...right].map((group) => Number.parseInt(group, 16));
}

/** Whether a class may reach an address of this kind. */
export function reaches(egress: Reach, kind: AddressKind): boolean {
  if (kind === 'never') return false;
  if (egress === 'public') return kind === 'public';
  if (egress === 'local') return kind === 'loopback';
  return egress === 'remote' || kind !== 'public';
}

/** What sovereign refuses. */
export const leaves = (egress: Reach) => egress === 'remote' || egress === 'public';

const classWords: Record<EgressClass, string> = { local: 'this machine only', lan: 'the private network', remote: 'anywhere' };

export function outside(host: string, address: string, egress: Reach): WireError {
  const kind = addressKind(address);
  const shown = host === address || host === `[${address}]` ? host : `${host} (${address})`;
  if (kind === 'never') {
    return refuse('egress_refused', `${shown} is a link-local, metadata, reserved or unspecified address, which nothing may call.`, {
      hint: 'Give the address or name of the service itself.',
    });
  }
  if (egress === 'public') {
    return refuse('egress_refused', `${shown} is a ${kind} address, and only public ones may be called unless they are declared.`, {
      hint: 'Declare the host in the registry: under tools.fetch.hosts for fetch, under callbacks.hosts for callback URLs.',
    });
  }
  return refuse('egress_refused', `${shown} is a ${kind} address, but the route is declared ${egress}: ${classWords[egress]}.`, {
    hint:
      kind === 'public'
        ? 'Declare egress: remote if this route may leave.'
        : 'Declare egress: lan if this route may use the private network.',
  });
}

// --- URLs -----------------------------------------------------------------------------------------------------------

export interface Target {
  origin: string;
  path: string;
  host: string;
  /** The address and its kind when the host is a literal, null for a name. */
  literal: { address: string; kind: AddressKind } | null;
  problem: WireError | null;
}

export function parseTarget(text: string): Target {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return broken(refuse('egress_refused', 'The endpoint is not a URL.', { hint: 'Write it like http://host:port/path.' }));
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return broken(
      refuse('egress_refused', `${url.protocol} is not a scheme that can be called.`, {
        hint: 'Only http: and https: endpoints are called.',
      }),
    );
  }
  if (url.username !== '' || url.password !== '') {
    return broken(
      refuse('egress_refused', 'The endpoint has a user name or password in it.', {
        hint: 'Use auth with an environment variable instead.',
      }),
    );
  }
  if (url.port === '0') return broken(refuse('egress_refused', 'Port 0 cannot be called.'));
  const host = url.hostname;
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  return {
    origin: url.origin,
    path: url.pathname + url.search,
    host,
    literal: isIP(bare) === 0 ? null : { address: bare, kind: addressKind(bare) },
    problem: null,
  };
}

function broken(problem: WireError): Target {
  return { origin: '', path: '', host: '', literal: null, problem };
}

/** `localhost` and everything below it is this machine without asking anybody (RFC 6761). */
export function isLocalhost(name: string): boolean {
  const bare = name.endsWith('.') ? name.slice(0, -1) : name;
  return bare === 'localhost' || bare.endsWith('.localhost');
}

/** How far a URL may go that a caller chose: as its host is declared, by name or by name and port, else to public addresses. */
export function declaredReach(url: URL, hosts: readonly { host: string; egress: EgressClass }[]): Reach {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const names = new Set([bareHost(url), url.hostname, `${url.hostname}:${port}`]);
  return hosts.find(({ host }) => names.has(host))?.egress ?? 'public';
}

/** It says by its text that it is on this machine; what a name resolves to is not looked up. */
export function namesLoopback(url: URL): boolean {
  return isLocalhost(url.hostname) || addressKind(bareHost(url)) === 'loopback';
}

const bareHost = ({ hostname }: URL) => (hostname.startsWith('[') ? hostname.slice(1, -1) : hostname);
