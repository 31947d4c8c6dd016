// node scripts/gpu/instructions.mjs FILE...: how many instructions of which kind the machine code has that NVIDIA's compiler made of kernels, by its disk cache:
//   __GL_SHADER_DISK_CACHE_PATH=/tmp/gl vkpn bench --paths khr --workload infer --widths 64 --layers 6 --batch 65536
//   node scripts/gpu/instructions.mjs /tmp/gl/GLCache/*/*/*.bin
// A cache holds its entries as zstd frames (so this needs the command zstd); a kernel's code is the instructions of 16 bytes around its first EXIT. That, and the numbers of
// kinds, were read off Hopper's code (sm_90), driver 580; there is no documentation of either. A number stands for a kind that has no name here. Kernels come in the order
// in which they were compiled; VKPN_PIPELINE_STATISTICS=1 names them.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const EXIT = Buffer.from([0x4d, 0x79, 0, 0, 0, 0, 0, 0]);
const BYTES = 16;
const NAMES = {
  HMMA: [0x23c], MOVM: [0x23a], LDSM: [0x83b], LDG: [0x981], STG: [0x386, 0x986], LDS: [0x984], STS: [0x388, 0x988], LDC: [0xb82], BAR: [0xb1d], WARPSYNC: [0x148, 0x948],
  F2FP: [0x23e], HADD2: [0x230], HFMA2: [0x231, 0x831], HMUL2: [0x232, 0x832], HMNMX2: [0x240, 0x840], FADD: [0x221], FMUL: [0x220, 0x820], FFMA: [0x223], FSETP: [0x20b], FSEL: [0x208, 0x808],
  IMAD: [0x224, 0x424, 0x624, 0x824, 0xc24, 0xe24], IADD3: [0x210, 0x810, 0xa10, 0xc10], VIADD: [0x236, 0x836], ISETP: [0x20c, 0x80c, 0xa0c, 0xc0c], LEA: [0x211, 0x811, 0xa11, 0xc11],
  LOP3: [0x212, 0x812], SHF: [0x819], PRMT: [0x216, 0x816], SEL: [0x207, 0x807], MOV: [0x202, 0x802], S2R: [0x919], BRA: [0x947], BSSY: [0x945], BSYNC: [0x941], NOP: [0x918], EXIT: [0x94d],
};
const nameOf = new Map(Object.entries(NAMES).flatMap(([name, kinds]) => kinds.map((kind) => [kind, name])));

function* framesOf(cache) {
  for (let at = cache.indexOf(ZSTD); at >= 0; at = cache.indexOf(ZSTD, at + 1)) {
    const { error, stdout } = spawnSync('zstd', ['-dcq'], { input: cache.subarray(at), maxBuffer: 1 << 28 }); // what comes behind the frame is no frame: it says so, after the frame
    if (error) throw new Error(`the command zstd does not run: ${error.message}`);
    yield stdout;
  }
}

/** Instructions of a kernel, [kind, how many] with the most frequent first; undefined: there is no code. */
function countsOf(entry) {
  const exit = entry.indexOf(EXIT);
  if (exit < 0) return undefined;
  const kindAt = (at) => entry.readUInt16LE(at) & 0xfff;
  const isCode = (at) => at >= 0 && at + BYTES <= entry.length && kindAt(at) !== 0 && entry[at + BYTES - 1] >> 6 === 0;
  let begin = exit, end = exit;
  while (isCode(begin - BYTES)) begin -= BYTES;
  while (isCode(end)) end += BYTES;
  const counts = new Map();
  for (let at = begin; at < end; at += BYTES) {
    const name = nameOf.get(kindAt(at)) ?? `0x${kindAt(at).toString(16)}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('which files? node scripts/gpu/instructions.mjs FOLDER/GLCache/*/*/*.bin');
  process.exit(2);
}
for (const file of files) {
  console.log(file);
  for (const entry of framesOf(readFileSync(file))) {
    const counts = countsOf(entry);
    if (counts) console.log(`  ${counts.reduce((sum, [, n]) => sum + n, 0)} instructions: ${counts.filter(([, n]) => n > 1).map(([name, n]) => `${name} ${n}`).join(', ')}`);
  }
}
