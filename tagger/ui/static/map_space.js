/* Where things are on a map: bounds, what is nearest, what lies inside a shape, how data become
 * pixels. Pure functions over typed arrays; nothing here knows a page.
 */
const MapSpace = (() => {
  /** The smallest box around points, some or all: {left, right, bottom, top}; null without any. */
  function boundsOf(x, y, numbers = null) {
    let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
    const count = numbers ? numbers.length : x.length;
    for (let i = 0; i < count; i++) {
      const n = numbers ? numbers[i] : i;
      if (x[n] < left) left = x[n];
      if (x[n] > right) right = x[n];
      if (y[n] < bottom) bottom = y[n];
      if (y[n] > top) top = y[n];
    }
    return left <= right && bottom <= top ? { left, right, bottom, top } : null;
  }

  /**
   * Points sorted into square cells, about three a cell, so that the nearest is found by looking at
   * few of them. Points that are not finite are in no cell.
   */
  function makeGrid(x, y) {
    const box = boundsOf(x, y) ?? { left: 0, right: 1, bottom: 0, top: 1 };
    const [width, height] = [box.right - box.left, box.top - box.bottom];
    const wanted = Math.max(1, x.length / 3);
    const side = Math.max(
      Math.sqrt((width * height) / wanted), width / 2048, height / 2048, 1e-30,
    );
    const columns = Math.min(2049, Math.floor(width / side) + 1);
    const rows = Math.min(2049, Math.floor(height / side) + 1);
    const cellOf = (n) => {
      const column = Math.min(columns - 1, Math.floor((x[n] - box.left) / side));
      const row = Math.min(rows - 1, Math.floor((y[n] - box.bottom) / side));
      return column >= 0 && row >= 0 ? row * columns + column : -1;
    };
    const starts = new Int32Array(columns * rows + 1);
    const cells = new Int32Array(x.length);
    for (let n = 0; n < x.length; n++) {
      cells[n] = cellOf(n);
      if (cells[n] >= 0) starts[cells[n] + 1]++;
    }
    for (let cell = 0; cell < columns * rows; cell++) starts[cell + 1] += starts[cell];
    const members = new Int32Array(starts[columns * rows]);
    const next = starts.slice();
    for (let n = 0; n < x.length; n++) if (cells[n] >= 0) members[next[cells[n]]++] = n;

    const range = (low, high, start, most) => [
      Math.max(0, Math.floor((low - start) / side)),
      Math.min(most - 1, Math.floor((high - start) / side)),
    ];
    return {
      /**
       * The point nearest to a place within `reach`, or -1. Where `visible` is 0, there is none. Of
       * points at the same distance the last one, which is painted above the others.
       */
      nearest(px, py, reach, visible = null) {
        const [first, last] = range(px - reach, px + reach, box.left, columns);
        const [low, high] = range(py - reach, py + reach, box.bottom, rows);
        let best = -1;
        let least = reach * reach;
        for (let row = low; row <= high; row++) {
          const end = starts[row * columns + last + 1];
          for (let at = starts[row * columns + first]; at < end; at++) {
            const n = members[at];
            if (visible && !visible[n]) continue;
            const far = (x[n] - px) ** 2 + (y[n] - py) ** 2;
            if (far < least || (far === least && n > best)) [best, least] = [n, far];
          }
        }
        return best;
      },
    };
  }

  const BANDS = 64;

  /**
   * Which points lie inside a closed line: a mask of ones and zeros, and how many ones.
   *
   * The even-odd rule, by the edges that a ray to the right crosses. Edges are sorted into bands of
   * height beforehand, so that a point is tried against those near it only; points outside of the
   * line's box are tried against none.
   */
  function insidePolygon(x, y, lineX, lineY, visible = null) {
    const mask = new Uint8Array(x.length);
    const box = boundsOf(lineX, lineY);
    if (!box || lineX.length < 3) return { mask, count: 0 };
    const height = (box.top - box.bottom) / BANDS || 1;
    const bandOf = (value) => Math.min(BANDS - 1, Math.floor((value - box.bottom) / height));
    const bands = Array.from({ length: BANDS }, () => []);
    for (let a = 0, b = lineX.length - 1; a < lineX.length; b = a++) {
      if (lineY[a] === lineY[b]) continue;
      const last = bandOf(Math.max(lineY[a], lineY[b]));
      for (let i = bandOf(Math.min(lineY[a], lineY[b])); i <= last; i++) {
        bands[i].push(lineX[a], lineY[a], lineX[b], lineY[b]);
      }
    }
    const edges = bands.map((band) => Float64Array.from(band));
    let count = 0;
    for (let n = 0; n < x.length; n++) {
      const [px, py] = [x[n], y[n]];
      if (!(px >= box.left && px <= box.right && py >= box.bottom && py <= box.top)) continue;
      if (visible && !visible[n]) continue;
      const near = edges[bandOf(py)];
      let inside = 0;
      for (let i = 0; i < near.length; i += 4) {
        const [ay, by] = [near[i + 1], near[i + 3]];
        if ((ay > py) === (by > py)) continue;
        const ax = near[i];
        if (px < ax + ((py - ay) * (near[i + 2] - ax)) / (by - ay)) inside ^= 1;
      }
      mask[n] = inside;
      count += inside;
    }
    return { mask, count };
  }

  /**
   * Which part of the plane a window shows: its middle (x, y) in data, and pixels for one unit.
   * The same in both directions, y upwards. Never changed: every step gives another one.
   */
  const toPixels = (view, size, x, y) => [
    size.width / 2 + (x - view.x) * view.scale,
    size.height / 2 - (y - view.y) * view.scale,
  ];
  const toData = (view, size, px, py) => [
    view.x + (px - size.width / 2) / view.scale,
    view.y - (py - size.height / 2) / view.scale,
  ];

  /** The view that shows a box in a window, with so many pixels free around it. */
  function fit(box, size, margin) {
    const room = (side) => Math.max(side - 2 * margin, side / 3, 1);
    const scale = Math.min(
      room(size.width) / Math.max(box.right - box.left, 1e-12),
      room(size.height) / Math.max(box.top - box.bottom, 1e-12),
    );
    return { x: (box.left + box.right) / 2, y: (box.bottom + box.top) / 2, scale };
  }

  const movedBy = (view, dx, dy) => ({
    x: view.x - dx / view.scale, y: view.y + dy / view.scale, scale: view.scale,
  });

  /** The view at another scale; what is at a pixel stays there. */
  function scaledTo(view, size, scale, px, py) {
    const [x, y] = toData(view, size, px, py);
    return {
      x: x - (px - size.width / 2) / scale,
      y: y + (py - size.height / 2) / scale,
      scale,
    };
  }

  /** A view between two, `share` 0..1 of the way: scales by their ratio. */
  function between(from, to, share) {
    const scale = from.scale * (to.scale / from.scale) ** share;
    // Along the way the middle moves as fast as the eye sees it move, not as the plane does.
    const [a, b] = [1 / from.scale, 1 / to.scale];
    const way = Math.abs(a - b) < 1e-9 * Math.max(a, b) ? share : (a - 1 / scale) / (a - b);
    return { x: from.x + (to.x - from.x) * way, y: from.y + (to.y - from.y) * way, scale };
  }

  /**
   * Points of a room as they are seen from where it has been turned to: x to the right, y upwards,
   * both from the room's middle, and how near each is, 0..255.
   */
  function turned({ count, x, y, z }, room, { yaw, pitch }) {
    const [sy, cy] = [Math.sin(yaw), Math.cos(yaw)];
    const [sp, cp] = [Math.sin(pitch), Math.cos(pitch)];
    const flat = {
      x: new Float32Array(count), y: new Float32Array(count), near: new Uint8Array(count),
    };
    for (let n = 0; n < count; n++) {
      const [a, b, c] = [x[n] - room.x, y[n] - room.y, z[n] - room.z];
      const ahead = c * cy - a * sy;
      flat.x[n] = a * cy + c * sy;
      flat.y[n] = b * cp - ahead * sp;
      flat.near[n] = 127.5 + 127 * (ahead * cp + b * sp) / room.reach;
    }
    return flat;
  }
  /** The middle of points in a room, and how far the farthest is from it. */
  function roomOf({ count, x, y, z }) {
    const middle = (values) => {
      let [low, high] = [Infinity, -Infinity];
      for (let n = 0; n < count; n++) {
        if (values[n] < low) low = values[n];
        if (values[n] > high) high = values[n];
      }
      return low <= high ? (low + high) / 2 : 0;
    };
    const room = { x: middle(x), y: middle(y), z: middle(z), reach: 1e-12 };
    for (let n = 0; n < count; n++) {
      room.reach = Math.max(room.reach, Math.hypot(x[n] - room.x, y[n] - room.y, z[n] - room.z));
    }
    return room;
  }

  return {
    boundsOf, makeGrid, insidePolygon, toPixels, toData, fit, movedBy, scaledTo, between, turned,
    roomOf,
  };
})();
