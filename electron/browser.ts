/** The system's browser, where there is one that somebody can see. */
import { release } from 'node:os';

/**
 * Opens `url` and gives the line to print. The line holds the URL in any case: that a browser was asked does not mean that it came.
 * Without a desktop (no display, a remote shell, CI, DISPATCHER_BROWSER=none) nothing is started.
 */
export async function openInBrowser(url: string, env: NodeJS.ProcessEnv): Promise<string> {
  const byHand = `Open ${url} in a browser of this machine; the link works once, for five minutes.`;
  if (!hasDesktop(env)) return byHand;
  try {
    const { default: open } = await import('open');
    const child = await open(url);
    const failed = await new Promise<boolean>((done) => {
      child.once('error', () => done(true));
      child.once('exit', (code) => done(code !== 0 && code !== null));
      setTimeout(() => done(false), 1500).unref();
    });
    return failed ? byHand : `The command center opens in your browser. If it does not: ${url}`;
  } catch {
    return byHand;
  }
}

/** Whether a window could be seen here. */
export function hasDesktop(env: NodeJS.ProcessEnv): boolean {
  if (env.DISPATCHER_BROWSER === 'none' || env.CI || env.SSH_CONNECTION) return false;
  if (process.platform !== 'linux') return true;
  return Boolean(env.DISPLAY || env.WAYLAND_DISPLAY || release().toLowerCase().includes('microsoft'));
}
