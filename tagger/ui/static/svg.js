/* Drawings as SVG: written, and read from files of any origin.
 *
 * What is read is never put into the page: a parser makes a document of its own from the file, of
 * which nothing but the numbers of a few shapes is taken. Curves become many short lines.
 */
const SVG_SPACE = 'http://www.w3.org/2000/svg';
const MOST_STROKES = 800;
const MOST_SHAPES = 5_000;
const MOST_SAMPLES = 60_000; // points before they are thinned
const PIECES = 16; // straight lines for one curve

// --- writing -----------------------------------------------------------------------------------------

/** A drawing as a file: black on white, a path a stroke. */
function svgFile(strokes) {
  const width = ({ p }) => round1(p ? widthAt(p.reduce((sum, each) => sum + each, 0) / p.length) : INK);
  const paths = strokes.map((stroke) =>
    `<path d="${pathData(stroke)}" stroke-width="${width(stroke)}"/>`);
  return `<svg xmlns="${SVG_SPACE}" width="${SIDE}" height="${SIDE}" viewBox="0 0 ${SIDE} ${SIDE}">
<rect width="${SIDE}" height="${SIDE}" fill="#fff" stroke="none"/>
<g fill="none" stroke="#000" stroke-linecap="round" stroke-linejoin="round">
${paths.join('\n')}
</g>
</svg>
`;
}

/** A small picture of a drawing, as an element of the page; only numbers go in. */
function svgPicture(strokes, margin = 10) {
  const svg = document.createElementNS(SVG_SPACE, 'svg');
  svg.setAttribute('viewBox', '0 0 100 100');
  svg.setAttribute('aria-hidden', 'true');
  if (!strokes.length) return svg;
  const path = document.createElementNS(SVG_SPACE, 'path');
  const scale = (100 - 2 * margin) / (SIDE - 96);
  const small = fitted(strokes).map(({ x, y }) => ({
    x: x.map((value) => round1(50 + (value - SIDE / 2) * scale)),
    y: y.map((value) => round1(50 + (value - SIDE / 2) * scale)),
  }));
  path.setAttribute('d', small.map(pathData).join(''));
  svg.append(path);
  return svg;
}

// --- reading -----------------------------------------------------------------------------------------

const IDENTITY = [1, 0, 0, 1, 0, 0];
const times = ([a, b, c, d, e, f], [g, h, i, j, k, l]) => [
  a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * l + e, b * k + d * l + f,
];
const numbersIn = (text) =>
  (text?.match(/[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?/gi) ?? []).map(Number);

/** The matrix of a `transform` attribute. */
function matrixOf(text) {
  let matrix = IDENTITY;
  for (const [, name, inner] of (text ?? '').matchAll(/(\w+)\s*\(([^)]*)\)/g)) {
    const [a = 0, b, c, ...rest] = numbersIn(inner);
    const [sin, cos] = [Math.sin(a * Math.PI / 180), Math.cos(a * Math.PI / 180)];
    const next = {
      matrix: () => [a, b ?? 0, c ?? 0, rest[0] ?? 0, rest[1] ?? 0, rest[2] ?? 0],
      translate: () => [1, 0, 0, 1, a, b ?? 0],
      scale: () => [a, 0, 0, b ?? a, 0, 0],
      rotate: () => times([1, 0, 0, 1, b ?? 0, c ?? 0],
        times([cos, sin, -sin, cos, 0, 0], [1, 0, 0, 1, -(b ?? 0), -(c ?? 0)])),
      skewX: () => [1, 0, Math.tan(a * Math.PI / 180), 1, 0, 0],
      skewY: () => [1, Math.tan(a * Math.PI / 180), 0, 1, 0, 0],
    }[name];
    if (next) matrix = times(matrix, next());
  }
  return matrix;
}

