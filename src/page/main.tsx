import { render } from 'preact';
import { App } from './app.tsx';

/**
 * The page: what somebody sees who opens the address of the service in a browser. It uses the public API and the client library, as any other page could, and imports nothing of the service.
 * Every view lives behind `#`. What comes in is strangers' text, and is shown as text. `built/` has it as JavaScript: `npm run build`, after each change.
 */
render(<App />, document.getElementById('page')!);
