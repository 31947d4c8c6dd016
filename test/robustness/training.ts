// A small training in a folder of its own, for the tests of checkpoints and faults: within this process, and as the real command.
import { spawn, spawnSync, type ChildProcess, type SpawnSyncReturns } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { CheckpointOptions } from '../../ts/checkpoint/checkpoints.js';
import { decodeCheckpoint } from '../../ts/checkpoint/format.js';
import { trainingLines } from '../../ts/cli/train-graph.js';
import { decodeLut } from '../../ts/formats/lut.js';
import { encodePfm } from '../../ts/formats/pfm.js';
import { loadSpirv, type Device } from '../../ts/gpu/index.js';
import { runGraph, type RunOptions, type RunSummary } from '../../ts/graph/run.js';
import { modules } from '../../ts/modules/index.js';
import { packageRoot } from '../../ts/root.js';

export const FRAMES = 60;
/** Among a command's arguments: sinks are written after each frame. */
export const EACH_FRAME = '';

/** Smooth, different for each n. */
export const picture = (n: number, size = 24): Uint8Array => encodePfm(size, size, Float32Array.from({ length: 4 * size * size }, (_, i) => 0.5 + 0.4 * Math.sin((i + 50 * n) / 7)), 4);

/** Four pictures, each for ten frames, in turn; tiles of 12 x 12; everything that makes a run depend on where it is. */
export const graphText = (dir: string): string => `frames:${FRAMES}
${trainingLines('i-pfm:ref').join('\n')}
param:i-pfm:ref:filename:${dir}/p%d.pfm
param:i-pfm:ref:hold:10
param:cnngenin:01:generate:2
param:cnngenin:01:noise:log
param:cnngenin:01:size:12
param:kpn-t:01:levels:2
param:kpn-t:01:init:1
param:kpn-t:01:decay:cosine
param:kpn-t:01:warmup:8
keyframe:0:kpn-t:01:L2:0:0:0
keyframe:50:kpn-t:01:L2:0:0:0.01
param:o-lut:w:filename:${dir}/w
`;

export class Training {
  readonly dir = mkdtempSync(join(tmpdir(), 'vkpn-training-'));
  readonly checkpoints = join(this.dir, 'w.checkpoints');
  readonly graph = join(this.dir, 'train.cfg');
  readonly warnings: string[] = [];

  constructor() {
    writeFileSync(this.graph, graphText(this.dir));
    for (let n = 0; n < 4; n++) writeFileSync(join(this.dir, `p${n}.pfm`), picture(n));
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Runs within this process; `stopAt`: as Ctrl-C does once so many frames are done. */
  async run(device: Device, checkpoint: CheckpointOptions, { stopAt = Infinity, onSlice, ...more }: Partial<RunOptions> & { stopAt?: number; onSlice?: (done: number) => void } = {}): Promise<RunSummary> {
    const stop = new AbortController();
    return runGraph({
      file: this.graph, text: graphText(this.dir), registry: modules, device: () => device, loadSpirv, lastFrameOnly: true, signal: stop.signal, checkpoint, maxSlice: 5,
      onWarning: (m) => this.warnings.push(m),
      onSlice: (done) => {
        onSlice?.(done);
        if (done >= stopAt) stop.abort();
      },
      ...more,
    });
  }

  private args(args: readonly string[]): string[] {
    return [join(packageRoot, 'bin', 'vkpn'), 'cli', '-g', this.graph, ...(args.includes(EACH_FRAME) ? [] : ['--last-frame-only']), '-d', 'cli,pipe', ...args.filter((a) => a !== EACH_FRAME)];
  }

  /** The real command, to its end. `limit`: no file may become larger than so many KiB. */
  vkpn(args: readonly string[], env: NodeJS.ProcessEnv = {}, limit?: number): SpawnSyncReturns<string> {
    const options = { encoding: 'utf8', env: { ...process.env, ...env }, timeout: 100_000 } as const;
    if (limit === undefined) return spawnSync(process.execPath, this.args(args), options);
    return spawnSync('bash', ['-c', `trap '' XFSZ; ulimit -f ${limit}; exec "$0" "$@"`, process.execPath, ...this.args(args)], options);
  }

  /** The real command, until `text` stands on its stderr. */
  start(args: readonly string[], text: RegExp, env: NodeJS.ProcessEnv = {}): Promise<{ child: ChildProcess; err: () => string; ended: Promise<number | null> }> {
    const child = spawn(process.execPath, this.args(args), { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
    let err = '';
    const ended = new Promise<number | null>((done) => child.on('close', done));
    return new Promise((ready, failed) => {
      child.stderr.on('data', (data: Buffer) => {
        err += data.toString();
        if (text.test(err)) ready({ child, ended, err: () => err });
      });
      child.on('exit', () => failed(new Error(`it ended: ${err}`)));
    });
  }

  /** The weights file; every checkpoint's frame, by name. Fails where any file in the folder is not whole, or one is there that should not be. */
  look(): { w: Buffer | undefined; frames: Record<string, number> } {
    const found: ReturnType<Training['look']> = { w: undefined, frames: {} };
    for (const name of readdirSync(this.dir, { recursive: true, encoding: 'utf8' })) {
      const path = join(this.dir, name);
      if (name.endsWith('.ckpt')) found.frames[basename(name)] = decodeCheckpoint(readFileSync(path), path).frame;
      else if (name === 'w.lut') {
        found.w = readFileSync(path);
        decodeLut(found.w, path);
      } else expect(name).toMatch(/^(p\d\.pfm|train\.cfg|w\.checkpoints|w\.checkpoints.previous)$/);
    }
    return found;
  }
}
