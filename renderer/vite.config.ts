import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const here = (path: string) => decodeURIComponent(new URL(path, import.meta.url).pathname);

// biome-ignore lint/style/noDefaultExport: vite reads the default export.
export default defineConfig({
  root: here('.'),
  base: './',
  plugins: [react(), tailwindcss()],
  resolve: {
    alias: {
      // It writes <style> elements, which style-src 'self' forbids; here the page itself never scrolls, so there is nothing to lock.
      'react-remove-scroll': here('./parts/noScrollLock.tsx'),
    },
  },
  server: { host: '127.0.0.1', port: 5173, hmr: { overlay: false }, fs: { allow: [here('..')] } },
  build: {
    outDir: here('../dist/renderer'),
    emptyOutDir: true,
    target: 'chrome130',
    cssTarget: 'chrome130',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
});
