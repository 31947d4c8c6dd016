// How the tests run: TypeScript through swc to CommonJS (type checking is tsc's, see tsconfig.test.json), the addon and the
// shaders as `npm run build` left them. scripts/test.mjs runs jest twice, see docs/testing.md.
import { availableParallelism } from 'node:os';

/** @type {import('jest').Config} */
export default {
  rootDir: import.meta.dirname,
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } }],
  },
  // Sources import with the ending that tsc's output has.
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  // A driver compiles shaders on first use, and the CPU driver is slow at both.
  testTimeout: 60_000,
  maxWorkers: Math.min(2, availableParallelism()),
  // What a test file leaks (devices, buffers) ends with its worker.
  workerIdleMemoryLimit: '2GB',
};
