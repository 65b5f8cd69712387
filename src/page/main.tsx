import { render } from 'preact';
import { App } from './app.tsx';

/**
 * The page that the service serves at `/`. It uses only the public API and the client library, and imports nothing of the service. All text from the service may be written by strangers, and is
 * rendered as text. `built/` has the page as JavaScript: `npm run build`, after each change.
 *
 * Read app.tsx (navigation and sign-in), route.ts (a view's address is after `#`), api.ts (requests), load.ts (polling), then a file of views/. The stream is in feed/.
 */
render(<App />, document.getElementById('page')!);
