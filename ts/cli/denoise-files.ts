// `vkpn denoise`: which files are read and which are written, checked before any work.

import { mkdir, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { InputError } from '../errors.js';
import { checkWritable, exists } from '../files.js';
import { isSequence } from '../modules/sequence.js';
import { kindOfName, listPictures, type FileKind } from '../pictures/read.js';

export const outputFormats = ['jpg', 'png16', 'tiff16', 'pfm'] as const;
export type OutputFormat = (typeof outputFormats)[number];

export const extensionOf: Record<OutputFormat, string> = { jpg: '.jpg', png16: '.png', tiff16: '.tif', pfm: '.pfm' };

/** What an input becomes unless --format says else: the like of it, a raw file 16 bits of TIFF. */
const likeOf: Record<FileKind, OutputFormat> = { jpeg: 'jpg', png: 'png16', tiff: 'tiff16', pfm: 'pfm', exr: 'pfm', raw: 'tiff16' };
const formatOfEnding: Partial<Record<FileKind, OutputFormat>> = { jpeg: 'jpg', png: 'png16', tiff: 'tiff16', pfm: 'pfm' };

/** Endings of pictures that aren't written: a folder of such a name is a mistake. */
const otherEndings = 'avif bmp gif heic heif jp2 jpe jxl pbm pgm pnm ppm psd svg tga webp'.split(' ');

export interface Job {
  /** As the user named it, for messages. */
  input: string;
  /** Absolute. */
  path: string;
  kind: FileKind;
  /** Absolute, with ending. */
  output: string;
  /** The before | after picture, where one is asked for. */
  compare?: string;
  format: OutputFormat;
}

export interface FileOptions {
  output: string;
  format?: OutputFormat;
  compare: boolean;
  force: boolean;
}

const isFolder = (path: string): Promise<boolean> => stat(path).then((s) => s.isDirectory(), () => false);

/** Both names of one file, whatever links lead there. */
async function isSame(a: string, b: string): Promise<boolean> {
  const [x, y] = await Promise.all([a, b].map((p) => stat(p).catch(() => undefined)));
  return x !== undefined && y !== undefined && x.dev === y.dev && x.ino === y.ino;
}

/**
 * Inputs (files, folders) and -o -> a job each. -o is a file where there is one input and the name has the ending of a format, else a
 * folder, which is made.
 * @throws InputError DENOISE_… before anything is written
 */
export async function planFiles(inputs: readonly string[], options: FileOptions): Promise<Job[]> {
  const files = await listPictures(inputs);
  const folder = await outputFolder(inputs, files, options);
  const jobs = files.map((input): Job => {
    const kind = kindOfName(input)!;
    const path = resolve(input);
    if (isSequence(path)) throw new InputError('DENOISE_NAME', `${input}: a name with %d is a sequence in a graph`, { hint: 'Rename it, or its folder.' });
    const ending = formatOfEnding[kindOfName(options.output) ?? 'raw'];
    const format = options.format ?? (folder === undefined ? ending : undefined) ?? likeOf[kind];
    if (folder === undefined && ending !== format) throw new InputError('DENOISE_FORMAT', `-o ${options.output} is no ${format} file, which --format asks for`, { hint: `End it in ${extensionOf[format]}.` });
    const output = folder === undefined ? resolve(options.output) : resolve(folder, basename(input, extname(input)) + extensionOf[format]);
    return { input, path, kind, output, format, ...(options.compare ? { compare: compareName(output) } : {}) };
  });
  await checkOutputs(jobs, options.force);
  return jobs;
}

const compareName = (output: string): string => `${output.slice(0, output.length - extname(output).length)}-compare${extname(output)}`;

/** The folder that -o means; undefined: a file. */
async function outputFolder(inputs: readonly string[], files: readonly string[], { output }: FileOptions): Promise<string | undefined> {
  if (isSequence(output)) throw new InputError('DENOISE_NAME', `-o ${output}: %d in a name is for the sequences of graphs`, { hint: 'The output is named after its input.' });
  const one = files.length === 1 && inputs.length === 1 && !(await isFolder(inputs[0]!));
  const ending = kindOfName(output);
  const other = otherEndings.includes(extname(output).slice(1).toLowerCase());
  if (one && (ending !== undefined || other) && !/[/\\]$/.test(output) && !(await isFolder(output))) {
    if (ending === undefined || formatOfEnding[ending] === undefined) throw new InputError('DENOISE_FORMAT', `-o ${output}: files ending in ${extname(output)} are not written`, { hint: 'Choose .jpg, .png, .tif or .pfm, or name a folder.' });
    return undefined;
  }
  if (ending !== undefined && (await exists(output)) && !(await isFolder(output))) throw new InputError('DENOISE_FOLDER', `-o ${output} is a file, but there ${files.length === 1 ? 'is a folder' : `are ${files.length} pictures`} to write`, { hint: 'Name a folder.' });
  return output;
}

async function checkOutputs(jobs: readonly Job[], force: boolean): Promise<void> {
  const taken = new Map<string, Job>();
  for (const job of jobs)
    for (const name of [job.output, job.compare].filter((n) => n !== undefined)) {
      const other = taken.get(name);
      if (other) throw new InputError('DENOISE_TWICE', `${other.input} and ${job.input} would both be written to ${name}`, { hint: 'Give them to two calls with two folders, or choose another --format.' });
      taken.set(name, job);
      for (const { input, path } of jobs) if (await isSame(name, path)) throw new InputError('DENOISE_INPUT', `${name} is an input (${input}); inputs are never overwritten`, { hint: 'Choose another -o.' });
      if (!force && (await exists(name))) throw new InputError('DENOISE_EXISTS', `${name} is there already`, { hint: '--force overwrites it.' });
    }
}

/** Makes the outputs' folder and checks that it can be written. Throws InputError OUTPUT_FOLDER. */
export async function makeFolders(jobs: readonly Job[]): Promise<void> {
  const folders = new Set(jobs.map((j) => join(j.output, '..')));
  for (const folder of folders) {
    await mkdir(folder, { recursive: true }).catch((e: unknown) => {
      throw new InputError('OUTPUT_FOLDER', `the folder ${folder} can't be made: ${e instanceof Error ? e.message : String(e)}`);
    });
    await checkWritable(jobs.find((j) => join(j.output, '..') === folder)!.output, {});
  }
}
