// What to cut from a picture file, and where: the job of cut.ts and its result. Pure.

/** A point in [0, 1) x [0, 1) of the places that a crop can have. */
export interface Point {
  u: number;
  v: number;
}

export interface CutJob {
  path: string;
  /** The clean picture of the same pixels. */
  clean?: string | undefined;
  /** Width and height of a crop, after reduction. */
  size: number;
  /** Reduced so many times in linear light; 0: as `autoReduce` says. */
  reduce: number;
  places: readonly Point[];
  /** Of pairs: whether to find the noise that separates them. */
  estimate?: boolean;
}

export interface Cut {
  /** Of the picture, reduced. */
  width: number;
  height: number;
  /** (crop, y, x, rgba), f16. */
  crops: Uint16Array;
  clean?: Uint16Array;
  /** Of pairs: the noise that separates them (SPEC 1.3). */
  noise?: { a: number; b: number };
  warnings: string[];
}

/** How many times a picture is reduced by default: as far as 1.5 million pixels are left of it, up to four times. */
export function autoReduce(width: number, height: number): number {
  return [4, 3, 2].find((r) => Math.floor(width / r) * Math.floor(height / r) >= 1.5e6) ?? 1;
}

/** First pixel of a crop of `size` along an axis of `n` pixels. */
export const startOf = (u: number, n: number, size: number): number => Math.min(Math.floor(u * (Math.max(0, n - size) + 1)), Math.max(0, n - size));

/** Places of crops of `size` that cover a picture, evenly spread: for folders of which all is kept. */
export function cover(width: number, height: number, size: number): Point[] {
  const along = (n: number): number[] => {
    const free = Math.max(0, n - size);
    const count = Math.ceil(n / size);
    return Array.from({ length: count }, (_, i) => (Math.round(count > 1 ? (i * free) / (count - 1) : 0) + 0.5) / (free + 1));
  };
  return along(height).flatMap((v) => along(width).map((u) => ({ u, v })));
}
