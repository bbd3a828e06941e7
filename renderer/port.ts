/** The two ports a window can have: the preload's inside Electron, a loopback WebSocket in a browser. Nothing above can tell which. */
import type { DownFrame, UpFrame } from '../shared/contract.ts';
import { Refusal, refuse } from '../shared/errors.ts';
import type { Port } from '../shared/port.ts';

declare global {
  interface Window {
    dispatcher?: { port: Pick<Port<UpFrame, DownFrame>, 'send' | 'onFrame' | 'onClose'> };
  }
}

let preloadUsed = false;

/** An open port to the core of this window. Rejects with `core_unreachable`, or `unauthenticated` when the browser has no session. */
export async function openPort(): Promise<Port<UpFrame, DownFrame>> {
  const preload = window.dispatcher?.port;
  if (!preload) return await openSocket();
  // The preload script opens its port once a page load, so a new port is a new load.
  if (preloadUsed) {
    location.reload();
    return await new Promise<never>(() => {});
  }
  preloadUsed = true;
  const closers: (() => void)[] = [];
  // It keeps one listener each.
  preload.onClose(() => {
    for (const closer of closers) closer();
  });
  return {
    send: (frame) => preload.send(frame),
    onFrame: (listener) => preload.onFrame(listener),
    onClose: (closer) => closers.push(closer),
    close: () => {},
  };
}

function openSocket(): Promise<Port<UpFrame, DownFrame>> {
  const url = new URL('/ws', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(url);
  const waiting: DownFrame[] = [];
  const closers: (() => void)[] = [];
  let listener: ((frame: DownFrame) => void) | null = null;

  socket.onmessage = (message) => {
    const frame = JSON.parse(String(message.data)) as DownFrame;
    if (listener) listener(frame);
    else waiting.push(frame);
  };

  const { promise, resolve, reject } = Promise.withResolvers<Port<UpFrame, DownFrame>>();
  let opened = false;
  socket.onopen = () => {
    opened = true;
    resolve({
      send: (frame) => socket.send(JSON.stringify(frame)),
      onFrame: (next) => {
        listener = next;
        for (const frame of waiting.splice(0)) next(frame);
      },
      onClose: (closer) => closers.push(closer),
      close: () => socket.close(),
    });
  };
  socket.onclose = () => {
    // A browser does not tell why an upgrade was refused; the plain door does.
    if (!opened) void whyRefused().then(reject);
    for (const closer of closers) closer();
  };
  return promise;
}

async function whyRefused(): Promise<Refusal> {
  const answer = await fetch('/status', { headers: { accept: 'application/json' } }).catch(() => null);
  if (answer?.status === 401)
    return new Refusal(
      refuse('unauthenticated', 'This browser window has no session with the core.', {
        hint: 'Open it again with “npm start” or the link that “dispatcher serve” prints; each link works once.',
      }),
    );
  return new Refusal(
    refuse('core_unreachable', 'No core answers.', { hint: 'Start it with “npm start”; this window reconnects by itself.' }),
  );
}
