# Tidings needs no build: Node runs its TypeScript as it is.
FROM node:24.21.0-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# None of the packages that are needed to run has to be compiled: better-sqlite3 brings its binaries along.
RUN npm ci --omit=dev --ignore-scripts

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
# The default of DATABASE_URL is file:data/tidings.db. It is not set here: then DATABASE_URL_FILE can be.
RUN mkdir /data && chown node:node /data && ln -s /data data
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY migrations migrations
COPY src src
USER node
VOLUME /data
EXPOSE 8080
# Whether the process lives. Whether it can take work is what a load balancer asks, at /readyz: a container is not to be replaced since its database is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# All cores that the container may use: docker run --env WORKERS=auto, with memory for each of them (docs/capacity.md).
# No shell between: SIGTERM arrives, and starts the drain. Give it longer than DRAIN_SECONDS (docker stop --time 40).
CMD ["node", "src/serve.js"]
