/* What a map is made of, fetched from the REST API below the page's own address.
 *
 * Points are numbered by their place in the map; a number is good for the map's hash alone. Columns
 * come as bytes, what is said of a picture in batches, when it is asked for, and is kept.
 */
const MOST_BRIEFS = 200; // of one request
const FOUND_TAGS = 8; // that are offered for a word
const GIVEN = 255; // in a tag's column: given by people; below, 254 times the probability

/** A number as the reader's language writes it. */
const amount = (count) => count.toLocaleString(lang);

/** A word as it is compared with another one. */
const plain = (text) => text.normalize('NFKC').toLowerCase().replaceAll('_', ' ');
/** The first `most` tags, as {name, label}, with a text in one of their words: at its begin, then within. */
function fitting(tags, text, most) {
  const wanted = plain(text);
  const fits = (test) => tags.filter(({ name, label }) => test(plain(name)) || test(plain(label)));
  const found = [...fits((word) => word.startsWith(wanted)), ...fits((word) => word.includes(wanted))];
  return [...new Set(found)].slice(0, most);
}
/** The tag that a text names, or undefined. */
const named = (tags, text) =>
  tags.find(({ name, label }) => [name, label].some((word) => plain(word) === plain(text)));

/** An error that is to be shown: its message is meant for the reader. */
class Refusal extends Error {
  constructor(message, code = '', again = false) {
    super(message);
    this.code = code;
    this.again = again;
  }
}

/** The server's answer, or a Refusal; `noAnswer` is said where no problem of its own can be read. */
async function answerOf(url, options, noAnswer) {
  let response = null;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refusal(noAnswer, '', true);
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  const passing = [408, 429].includes(response.status) || response.status >= 500;
  throw new Refusal(problem?.detail ?? noAnswer, problem?.code ?? '', passing);
}

/** See `answerOf` for `noAnswer`. */
function createSource({ base, lang, noAnswer }) {
  const address = (path, query = {}) => {
    const url = new URL(`api/v1/${path}`, base);
    for (const [name, value] of Object.entries({ ...query, lang })) url.searchParams.set(name, value);
    return url;
  };
  const ask = (url, options) => answerOf(url, options, noAnswer);
  const post = (path, map, body) => ask(address(path, { map }), {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  return {
    facts: async (map) => (await ask(address('map', { map }))).json(),
    points: async (map, hash) => (await ask(address('map/points', { map, hash }))).arrayBuffer(),
    column: async (map, hash, name) =>
      (await ask(address(`map/columns/${name}`, { map, hash }))).arrayBuffer(),
    briefs: async (map, hash, numbers) =>
      (await (await ask(address('map/pictures', { map, hash, numbers: numbers.join(',') }))).json()).pictures,
    detail: async (map, hash, number) =>
      (await ask(address(`map/pictures/${number}`, { map, hash }))).json(),
    image: (map, hash, number) => address(`map/pictures/${number}/image`, { map, hash }).href,
    search: async (map, hash, q) => (await ask(address('map/search', { map, hash, q }))).json(),
    place: async (map, file) => {
      const form = new FormData();
      form.append('file', file, file.name || 'picture');
      return (await ask(address('map/place', { map }), { method: 'POST', body: form })).json();
    },
    selection: async (map, hash, mask) => (await post('map/selection', map, { hash, mask })).json(),
    export: async (map, body) => {
      const response = await post('map/export', map, body);
      const named = /filename="?([^";]+)/.exec(response.headers.get('Content-Disposition') ?? '');
      return { blob: await response.blob(), name: named?.[1] ?? `selection.${body.format}` };
    },
  };
}

/** The columns of `map/points`, as data coordinates and bytes. */
function decodePoints(buffer, { count, bounds }) {
  const view = new DataView(buffer);
  const axis = (start, [low, high]) => {
    const values = new Float32Array(count);
    for (let n = 0; n < count; n++) {
      values[n] = low + view.getUint16(start + 2 * n, true) / 65535 * (high - low);
    }
    return values;
  };
  const bytesAt = (place) => new Uint8Array(buffer, (4 + place) * count, count);
  return {
    count, x: axis(0, bounds.x), y: axis(2 * count, bounds.y),
    category: bytesAt(0), source: bytesAt(1), language: bytesAt(2), trust: bytesAt(3),
  };
}

/** The third axis of a map of three dimensions. */
function decodeDepth(buffer, [low, high]) {
  const view = new DataView(buffer);
  return Float32Array.from({ length: buffer.byteLength / 2 },
    (_, n) => low + view.getUint16(2 * n, true) / 65535 * (high - low));
}

// --- masks -------------------------------------------------------------------------------------------

const countOf = (mask) => {
  let sum = 0;
  for (let n = 0; n < mask.length; n++) sum += mask[n] ? 1 : 0;
  return sum;
};
const numbersOf = (mask, most = Infinity) => {
  const found = [];
  for (let n = 0; n < mask.length && found.length < most; n++) if (mask[n]) found.push(n);
  return found;
};
const maskOf = (numbers, count) => {
  const mask = new Uint8Array(count);
  for (const n of numbers) mask[n] = 1;
  return mask;
};
/** Ones and zeros as base64 of bits, the first one lowest. */
function packMask(mask) {
  const packed = new Uint8Array(Math.ceil(mask.length / 8));
  for (let n = 0; n < mask.length; n++) if (mask[n]) packed[n >> 3] |= 1 << (n & 7);
  let text = '';
  for (const byte of packed) text += String.fromCharCode(byte);
  return btoa(text);
}
function unpackMask(text, count) {
  const packed = atob(text);
  const mask = new Uint8Array(count);
  for (let n = 0; n < count; n++) mask[n] = (packed.charCodeAt(n >> 3) >> (n & 7)) & 1;
  return mask;
}

// --- what is said of pictures ------------------------------------------------------------------------

/**
 * Briefs by number. `get(n)` is what is known, `want(numbers)` asks for the others and resolves when
 * they are here; what is asked for within the same moment travels together.
 */
function createBriefs(fetchBriefs) {
  const known = new Map();
  const pending = new Map(); // number -> promise
  let waiting = [];
  let batch = null;
  const send = async () => {
    const numbers = waiting;
    waiting = [];
    batch = null;
    const parts = [];
    for (let at = 0; at < numbers.length; at += MOST_BRIEFS) parts.push(numbers.slice(at, at + MOST_BRIEFS));
    await Promise.all(parts.map(async (part) => {
      try {
        for (const brief of await fetchBriefs(part)) known.set(brief.number, brief);
      } finally {
        for (const n of part) pending.delete(n);
      }
    }));
  };
  return {
    get: (n) => known.get(n),
    put: (brief) => { if (!known.has(brief.number)) known.set(brief.number, brief); },
    async want(numbers) {
      for (const n of numbers) {
        if (known.has(n) || pending.has(n)) continue;
        batch ??= Promise.resolve().then(send);
        waiting.push(n);
        pending.set(n, batch);
      }
      await Promise.all(new Set(numbers.map((n) => pending.get(n)).filter(Boolean)));
    },
  };
}
