#!/usr/bin/env node
// @ts-check
import './requirements.js';
import { enterPackages, isInPackages } from './typescript.js';

/** The entry point of `npx tidings`: JavaScript, so that an older Node reads it far enough to name the missing version. */
if (isInPackages()) enterPackages();
const { run } = await import('./cli/tidings.ts');
await run(() => import('./serve.js'));
