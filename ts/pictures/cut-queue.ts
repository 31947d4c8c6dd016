// Cutting crops on worker threads, so many pictures at a time as memory allows: decoded photographs are large.

import { stat } from 'node:fs/promises';
import { InputError } from '../errors.js';
import { withInput } from '../files.js';
import { readPictureHeader } from '../formats/picture.js';
import { autoReduce, type Cut, type CutJob } from './crops.js';
import { inWorker } from './pool.js';
import { kindOfName } from './read.js';

/** Bytes that decoded pictures may take at once; one picture is always let through. */
const budget = 768 * 2 ** 20;
/** Bytes that hold the headers of most pictures. */
const headBytes = 1 << 20;

let used = 0;
const waiting: { bytes: number; go: () => void }[] = [];

function admit(): void {
  while (waiting[0] && (used === 0 || used + waiting[0].bytes <= budget)) {
    const { bytes, go } = waiting.shift()!;
    used += bytes;
    go();
  }
}

/** Runs `work` when so many bytes are free, in the order of the calls. */
async function withMemory<T>(bytes: number, work: () => Promise<T>): Promise<T> {
  await new Promise<void>((go) => {
    waiting.push({ bytes, go });
    admit();
  });
  try {
    return await work();
  } finally {
    used -= bytes;
    admit();
  }
}

interface Header {
  width: number;
  height: number;
  /** While it is decoded: the file, the code values twice. */
  memory: number;
}

/** Size of a picture that sharp reads, from its header; undefined for other kinds. */
async function header(path: string): Promise<Header | undefined> {
  const kind = kindOfName(path);
  if (kind !== 'jpeg' && kind !== 'png' && kind !== 'tiff') return undefined;
  return withInput(path, {}, async (file) => {
    const head = await file.read(0, headBytes);
    const whole = async (): Promise<Uint8Array> => (head.length === file.bytes ? head : file.read(0, file.bytes));
    const { width, height, bits } = await readPictureHeader(head, kind, path).catch(async () => readPictureHeader(await whole(), kind, path));
    return { width, height, memory: file.bytes + (2 * width * height * 3 * bits) / 8 };
  });
}

/** Pictures of floats: several times the size of a file that is compressed. */
const expansion = 16;

async function memoryOf(path: string): Promise<number> {
  const known = await header(path);
  return known ? known.memory : expansion * (await stat(path).then((s) => s.size, () => 0));
}

/** cutPicture on a thread. */
export async function cutOnThread(job: CutJob): Promise<Cut> {
  const memory = (await memoryOf(job.path)) + (job.clean === undefined ? 0 : await memoryOf(job.clean));
  return withMemory(memory, () => inWorker('cutPicture', [job]));
}

/** Width and height after reduction; from the header alone, where the format has them there. Throws InputError. */
export async function reducedSize(job: Omit<CutJob, 'places'>): Promise<{ width: number; height: number }> {
  const known = await header(job.path);
  if (!known) return cutOnThread({ ...job, places: [] });
  const reduce = job.reduce || (job.clean === undefined ? autoReduce(known.width, known.height) : 1);
  const size = { width: Math.floor(known.width / reduce), height: Math.floor(known.height / reduce) };
  if (size.width < 1 || size.height < 1) throw new InputError('PICTURE_TOO_SMALL', `the picture has ${known.width}x${known.height} pixels, too few to reduce it ${reduce} times`, { place: { file: job.path } });
  return size;
}
