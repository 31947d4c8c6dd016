// Keeps a device's compiled pipelines on disk: one file a device, driver and build of the shaders.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../root.js';
import { CacheFile, sha256, userCacheDir } from './cache-dir.js';
import type { DeviceHandle, Native, NativeDeviceInfo } from './native.js';

let shaders: string | undefined;

/** Hash of every shader that `npm run build` made: after a change of any the old pipelines are worthless. */
function shadersHash(): string {
  if (shaders !== undefined) return shaders;
  const dir = join(packageRoot, 'dist', 'glsl');
  let names: string[] = [];
  try {
    names = (readdirSync(dir, { recursive: true }) as string[]).filter((name) => name.endsWith('.spv')).sort();
  } catch {
    // not built: kernels come from elsewhere
  }
  shaders = sha256(...names.flatMap((name) => [name, readFileSync(join(dir, name))])).toString('hex');
  return shaders;
}

export class PipelineCache {
  private readonly file: CacheFile | undefined;
  private saved = '';
  private fresh = false;

  /** Loads what an earlier process stored. @param cacheDir as DeviceOptions.cacheDir */
  constructor(
    private readonly native: Native,
    private readonly device: DeviceHandle,
    info: NativeDeviceInfo,
    cacheDir: string | null | undefined,
  ) {
    const dir = cacheDir === undefined ? userCacheDir() : cacheDir;
    if (dir === null || dir === undefined) return;
    const { vendorId, deviceId, deviceUuid, driverUuid, driverVersion, driverInfo, apiVersion } = info;
    const key = JSON.stringify([vendorId, deviceId, deviceUuid, driverUuid, driverVersion, driverInfo, apiVersion, shadersHash()]);
    this.file = new CacheFile(dir, 'pipelines', key);
    this.load();
  }

  /** A pipeline was made: the next save has something to do. */
  changed(): void {
    this.fresh = true;
  }

  /** Writes the pipelines made since, together with what other processes wrote meanwhile. */
  save(): void {
    if (this.file === undefined || !this.fresh) return;
    this.fresh = false;
    this.load();
    const data = this.native.pipelineCacheData(this.device);
    const hash = sha256(data).toString('hex');
    if (hash !== this.saved) this.file.write(data);
    this.saved = hash;
  }

  private load(): void {
    const data = this.file?.read();
    if (data === undefined) return;
    const hash = sha256(data).toString('hex');
    if (hash === this.saved) return;
    this.native.mergePipelineCache(this.device, data);
    this.saved = hash;
  }
}
