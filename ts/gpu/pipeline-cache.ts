// Keeps a device's compiled pipelines on disk: one file a device, driver and build of the shaders.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../root.js';
import { CacheFile, sha256, userCacheDir } from './cache-dir.js';
import type { DeviceHandle, Native, NativeDeviceInfo } from './native.js';

let shaders: string | undefined;

/** What `npm run build` made of the shaders: after a change of any the old pipelines are worthless. Its own list of them has a hash of each. */
function shadersHash(): string {
  return (shaders ??= sha256(manifest()).toString('hex'));
}

function manifest(): Uint8Array {
  try {
    return readFileSync(join(packageRoot, 'dist', 'glsl', '.manifest.json'));
  } catch {
    return new Uint8Array(0); // not built: kernels come from elsewhere
  }
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
