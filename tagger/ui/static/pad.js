/* A pad to draw on: strokes with time and pressure, and what can be done with them.
 *
 * A stroke is {x, y, t, p}: arrays of one length, in a square of SIDE units whatever the size of the
 * screen; t in milliseconds since the drawing's first point, p from 0 to 1. t and p are null where
 * they are not known. A drawing is an array of strokes. Finished strokes and drawings are never
 * changed, so that a step back is an old array and nothing more.
 */
const SIDE = 512;
const INK = 5; // width of a line
const REACH = 9; // how near the eraser takes a stroke
const NEAREST = 0.75; // points closer than this say nothing new
const STEPS = 300; // that can be taken back
const MOST_POINTS = 20_000; // in a drawing; the server reads more
const LONG = 3_000; // points of one stroke that are looked at for its sketch

// --- drawings: pure functions ------------------------------------------------------------------------

const pointCount = (strokes) => strokes.reduce((sum, stroke) => sum + stroke.x.length, 0);

function distanceToSegment(px, py, ax, ay, bx, by) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = ((px - ax) * dx + (py - ay) * dy) / Math.max(dx * dx + dy * dy, 1e-12);
  const at = Math.min(1, Math.max(0, along));
  return Math.hypot(px - ax - at * dx, py - ay - at * dy);
}

/** Whether a stroke passes within `reach` of a point. */
function touches(stroke, px, py, reach) {
  const { x, y } = stroke;
  if (x.length === 1) return Math.hypot(px - x[0], py - y[0]) <= reach;
  for (let i = 1; i < x.length; i++) {
    if (distanceToSegment(px, py, x[i - 1], y[i - 1], x[i], y[i]) <= reach) return true;
  }
  return false;
}

/** Indices of the points that Ramer, Douglas and Peucker keep. */
function keptPoints(x, y, epsilon) {
  const keep = new Set([0, x.length - 1]);
  const todo = [[0, x.length - 1]];
  while (todo.length) {
    const [first, last] = todo.pop();
    let worst = -1;
    let most = epsilon;
    for (let i = first + 1; i < last; i++) {
      const away = distanceToSegment(x[i], y[i], x[first], y[first], x[last], y[last]);
      if (away > most) [worst, most] = [i, away];
    }
    if (worst < 0) continue;
    keep.add(worst);
    todo.push([first, worst], [worst, last]);
  }
  return [...keep].sort((a, b) => a - b);
}

const round1 = (value) => Math.round(value * 10) / 10;

/** What the recogniser needs of a stroke: fewer points, on the same line, without times. */
function sketchOf({ x, y }) {
  const every = Math.ceil(x.length / LONG);
  const some = (values) => values.filter((_, i) => i % every === 0 || i === values.length - 1);
  if (every > 1) [x, y] = [some(x), some(y)];
  const kept = keptPoints(x, y, 0.7);
  return [kept.map((i) => round1(x[i])), kept.map((i) => round1(y[i]))];
}

/** All of a drawing in the form of Quick, Draw!: lists x, y, milliseconds and pressure. */
function toJson(strokes) {
  return strokes.map(({ x, y, t, p }) => {
    const axes = [x.map(round1), y.map(round1)];
    if (t || p) axes.push(t ? t.map(Math.round) : []);
    if (p) axes.push(p.map((value) => Math.round(value * 1000) / 1000));
    return axes;
  });
}

/** The inverse of `toJson`. */
function fromJson(strokes) {
  return strokes.filter((axes) => axes[0].length).map(([x, y, t, p]) => ({
    x, y, t: t?.length ? t : null, p: p?.length ? p : null,
  }));
}

function boundsOf(strokes) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { x, y } of strokes) {
    for (let i = 0; i < x.length; i++) {
      left = Math.min(left, x[i]);
      right = Math.max(right, x[i]);
      top = Math.min(top, y[i]);
      bottom = Math.max(bottom, y[i]);
    }
  }
  return { left, top, right, bottom };
}