/** The way of an elliptical arc between two points, after the notes in the SVG standard (B.2). */
function arcPoints(x1, y1, rx, ry, turned, large, sweep, x2, y2) {
  [rx, ry] = [Math.abs(rx), Math.abs(ry)];
  if (!rx || !ry || (x1 === x2 && y1 === y2)) return [[x2, y2]];
  const [sin, cos] = [Math.sin(turned * Math.PI / 180), Math.cos(turned * Math.PI / 180)];
  const [hx, hy] = [(x1 - x2) / 2, (y1 - y2) / 2];
  const [px, py] = [cos * hx + sin * hy, -sin * hx + cos * hy];
  const grow = Math.sqrt(Math.max(1, (px / rx) ** 2 + (py / ry) ** 2));
  [rx, ry] = [rx * grow, ry * grow];
  const [u, v] = [(rx * py) ** 2 + (ry * px) ** 2, (rx * ry) ** 2];
  const root = Math.sqrt(Math.max(0, (v - u) / u)) * (large === sweep ? -1 : 1);
  const [qx, qy] = [root * rx * py / ry, -root * ry * px / rx];
  const [cx, cy] = [cos * qx - sin * qy + (x1 + x2) / 2, sin * qx + cos * qy + (y1 + y2) / 2];
  const from = Math.atan2((py - qy) / ry, (px - qx) / rx);
  let way = Math.atan2((-py - qy) / ry, (-px - qx) / rx) - from;
  if (sweep && way < 0) way += 2 * Math.PI;
  if (!sweep && way > 0) way -= 2 * Math.PI;
  const pieces = Math.max(2, Math.ceil(Math.abs(way) / (Math.PI / PIECES)));
  return Array.from({ length: pieces }, (_, i) => {
    if (i === pieces - 1) return [x2, y2];
    const angle = from + way * (i + 1) / pieces;
    const [ex, ey] = [rx * Math.cos(angle), ry * Math.sin(angle)];
    return [cos * ex - sin * ey + cx, sin * ex + cos * ey + cy];
  });
}

const bezier = (...points) => Array.from({ length: PIECES }, (_, i) => {
  let level = points;
  const t = (i + 1) / PIECES;
  while (level.length > 1) {
    level = level.slice(1).map(([x, y], j) =>
      [level[j][0] + t * (x - level[j][0]), level[j][1] + t * (y - level[j][1])]);
  }
  return level[0];
});

/** The lines of a path's data, each an array of [x, y]; what follows a mistake is left out. */
function linesOfPath(data) {
  const lines = [];
  let line = null;
  let [x, y, sx, sy] = [0, 0, 0, 0];
  let [cx, cy, last] = [0, 0, '']; // the control point that a smooth curve mirrors
  const counts = { M: 2, L: 2, H: 1, V: 1, C: 6, S: 4, Q: 4, T: 2, A: 7, Z: 0 };
  const add = (points) => {
    if (!line) lines.push(line = [[x, y]]);
    line.push(...points);
    [x, y] = points.at(-1);
  };
  for (const [, letter, inner] of data.matchAll(/([a-z])([^a-df-z]*)/gi)) {
    let name = letter.toUpperCase();
    const relative = letter !== name;
    const count = counts[name];
    if (count === undefined) break;
    // The flags of an arc are one digit each and may stand without a space between.
    const values = name === 'A'
      ? [...inner.matchAll(/([^\s,]+)[\s,]+([^\s,]+)[\s,]+([^\s,]+)[\s,]+([01])[\s,]*([01])[\s,]*([-+]?[\d.]+(?:e[-+]?\d+)?)[\s,]*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)/gi)]
        .flatMap((match) => match.slice(1).map(Number))
      : numbersIn(inner);
    for (let at = 0; count ? at + count <= values.length : at === 0; at += count || 1) {
      const v = values.slice(at, at + count);
      if (!v.every(Number.isFinite)) return lines;
      const ox = relative ? x : 0;
      const oy = relative ? y : 0;
      const mirrored = (names) => (names.includes(last) ? [2 * x - cx, 2 * y - cy] : [x, y]);
      if (name === 'M') {
        [x, y] = [sx, sy] = [v[0] + ox, v[1] + oy];
        line = null;
      } else if (name === 'Z') {
        if (line) add([[sx, sy]]);
        [x, y, line] = [sx, sy, null];
      } else if (name === 'L') {
        add([[v[0] + ox, v[1] + oy]]);
      } else if (name === 'H') {
        add([[v[0] + ox, y]]);
      } else if (name === 'V') {
        add([[x, v[0] + oy]]);
      } else if (name === 'A') {
        add(arcPoints(x, y, v[0], v[1], v[2], v[3] !== 0, v[4] !== 0, v[5] + ox, v[6] + oy));
      } else {
        const points = [];
        for (let i = 0; i < v.length; i += 2) points.push([v[i] + ox, v[i + 1] + oy]);
        if (name === 'S') points.unshift(mirrored('CS'));
        if (name === 'T') points.unshift(mirrored('QT'));
        const control = points.at(-2);
        add(bezier([x, y], ...points));
        [cx, cy] = control;
      }
      last = name;
      if (name === 'M') name = 'L'; // further pairs after a move are lines
    }
  }
  return lines;
}

