import './theme.css';
import { QueryClientProvider } from '@tanstack/react-query';
import { Tooltip } from 'radix-ui';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { createFront, FrontContext } from './core.ts';
import { Frame } from './frame.tsx';
import { openPort } from './port.ts';
import { startUi } from './ui.ts';

/** `?standin` puts an imitation of the core behind the window; a production build has none. */
const standin = import.meta.env.MODE !== 'production' && new URLSearchParams(location.search).has('standin');
const connect = standin
  ? () => import('./dev/standin.ts').then(({ openStandin }) => openStandin(new URLSearchParams(location.search)))
  : openPort;

startUi();
const front = createFront({
  connect,
  nextFrame: (work) => {
    // A hidden window draws nothing, and needs nothing that often.
    if (document.hidden) setTimeout(work, 250);
    else requestAnimationFrame(work);
  },
});
createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={front.queries}>
      <FrontContext value={front}>
        <Tooltip.Provider>
          <Frame />
        </Tooltip.Provider>
      </FrontContext>
    </QueryClientProvider>
  </StrictMode>,
);