/** The drawing moved and scaled evenly into the middle of the pad. */
function fitted(strokes, margin = 48) {
  const { left, top, right, bottom } = boundsOf(strokes);
  const extent = Math.max(right - left, bottom - top);
  const scale = extent > 0 ? (SIDE - 2 * margin) / extent : 1;
  const place = (values, low, high) =>
    values.map((value) => round1(SIDE / 2 + (value - (low + high) / 2) * scale));
  return strokes.map(({ x, y, t, p }) => ({
    x: place(x, left, right), y: place(y, top, bottom), t, p,
  }));
}

/** Fewer points where there are too many, the same lines as far as an eye can tell. */
function thinned(strokes, most = MOST_POINTS) {
  let epsilon = 0.25;
  while (pointCount(strokes) > most && epsilon < SIDE) {
    strokes = strokes.map(({ x, y, t, p }) => {
      const kept = keptPoints(x, y, epsilon);
      const pick = (values) => values && kept.map((i) => values[i]);
      return { x: pick(x), y: pick(y), t: pick(t), p: pick(p) };
    });
    epsilon *= 2;
  }
  return strokes;
}

/** A stroke as the data of an SVG path: curves through the middles between its points. */
function pathData({ x, y }) {
  const last = x.length - 1;
  if (last === 0) return `M${x[0]} ${y[0]}h0`;
  if (last === 1) return `M${x[0]} ${y[0]}L${x[1]} ${y[1]}`;
  let data = `M${x[0]} ${y[0]}`;
  for (let i = 1; i < last; i++) {
    const [mx, my] = [round1((x[i] + x[i + 1]) / 2), round1((y[i] + y[i + 1]) / 2)];
    data += `Q${x[i]} ${y[i]} ${mx} ${my}`;
  }
  return data + `L${x[last]} ${y[last]}`;
}

const widthAt = (pressure) => INK * (0.35 + 1.3 * pressure);

/** Put a stroke on a 2D context that is scaled to units of the pad. */
function inkStroke(context, stroke) {
  context.lineCap = context.lineJoin = 'round';
  if (!stroke.p) {
    context.lineWidth = INK;
    context.stroke(new Path2D(pathData(stroke)));
    return;
  }
  const { x, y, p } = stroke;
  for (let i = 0; i < x.length; i++) {
    const from = Math.max(0, i - 1);
    context.lineWidth = widthAt((p[from] + p[i]) / 2);
    context.stroke(new Path2D(`M${x[from]} ${y[from]}L${x[i]} ${y[i]}${i ? '' : 'h0'}`));
  }
}

// --- the pad -----------------------------------------------------------------------------------------

/**
 * Make a canvas a pad.
 *
 * `hooks.changed(final)` follows every change; `final` is false while a stroke is being drawn.
 * `hooks.told()` follows a change of the tool.
 */
