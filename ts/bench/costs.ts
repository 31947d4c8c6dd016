// What a workload costs at least, a pixel: operations of the layers (a multiply-add is two) and bytes (docs/performance.md). Pure.

const outputs = 16;

/** FLOP a pixel from x to K: H matrices W x W, one 16 x W. */
export const inferFlop = (width: number, layers: number): number => 2 * (layers * width * width + outputs * width);

/** FLOP a pixel of forward, backward and dE/dw: thrice, but the first layer's input needs no gradient. */
export const trainFlop = (width: number, layers: number): number => 3 * inferFlop(width, layers) - 2 * width * width;

/** Bytes a pixel that inference can't do without: x and K. */
export const inferBytes = (width: number): number => 2 * width + 2 * outputs;

/**
 * Bytes a pixel of mlp, mlpbck and mulw as they are: read x, write A and K; read dE/dK and A, write dE/dA; read x, A, dE/dA and
 * dE/dK. `slots`: mlpbck does mulw's work, reads x and what is kept of A, so many in all, once and writes no dE/dA. (One kernel that kept all of it on chip would need those of x and dE/dK alone: `inferBytes`.)
 */
export const trainBytes = (width: number, layers: number, slots?: number): number => 2 * width * (slots === undefined ? 5 * layers + 2 : 2 * slots) + (slots === undefined ? 3 : 2) * 2 * outputs;
