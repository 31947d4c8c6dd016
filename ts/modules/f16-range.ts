// Pictures that become f16 on the device must fit in it.

import { InputError, type Place } from '../errors.js';
import { maxHalf } from '../formats/half.js';
import type { PortShape } from '../graph/types.js';

/** Throws where `picture`, scaled by up to `gain`, has values beyond f16. `who` is the module that keeps it in f16. */
export function checkF16Range(who: string, picture: PortShape, gain: number, place: Place): void {
  const { range } = picture;
  if (!range) return;
  const largest = Math.max(Math.abs(range.min), Math.abs(range.max));
  if (largest * gain <= maxHalf) return;
  const scaled = gain === 1 ? '' : `, ${gain} times that after exposure`;
  throw new InputError('BEYOND_F16', `${who}: the picture has values up to ${largest}${scaled}, but is kept in f16, which ends at ${maxHalf}`, {
    place, hint: 'scale the picture so that white is about 1',
  });
}
