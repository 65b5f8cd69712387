#!/usr/bin/env node
// @ts-check
import './requirements.js';

/** The entry point of `npx tidings`: JavaScript, so that an older Node reads it far enough to say what is missing. */
await import('./cli/tidings.ts');
