// What selftest.ts starts as a child process: one trial, its verdict on stdout.
import { child, type Trial } from './selftest.js';

await child(JSON.parse(process.argv[2] ?? '') as Trial);