function createPad(canvas, hooks) {
  const context = canvas.getContext('2d');
  const finished = document.createElement('canvas'); // all but the stroke that is being drawn
  const finishedContext = finished.getContext('2d');
  const sketches = new WeakMap(); // of finished strokes, made once each

  let strokes = [];
  let current = null; // {stroke, pointer, kind}, or null
  let past = [];
  let future = [];
  let tool = 'pen';
  let start = 0; // when the first point of the drawing was made
  let erasing = null; // {pointer, before}
  let ring = null; // where the eraser is
  let key = null; // {x, y, down}: the pen that the arrow keys move
  let scale = 0;
  let stale = true; // whether `finished` must be made anew
  let frame = 0;
  let locked = false;

  // --- painting ---

  const color = () => getComputedStyle(canvas).color;
  const paint = () => {
    frame = 0;
    if (!scale) return;
    if (stale) {
      stale = false;
      finishedContext.setTransform(1, 0, 0, 1, 0, 0);
      finishedContext.clearRect(0, 0, finished.width, finished.height);
      finishedContext.setTransform(scale, 0, 0, scale, 0, 0);
      finishedContext.strokeStyle = color();
      for (const stroke of strokes) inkStroke(finishedContext, stroke);
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(finished, 0, 0);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.strokeStyle = color();
    if (current) inkStroke(context, current.stroke);
    if (ring && tool === 'eraser') mark(ring.x, ring.y, REACH);
    if (key && document.activeElement === canvas) mark(key.x, key.y, key.down ? 5 : 8);
  };
  const mark = (x, y, radius) => {
    context.save();
    context.strokeStyle = '#b23a24';
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
    context.restore();
  };
  const repaint = (all = false) => {
    stale ||= all;
    frame ||= requestAnimationFrame(paint);
  };

  /** As sharp as the screen; a pad that is not shown keeps its size. */
  const resize = () => {
    const side = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
    if (!side || side === canvas.width) return;
    for (const each of [canvas, finished]) each.width = each.height = side;
    scale = side / SIDE;
    stale = true;
    paint(); // at once: a canvas of a new size is empty
  };
  new ResizeObserver(resize).observe(canvas);
  window.addEventListener('resize', resize); // the window may have moved to another screen
  // The ink's colour follows the theme.
  new MutationObserver(() => repaint(true))
    .observe(document.body, { attributes: true, attributeFilter: ['class'] });

  // --- changes ---

  const set = (next) => {
    past.push(strokes);
    if (past.length > STEPS) past.shift();
    future = [];
    strokes = next;
    repaint(true);
    hooks.changed(true);
  };
  const step = (from, to) => {
    finish();
    if (locked || !from.length) return;
    to.push(strokes);
    strokes = from.pop();
    repaint(true);
    hooks.changed(true);
  };

  // Strokes that were brought in have no times; those of an earlier visit had another clock.
  const timeOf = (now) => {
    const latest = Math.max(-1, ...strokes.map(({ t }) => t?.at(-1) ?? -1));
    if (latest < 0) start = now;
    else start = Math.min(start, now - latest);
    return Math.round(now - start);
  };
  const begin = (point, now, kind, pointer) => {
    current = {
      stroke: {
        x: [point.x], y: [point.y], t: [timeOf(now)], p: kind === 'pen' ? [point.p] : null,
      },
      kind, pointer,
    };
    repaint();
    hooks.changed(false);
  };
  const extend = (point, now) => {
    const { x, y, t, p } = current.stroke;
    const last = x.length - 1;
    if (Math.hypot(point.x - x[last], point.y - y[last]) < NEAREST) return;
    if (pointCount(strokes) + x.length >= MOST_POINTS) return;
    x.push(point.x);
    y.push(point.y);
    t.push(Math.max(t[last], Math.round(now - start)));
    p?.push(point.p);
  };
  const finish = () => {
    if (erasing) endErasing();
    if (!current) return;
    const { stroke } = current;
    current = null;
    if (key) key.down = false;
    set([...strokes, stroke]);
  };

  const erase = (point) => {
    const left = strokes.filter((stroke) => !touches(stroke, point.x, point.y, REACH));
    if (left.length === strokes.length) return;
    strokes = left;
    repaint(true);
    hooks.changed(false);
  };
  const endErasing = () => {
    const { before } = erasing;
    const after = strokes;
    erasing = null;
    if (after === before) return;
    strokes = before;
    set(after); // one step back brings back all that one sweep took
  };

  // --- mouse, finger and pen ---

  // The page does not move under a stroke: where the pad is, is asked once, not at every movement,
  // since an answer that has just come would have the whole page laid out anew each time.
  let box = null;
  const place = (event) => {
    box ??= canvas.getBoundingClientRect();
    const inside = (value) => round1(Math.min(SIDE, Math.max(0, value)));
    return {
      x: inside((event.clientX - box.left) * SIDE / box.width),
      y: inside((event.clientY - box.top) * SIDE / box.height),
      p: event.pressure,
    };
  };
  // Movements between two frames come together with the last of them.
  const all = (event) => {
    const events = event.getCoalescedEvents?.() ?? [];
    return events.length ? events : [event];
  };
  const erases = (event) => tool === 'eraser' || (event.buttons & 32) !== 0;

  canvas.addEventListener('pointerdown', (event) => {
    const turned = event.button === 5; // a pen held the other way round
    if (locked || (event.button !== 0 && !turned)) return;
    event.preventDefault();
    if (current || erasing) {
      // The palm came before the pen, or another finger while one is drawing.
      if (event.pointerType !== 'pen' || current?.kind !== 'touch') return;
      current = null;
    }
    canvas.focus({ preventScroll: true });
    box = null;
    key = null;
    try { canvas.setPointerCapture(event.pointerId); } catch { /* it has gone already */ }
    const point = place(event);
    if (erases(event)) {
      erasing = { pointer: event.pointerId, before: strokes };
      ring = point;
      erase(point);
      repaint();
    } else {
      begin(point, event.timeStamp, event.pointerType, event.pointerId);
    }
  });
  canvas.addEventListener('pointermove', (event) => {
    if (erasing?.pointer === event.pointerId) {
      for (const each of all(event)) erase(place(each));
    } else if (current?.pointer === event.pointerId) {
      for (const each of all(event)) extend(place(each), each.timeStamp);
      hooks.changed(false);
    } else if (tool === 'eraser') {
      box = null;
    } else {
      return;
    }
    if (tool === 'eraser' || erasing) ring = place(event);
    repaint();
  });
  const lift = (event) => {
    if (erasing?.pointer === event.pointerId) {
      endErasing();
    } else if (current?.pointer === event.pointerId) {
      if (event.type === 'pointerup') extend({ ...place(event), p: current.stroke.p?.at(-1) }, event.timeStamp);
      finish();
    }
  };
  // A stroke that the system broke off is kept as far as it went.
  for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
    canvas.addEventListener(name, lift);
  }
  canvas.addEventListener('pointerleave', () => { ring = null; repaint(); });
  // No scrolling, no magnifying, no menu under the finger that draws.
  canvas.addEventListener('touchstart', (event) => event.preventDefault(), { passive: false });
  canvas.addEventListener('contextmenu', (event) => { if (current) event.preventDefault(); });

  // --- keys: arrows move a pen, the space bar sets it down and lifts it ---

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener('keydown', (event) => {
    if (locked || event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== ' ') return;
    event.preventDefault();
    if (current && current.kind !== 'keys') return;
    key ??= { x: SIDE / 2, y: SIDE / 2, down: false };
    if (event.key === ' ') {
      if (tool === 'eraser') {
        erasing = { pointer: -1, before: strokes };
        erase(key);
        endErasing();
      } else if (key.down) {
        finish();
      } else if (!event.repeat) {
        key.down = true;
        begin({ x: key.x, y: key.y }, event.timeStamp, 'keys', -1);
      }
    } else {
      const far = event.shiftKey ? 2 : 10;
      key.x = Math.min(SIDE, Math.max(0, key.x + arrow[0] * far));
      key.y = Math.min(SIDE, Math.max(0, key.y + arrow[1] * far));
      if (current) {
        extend(key, event.timeStamp);
        hooks.changed(false);
      }
    }
    repaint();
  });
  canvas.addEventListener('blur', () => { if (current?.kind === 'keys') finish(); repaint(); });
  canvas.addEventListener('focus', () => repaint());

  return {
    /** The drawing as it is, with the stroke that is being drawn. */
    get strokes() { return current ? [...strokes, current.stroke] : strokes; },
    get tool() { return tool; },
    set tool(name) {
      finish();
      tool = name;
      canvas.dataset.tool = name;
      repaint();
      hooks.told();
    },
    get canUndo() { return past.length > 0; },
    get canRedo() { return future.length > 0; },
    /** While it is locked nothing can be drawn. */
    get locked() { return locked; },
    set locked(on) {
      finish();
      locked = on;
    },
    /** What the recogniser is sent: finished strokes are made simpler once. */
    sketch() {
      const list = strokes.map((stroke) => {
        if (!sketches.has(stroke)) sketches.set(stroke, sketchOf(stroke));
        return sketches.get(stroke);
      });
      if (current) list.push(sketchOf(current.stroke));
      return list;
    },
    undo() { step(past, future); },
    redo() { step(future, past); },
    clear() {
      finish();
      if (strokes.length) set([]);
    },
    /** Another drawing instead, as a step that can be taken back. */
    replace(next) {
      finish();
      set(next);
    },
    /** Everything, to be put aside, and another such thing to go on with. */
    exchange(other) {
      finish();
      const mine = { strokes, past, future, start };
      ({ strokes, past, future, start } = other ?? { strokes: [], past: [], future: [], start: 0 });
      repaint(true);
      hooks.changed(true);
      return mine;
    },
  };
}
