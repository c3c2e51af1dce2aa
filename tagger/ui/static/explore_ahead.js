/* Pictures that are fetched before somebody points at them, and kept decoded for a while. */
const AHEAD_AT_ONCE = 3; // of the six connections that a browser has: the others are for what is looked at

/**
 * `address(n)` is where the picture of a number is; `most` of them are kept, those last used.
 * Whoever sets an image to the address of a kept one sees it in the same frame.
 */
function createAhead({ address, most }) {
  const kept = new Map(); // address -> image, last used last
  let wanted = [];
  let loading = 0;
  const begin = () => {
    while (loading < AHEAD_AT_ONCE && wanted.length) {
      const source = address(wanted.shift());
      if (kept.has(source)) continue;
      const picture = new Image();
      picture.fetchPriority = 'low';
      picture.src = source;
      kept.set(source, picture);
      if (kept.size > most) kept.delete(kept.keys().next().value);
      loading++;
      picture.decode().catch(() => kept.delete(source)).finally(() => {
        loading--;
        begin();
      });
    }
  };
  return {
    /** These are likely to be looked at next, the first first; what was wished before is dropped. */
    want(numbers) {
      wanted = [...numbers];
      begin();
    },
    /** This one is looked at. */
    use(n) {
      const source = address(n);
      const picture = kept.get(source);
      if (!picture) return;
      kept.delete(source);
      kept.set(source, picture);
    },
    clear() {
      wanted = [];
      kept.clear();
    },
  };
}
