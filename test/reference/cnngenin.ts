// Reference: what cnngenin does, given the random numbers it drew (SPEC 4 cnngenin).
import { type Image, type Noise, makeImage, noiseSigma, pixel } from './image.js';

export interface TileCut {
  /** Top left corner in the picture. */
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly flipX: boolean;
  readonly flipY: boolean;
  /** Exposure: values are multiplied by 2^ev. */
  readonly ev: number;
}

/** Cuts, flips and exposes a tile, (size, size, channels); beyond the picture it is mirrored. */
export function cutTile(image: Image, cut: TileCut): Image {
  const tile = makeImage(cut.size, cut.size, image.channels);
  for (let y = 0; y < cut.size; y++)
    for (let x = 0; x < cut.size; x++) {
      const fromX = cut.x + (cut.flipX ? cut.size - 1 - x : x);
      const fromY = cut.y + (cut.flipY ? cut.size - 1 - y : y);
      const values = pixel(image, fromX, fromY, 0, image.channels);
      tile.data.set(values.map((v) => v * 2 ** cut.ev), (y * cut.size + x) * image.channels);
    }
  return tile;
}

/**
 * Highlights of a picture whose white is 1, expanded before it is exposed. With m, the largest of a pixel's |r|, |g|, |b|: half of white and
 * less stays, white becomes 2^(share stops), between them the stops rise as smoothstep does. Above white they fall by log2(m), and with
 * them what is gained, to none at 2^stops.
 */
export function expandHighlights(image: Image, stops: number, share: number): Image {
  const out = makeImage(image.width, image.height, image.channels);
  for (let y = 0; y < image.height; y++)
    for (let x = 0; x < image.width; x++) {
      const values = pixel(image, x, y, 0, image.channels);
      const m = Math.max(...values.map(Math.abs));
      const t = Math.min(Math.max(2 * m - 1, 0), 1);
      const gained = m <= 1 ? stops * t * t * (3 - 2 * t) : Math.max(0, stops - Math.log2(m));
      out.data.set(values.map((v) => v * 2 ** (share * gained)), (y * image.width + x) * image.channels);
    }
  return out;
}

/** Synthetic noise: every value plus z sigma(value), z standard normal, one for each value. */
export function addNoise(reference: Image, z: ArrayLike<number>, noise: Noise): Image {
  return makeImage(reference.width, reference.height, reference.channels, reference.data.map((v, i) => v + z[i]! * noiseSigma(noise, v)));
}

/** Bayer mosaic RGGB, red at (0, 0): the site's own value in all three channels. */
export function mosaic(image: Image): Image {
  const out = makeImage(image.width, image.height, 3);
  for (let y = 0; y < image.height; y++)
    for (let x = 0; x < image.width; x++) {
      const site = (x % 2) + (y % 2); // red 0, green 1, blue 2
      out.data.fill(pixel(image, x, y)[site]!, (y * image.width + x) * 3, (y * image.width + x) * 3 + 3);
    }
  return out;
}

/** Noise of a real picture after exposure by c = 2^ev: (c^2 a, c b). */
export const exposedNoise = (noise: Noise, ev: number): Noise => ({ a: noise.a * 4 ** ev, b: noise.b * 2 ** ev });
