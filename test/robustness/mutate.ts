// Reproducible damage to files, for the fuzz tests (docs/testing.md).

/** Numbers in 0..n-1, the same for the same seed (xorshift32). */
export function random(seed: number): (n: number) => number {
  let s = seed | 1;
  return (n) => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return (s >>> 0) % n;
  };
}

/** Words that break parsers. */
const nasty = ['-1', '0', '1', '99999999999', '4294967296', '2147483648', '65536', 'nan', 'inf', '1e999', '-0.0', '0x10', '\n', ' ', '#', '\0', 'PF\n', '1 1\n'];

/** One to four damages: bits flipped, bytes set, inserted, removed, repeated, cut off; most of them in the first `head` bytes. */
export function mutate(bytes: Uint8Array, head: number, rand: (n: number) => number): Buffer {
  let b = Buffer.from(bytes);
  for (let n = 1 + rand(4); n > 0; n--) {
    const at = rand(Math.max(1, rand(4) === 0 ? b.length : Math.min(head, b.length)));
    const [before, after] = [b.subarray(0, at), b.subarray(at)];
    const some = rand(8) + 1;
    if (b.length < 4) return b;
    switch (rand(8)) {
      case 0: b[at]! ^= 1 << rand(8); break;
      case 1: b[at] = [0, 255, 127, 128, 10, 32][rand(6)]!; break;
      case 2: b[at] = rand(256); break;
      case 3: b = Buffer.concat([before, Buffer.from(nasty[rand(nasty.length)]!, 'latin1'), after.subarray(rand(2) * some)]); break;
      case 4: b = Buffer.concat([before, after.subarray(some)]); break;
      case 5: b = Buffer.concat([before, after.subarray(0, some), after]); break;
      case 6: b = Buffer.from(rand(4) === 0 ? before : b.subarray(0, b.length - rand(Math.min(8, b.length)))); break;
      default: b.writeUInt32LE([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x7f800000, 0x7fc00000, 1 << rand(31)][rand(8)]! >>> 0, Math.min(at, b.length - 4)); break;
    }
  }
  return b;
}
