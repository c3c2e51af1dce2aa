/* What is to be painted of a map's points, and how: colours, the order, sizes and strengths. */
const MapScene = (() => {
  const dot = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  /** [red, green, blue] of a colour as CSS writes it. */
  const parse = (css) => {
    dot.canvas.width = 1;
    dot.fillStyle = css || '#808080';
    dot.fillRect(0, 0, 1, 1);
    return [...dot.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const mixed = (from, to, share) =>
    from.map((value, i) => Math.round(value + (to[i] - value) * share));
  /** A colour for each of the values 0..255. */
  const tableOf = (colours) => {
    if (colours.kind === 'scale') {
      const [from, to] = [parse(colours.from), parse(colours.to)];
      return Array.from({ length: 256 }, (_, value) => mixed(from, to, value / 255));
    }
    const palette = colours.palette.map(parse);
    return Array.from({ length: 256 }, (_, value) => palette[value % palette.length]);
  };

  /**
   * Numbers in the order in which they are painted, and how many of the first are dim.
   *
   * Those that are not selected lie below those that are, and high ranks (0..255) above low ones.
   */
  function paintingOrder(count, ranks, visible, selection) {
    const rankOf = (n) => (ranks ? ranks[n] : 0) + (selection && selection[n] ? 256 : 0);
    const starts = new Uint32Array(513);
    for (let n = 0; n < count; n++) if (!visible || visible[n]) starts[rankOf(n) + 1]++;
    for (let rank = 0; rank < 512; rank++) starts[rank + 1] += starts[rank];
    const dim = selection ? starts[256] : 0;
    const order = new Uint32Array(starts[512]);
    for (let n = 0; n < count; n++) if (!visible || visible[n]) order[starts[rankOf(n)]++] = n;
    return { order, dim };
  }

  const DIM = 0.16; // strength of what is not selected
  const SWELL = 1.2; // of what is, beside it
  const RIMMED = 4; // pixels from which on dots are told apart by a rim; there are few of them then

  /**
   * Runs of the painted order with one size and strength each, those below first:
   * [{from, to, radius, opacity, rim}].
   *
   * @param {{order: Uint32Array, dim: number}} painted  see paintingOrder
   * @param {Uint8Array|null} near  how near each point is, where the map has depth: what is far away
   *   is smaller and fainter
   */
  function layersOf({ order, dim }, radius, near) {
    const rim = radius >= RIMMED;
    const strength = order.length > 20_000 ? 0.75 : 0.9;
    const large = radius * (dim ? SWELL : 1);
    const layers = [{ from: 0, to: dim, radius, opacity: DIM, rim: false }];
    if (near) {
      for (let from = dim; from < order.length;) {
        const slice = near[order[from]] >> 5;
        let to = from + 1;
        while (to < order.length && near[order[to]] >> 5 === slice) to++;
        const share = (slice + 0.5) / 8;
        layers.push({
          from, to, radius: large * (0.7 + 0.7 * share), opacity: strength * (0.45 + 0.55 * share), rim,
        });
        from = to;
      }
    } else {
      layers.push({ from: dim, to: order.length, radius: large, opacity: strength, rim });
    }
    return layers.filter(({ from, to }) => to > from);
  }

  /** Of a dot, in pixels: smaller where there are many, larger the closer (`zoom`) one looks. */
  function radiusFor(count, { width, height }, zoom) {
    const room = Math.sqrt((width * height) / Math.max(1, count));
    const base = Math.min(5, Math.max(1.6, room * 0.17));
    return Math.min(9, base * Math.max(1, zoom) ** 0.42);
  }

  return { parse, tableOf, paintingOrder, layersOf, radiusFor };
})();
