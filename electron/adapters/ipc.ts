/** The frame port inside Electron: one port for each window that was attached, and frames from nobody else. */
import type { IpcMain, IpcMainEvent, WebContents } from 'electron';
import type { DownFrame, UpFrame } from '../../shared/contract.ts';
import { refuse } from '../../shared/errors.ts';
import type { Core } from '../core/core.ts';
import { serve } from './serve.ts';

export interface IpcDoor extends Disposable {
  /** From now on the main frame of `contents`, and no frame inside it, may open a port. */
  attach(contents: WebContents): void;
}

interface Line {
  contents: WebContents;
  /** null until the preload script opens the port, again at each load of the page. */
  port: { receive(frame: UpFrame): void; close(): void } | null;
}

/** `origin` is where the renderer is served from, such as `app://dispatcher`; a frame of any other is refused and goes on record. */
export function createIpcDoor(core: Core, { ipcMain, origin }: { ipcMain: IpcMain; origin: string }): IpcDoor {
  const lines = new Map<number, Line>();

  const trusted = (event: IpcMainEvent): Line | null => {
    const line = lines.get(event.sender.id);
    const frame = event.senderFrame;
    const main = line?.contents.mainFrame;
    const reason =
      !line || line.contents !== event.sender
        ? 'not a window of Dispatcher'
        : !frame || frame.detached
          ? 'the frame is gone'
          : frame.parent !== null || !main || frame.processId !== main.processId || frame.routingId !== main.routingId
            ? 'not the main frame'
            : frame.origin !== origin
              ? 'not the page of Dispatcher'
              : null;
    if (reason === null) return line!;
    core.reject({
      door: 'app',
      error: refuse('origin_refused', 'A frame came from somewhere else than the window of Dispatcher.', { hint: 'Nothing was done.' }),
      detail: { reason, origin: frame?.origin ?? null },
    });
    return null;
  };

  const open = (event: IpcMainEvent) => {
    const line = trusted(event);
    if (!line) return;
    line.port?.close();
    line.port = openPort(core, line.contents);
  };
  const receive = (event: IpcMainEvent, frame: UpFrame) => trusted(event)?.port?.receive(frame);
  ipcMain.on('dispatcher:open', open);
  ipcMain.on('dispatcher:frame', receive);

  return {
    attach(contents) {
      const { id } = contents;
      const line: Line = { contents, port: null };
      lines.set(id, line);
      contents.on('render-process-gone', () => {
        line.port?.close();
        line.port = null;
      });
      contents.on('destroyed', () => {
        line.port?.close();
        lines.delete(id);
      });
    },
    [Symbol.dispose]() {
      ipcMain.off('dispatcher:open', open);
      ipcMain.off('dispatcher:frame', receive);
      for (const { contents, port } of lines.values()) {
        port?.close();
        if (!contents.isDestroyed()) contents.send('dispatcher:close');
      }
      lines.clear();
    },
  };
}

function openPort(core: Core, contents: WebContents): NonNullable<Line['port']> {
  let listener: (frame: UpFrame) => void = () => {};
  const closers: (() => void)[] = [];
  let closed = false;
  serve(
    core,
    {
      send: (frame: DownFrame) => {
        if (!closed && !contents.isDestroyed()) contents.send('dispatcher:frame', frame);
      },
      onFrame: (next) => {
        listener = next;
      },
      onClose: (closer) => closers.push(closer),
      close: () => {},
    },
    { principal: core.owner.principal, door: 'app' },
  );
  return {
    receive: (frame) => listener(frame),
    close() {
      if (closed) return;
      closed = true;
      for (const closer of closers) closer();
    },
  };
}
