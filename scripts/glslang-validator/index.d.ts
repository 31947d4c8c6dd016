// Types of the workspace package `glslang-validator`: finding and running the GLSL compiler.

export interface CompileOptions {
  /** GLSL file; the stage comes from its ending (`.comp`). */
  source: string;
  /** SPIR-V file, written whole or not at all. Its folder must exist. */
  output: string;
  /** `NAME` or `NAME=VALUE`, or full `-DNAME=VALUE`. */
  defines?: string[];
  /** Folders that `#include` searches. */
  includes?: string[];
  /** `vulkan1.1` (default), `vulkan1.3`, … */
  targetEnv?: string;
}

/** The compiler has errors; `log` holds its lines. */
export class CompileError extends Error {
  readonly source: string;
  readonly log: string;
}

/** No compiler passes the probe. The message says what was tried and what to install. */
export class NoCompilerError extends Error {}

/**
 * A glslangValidator that compiles GL_KHR_cooperative_matrix, tried in this order: $VKPN_GLSLANG, the PATH's, the npm
 * package glslang-validator-prebuilt-predownloaded, `.deps/bin` as scripts/bootstrap.sh fills it. Remembered for the process.
 * @throws NoCompilerError
 */
export function compilerPath(): Promise<string>;

/** First line of `--version`: part of the key of anything that caches what the compiler made. @throws NoCompilerError */
export function compilerVersion(): Promise<string>;

/** Compiles one shader to SPIR-V. @returns the compiler's warnings, '' where there are none. @throws CompileError, NoCompilerError */
export function compile(options: CompileOptions): Promise<string>;