/** The lines of one shape, before any transformation. */
function linesOfShape(node) {
  const number = (name) => numbersIn(node.getAttribute(name))[0] ?? 0;
  const ellipse = (rx, ry) => {
    const [cx, cy] = [number('cx'), number('cy')];
    if (!(rx > 0 && ry > 0)) return [];
    return linesOfPath(`M${cx - rx} ${cy}A${rx} ${ry} 0 0 1 ${cx + rx} ${cy}A${rx} ${ry} 0 0 1 ${cx - rx} ${cy}`);
  };
  const points = (closed) => {
    const values = numbersIn(node.getAttribute('points'));
    const line = [];
    for (let i = 0; i + 1 < values.length; i += 2) line.push([values[i], values[i + 1]]);
    if (closed && line.length) line.push(line[0]);
    return [line];
  };
  const shapes = {
    path: () => linesOfPath(node.getAttribute('d') ?? ''),
    line: () => [[[number('x1'), number('y1')], [number('x2'), number('y2')]]],
    polyline: () => points(false),
    polygon: () => points(true),
    rect: () => {
      const [x, y, w, h] = ['x', 'y', 'width', 'height'].map(number);
      if (!(w > 0 && h > 0)) return [];
      return [[[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]]];
    },
    circle: () => ellipse(number('r'), number('r')),
    ellipse: () => ellipse(number('rx'), number('ry')),
  };
  return Object.hasOwn(shapes, node.localName) ? shapes[node.localName]() : [];
}

// What of a file is not drawn where it stands, or is no geometry.
const SKIPPED = new Set(['defs', 'symbol', 'clipPath', 'mask', 'pattern', 'marker', 'metadata', 'style',
  'script', 'foreignObject', 'text', 'image', 'use', 'filter']);

/** Whether a shape is the paper under a drawing: white, without an edge. */
function isPaper(node) {
  const named = (name) => node.style?.getPropertyValue(name) || node.getAttribute(name) || '';
  const white = /^(#fff(fff)?|white|rgb\(255,\s*255,\s*255\))$/i.test(named('fill'));
  return white && /^(none|)$/.test(named('stroke'));
}

/**
 * The strokes of an SVG file, fitted to the pad; an empty array if it holds no line that we read.
 *
 * Geometry of path, line, polyline, polygon, rect, circle and ellipse only.
 */
function strokesOfSvg(text) {
  if (/<!ENTITY/i.test(text)) return [];
  const root = new DOMParser().parseFromString(text, 'image/svg+xml').documentElement;
  if (root.localName !== 'svg') return [];
  const lines = [];
  let shapes = 0;
  let samples = 0;
  const todo = [[root, IDENTITY]];
  while (todo.length && shapes < MOST_SHAPES && samples < MOST_SAMPLES) {
    const [node, outer] = todo.pop();
    shapes++;
    const hidden = node.getAttribute('display') === 'none' || node.style?.display === 'none';
    if (SKIPPED.has(node.localName) || hidden) continue;
    const matrix = times(outer, matrixOf(node.getAttribute('transform')));
    for (const child of [...node.children].reverse()) todo.push([child, matrix]);
    if (isPaper(node)) continue;
    const [a, b, c, d, e, f] = matrix;
    for (const line of linesOfShape(node)) {
      const moved = line.map(([x, y]) => [a * x + c * y + e, b * x + d * y + f])
        .filter((point) => point.every((value) => Math.abs(value) < 1e6));
      if (moved.length) lines.push(moved);
      samples += moved.length;
    }
  }
  const strokes = lines.slice(0, MOST_STROKES).map((line) => ({
    x: line.map(([x]) => x), y: line.map(([, y]) => y), t: null, p: null,
  }));
  return strokes.length ? thinned(fitted(strokes).map(plain)) : [];
}

/** A stroke without the points that lie on the line of their neighbours. */
function plain(stroke) {
  const kept = keptPoints(stroke.x, stroke.y, 0.3);
  return { x: kept.map((i) => stroke.x[i]), y: kept.map((i) => stroke.y[i]), t: null, p: null };
}
