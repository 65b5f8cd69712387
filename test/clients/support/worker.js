// A service worker that passes requests on, as many do; those of streams only where their URL does not say `direct`.
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('fetch', (event) => {
  if (new URL(event.request.url).searchParams.has('direct')) return;
  event.respondWith(fetch(event.request));
});
