/* Archives written by the browser itself, entries stored as they are: PKWARE's APPNOTE 6.3, without
 * its large form. The bytes of files are read once, for their checksums; the archive then points to the
 * files where they lie, so that it may be larger than the memory.
 */
const ZIP_BYTES = 0xffffffff; // of an archive of this form
const ZIP_ENTRIES = 0xfffe;
const STEM_LENGTH = 80;
// What some system takes for something else within a file's name, and what cannot be seen there.
const NOT_IN_NAMES = /[\\/:*?"<>|]+/g;
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/gu;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});
/** The checksum of zip and png, of `bytes` after others whose checksum is `before`. */
function crc32(bytes, before = 0) {
  let crc = ~before;
  for (let n = 0; n < bytes.length; n++) crc = CRC_TABLE[(crc ^ bytes[n]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The name of an entry: its place with as many digits as all need, then a safe form of a file's name. */
function entryName(place, count, path) {
  const last = path.normalize('NFC').split(/[\\/]/).at(-1).replace(UNSEEN, '').replace(/\p{Zs}/gu, ' ');
  const [, stem, suffix = ''] = /^(.*?)(\.[A-Za-z0-9]{1,8})?$/su.exec(last);
  const trim = (text) => text.replace(/^[ .-]+|[ .-]+$/g, '');
  const safe = trim([...trim(stem.replace(NOT_IN_NAMES, '-'))].slice(0, STEM_LENGTH).join(''));
  const number = String(place).padStart(Math.max(3, String(count).length), '0');
  return (safe ? `${number}_${safe}` : number) + suffix;
}

/** A moment as the format has it, in local time: [time, date]. */
function dosTime(milliseconds) {
  const when = new Date(milliseconds);
  if (!(when.getFullYear() >= 1980 && when.getFullYear() < 2108)) return [0, (1 << 5) | 1];
  return [
    (when.getHours() << 11) | (when.getMinutes() << 5) | (when.getSeconds() >> 1),
    ((when.getFullYear() - 1980) << 9) | ((when.getMonth() + 1) << 5) | when.getDate(),
  ];
}

/**
 * An archive of `entries`, each {name, blob}, in their order. `told(bytes, all)` hears how much has been
 * read; `signal` ends it. Throws RangeError if it would be too large for the form, NotFoundError or
 * NotReadableError with `entry` if a file is no longer what it was.
 */
async function storedZip(entries, { signal, told = () => {} } = {}) {
  const encoder = new TextEncoder();
  const named = entries.map(({ name, blob }) => ({ name: encoder.encode(name), blob }));
  const all = named.reduce((sum, { blob }) => sum + blob.size, 0);
  const heads = named.reduce((sum, { name }) => sum + 76 + 2 * name.length, 22);
  if (named.length > ZIP_ENTRIES || all + heads > ZIP_BYTES) throw new RangeError('archive');
  const parts = [];
  const directory = [];
  let offset = 0;
  let read = 0;
  for (const [n, { name, blob }] of named.entries()) {
    let crc = 0;
    let size = 0;
    try {
      const reader = blob.stream().getReader();
      for (;;) {
        signal?.throwIfAborted();
        const { done, value } = await reader.read();
        if (done) break;
        crc = crc32(value, crc);
        size += value.length;
        told(read + size, all);
      }
      if (size !== blob.size) throw new DOMException('', 'NotReadableError');
    } catch (error) {
      throw Object.assign(error, { entry: entries[n] });
    }
    read += size;
    // Version 2.0, names in UTF-8, stored; then time, checksum and sizes, as both headers have them.
    const common = new DataView(new ArrayBuffer(26));
    const [time, date] = dosTime(blob.lastModified ?? NaN);
    for (const [at, value] of [[0, 20], [2, 0x0800], [4, 0], [6, time], [8, date], [22, name.length], [24, 0]]) {
      common.setUint16(at, value, true);
    }
    for (const [at, value] of [[10, crc], [14, size], [18, size]]) common.setUint32(at, value, true);
    const local = new Uint8Array(30);
    local.set([0x50, 0x4b, 3, 4]);
    local.set(new Uint8Array(common.buffer), 4);
    parts.push(local, name, blob);
    const central = new Uint8Array(46);
    central.set([0x50, 0x4b, 1, 2, 20, 0]);
    central.set(new Uint8Array(common.buffer), 6);
    new DataView(central.buffer).setUint32(42, offset, true);
    directory.push(central, name);
    offset += 30 + name.length + size;
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, named.length, true);
  end.setUint16(10, named.length, true);
  end.setUint32(12, length, true);
  end.setUint32(16, offset, true);
  return new Blob([...parts, ...directory, end], { type: 'application/zip' });
}
