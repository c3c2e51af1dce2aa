/* Points on a Canvas 2D: every dot is put into an array of pixels by hand.
 *
 * A browser without a graphics card fills fifty thousand circles in some tenths of a second; the same
 * dots stamped into an ImageData take a few milliseconds, on any machine alike.
 */
const MapCanvas = (() => {
  const PHASES = 4; // places of a dot within a pixel, in each direction

  /**
   * How much of each pixel a disc covers, 0..256, for every phase.
   *
   * @returns {{side: number, covers: Uint16Array[]}} row by row; the disc's middle lies in the pixel
   *   (side - 1) / 2, at (phase + 0.5) / PHASES of it.
   */
  function makeStamps(radius) {
    const reach = Math.ceil(radius + 0.5);
    const side = 2 * reach + 1;
    const covers = [];
    for (let py = 0; py < PHASES; py++) {
      for (let px = 0; px < PHASES; px++) {
        const [cx, cy] = [reach + (px + 0.5) / PHASES, reach + (py + 0.5) / PHASES];
        const cover = new Uint16Array(side * side);
        for (let row = 0; row < side; row++) {
          for (let column = 0; column < side; column++) {
            const far = Math.hypot(column + 0.5 - cx, row + 0.5 - cy);
            const share = Math.min(1, Math.max(0, radius + 0.5 - far));
            cover[row * side + column] = Math.round(256 * share);
          }
        }
        covers.push(cover);
      }
    }
    return { side, covers };
  }

  const pack = ([red, green, blue]) => ((blue << 16) | (green << 8) | red) >>> 0;

  function create(host) {
    const canvas = document.createElement('canvas');
    canvas.className = 'mp-points';
    canvas.setAttribute('aria-hidden', 'true');
    host.append(canvas);
    const context = canvas.getContext('2d', { alpha: false });
    const stamps = new Map(); // by radius, in eighths of a pixel
    let image = null;
    let pixels = null;
    let ratio = 1;

    const resize = ({ width, height }, density) => {
      ratio = density;
      canvas.width = Math.max(1, Math.round(width * ratio));
      canvas.height = Math.max(1, Math.round(height * ratio));
      image = context.createImageData(canvas.width, canvas.height);
      pixels = new Uint32Array(image.data.buffer);
    };

    const stampsOf = (radius) => {
      const eighths = Math.max(4, Math.round(radius * 8));
      if (!stamps.has(eighths)) stamps.set(eighths, makeStamps(eighths / 8));
      return stamps.get(eighths);
    };

    /** Stamp a dot for each of order[from..to), in the colours of `table` (by `values`). */
    const stampAll = (scene, view, size, { from, to, radius, opacity, rim }, table, ground) => {
      const { x, y, order, values } = scene;
      const [width, height] = [canvas.width, canvas.height];
      const { side, covers } = stampsOf(radius * ratio);
      const edge = rim ? stampsOf(radius * ratio + ratio) : null;
      const scale = view.scale * ratio;
      const [left, top] = [
        (size.width / 2) * ratio - view.x * scale, (size.height / 2) * ratio + view.y * scale,
      ];
      const put = (cover, span, column, row, colour, strength) => {
        const reach = (span - 1) / 2;
        const [x0, y0] = [column - reach, row - reach];
        const [firstX, lastX] = [Math.max(0, -x0), Math.min(span, width - x0)];
        const [firstY, lastY] = [Math.max(0, -y0), Math.min(span, height - y0)];
        const [red, green] = [colour & 0xff00ff, colour & 0x00ff00];
        for (let j = firstY; j < lastY; j++) {
          let at = (y0 + j) * width + x0 + firstX;
          for (let i = firstX; i < lastX; i++, at++) {
            const share = (cover[j * span + i] * strength) >> 8;
            if (!share) continue;
            const below = pixels[at];
            const rest = 256 - share;
            // Two channels at once: their products do not reach into each other.
            pixels[at] = 0xff000000 |
              (((Math.imul(below & 0xff00ff, rest) + Math.imul(red, share)) >>> 8) & 0xff00ff) |
              (((Math.imul(below & 0x00ff00, rest) + Math.imul(green, share)) >>> 8) & 0x00ff00);
          }
        }
      };
      const strength = Math.round(256 * opacity);
      for (let at = from; at < to; at++) {
        const n = order[at];
        const px = x[n] * scale + left;
        const py = top - y[n] * scale;
        if (!(px > -side && px < width + side && py > -side && py < height + side)) continue;
        const [column, row] = [Math.floor(px), Math.floor(py)];
        const phase = Math.floor((py - row) * PHASES) * PHASES + Math.floor((px - column) * PHASES);
        if (edge) put(edge.covers[phase], edge.side, column, row, ground, strength);
        put(covers[phase], side, column, row, table[values[n]], strength);
      }
    };

    return {
      name: 'canvas',
      element: canvas,
      resize,
      /** @param scene see `sceneOf` in map.js */
      paint(scene, view, size) {
        if (!pixels) return;
        pixels.fill(0xff000000 | pack(scene.ground));
        const table = Uint32Array.from(scene.colours, pack);
        const ground = pack(scene.ground);
        for (const layer of scene.layers) stampAll(scene, view, size, layer, table, ground);
        context.putImageData(image, 0, 0);
      },
      destroy() { canvas.remove(); },
    };
  }

  return { create, makeStamps };
})();
