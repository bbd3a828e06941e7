// One frame port, and nothing else, ever: the renderer gets what a browser gets over its WebSocket.
const { contextBridge, ipcRenderer } = require('electron');

const only = (channel, listener) => {
  ipcRenderer.removeAllListeners(channel);
  ipcRenderer.on(channel, (_event, frame) => listener(frame));
};
ipcRenderer.send('dispatcher:open');
contextBridge.exposeInMainWorld('dispatcher', {
  port: {
    send: (frame) => ipcRenderer.send('dispatcher:frame', frame),
    onFrame: (listener) => only('dispatcher:frame', listener),
    onClose: (listener) => only('dispatcher:close', listener),
  },
});
