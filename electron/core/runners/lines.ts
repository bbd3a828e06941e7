/** Streamed answers taken apart: server-sent events (WHATWG HTML, 9.2.6) and one JSON value a line. */

/**
 * Feeds `onMessage` with the data of each event, or with each non-empty line. Input comes in pieces cut anywhere.
 * `end` hands over what a stream that broke off without a line end still held.
 */
export function createMessages(kind: 'events' | 'lines', onMessage: (data: string) => void): { push(text: string): void; end(): void } {
  let rest = '';
  let data: string[] = [];

  function line(text: string): void {
    if (kind === 'lines') {
      if (text.trim() !== '') onMessage(text);
      return;
    }
    if (text === '') {
      if (data.length > 0) onMessage(data.join('\n'));
      data = [];
    } else if (text.startsWith('data:')) data.push(text.slice(text.startsWith('data: ') ? 6 : 5));
    else if (text === 'data') data.push('');
  }

  return {
    push(text) {
      const parts = text.split('\n');
      if (parts.length === 1) {
        rest += text;
        return;
      }
      parts[0] = rest + parts[0];
      rest = parts.pop()!;
      for (const part of parts) line(part.endsWith('\r') ? part.slice(0, -1) : part);
    },
    end() {
      if (rest !== '') line(rest);
      rest = '';
      if (kind === 'events') line('');
    },
  };
}
