// The part of crc-32 that its own types leave out: CRC-32C.
declare module 'crc-32/crc32c.js' {
  const crc32c: {
    /** Of bytes, as a signed number. */
    buf(bytes: Uint8Array, seed?: number): number;
  };
  export default crc32c;
}
